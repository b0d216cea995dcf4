package transformer

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// memory is a Source whose tensors are made up and packed as a bundle packs them.
type memory struct {
	spec    model.Spec
	tensors []model.Tensor
	schemes []scheme
	stored  [][]byte
	values  [][]float32 // what stored decodes to
	sizes   [][]float32 // scale·(|code|+|zero|) of each weight, as the device has them
}

func (m *memory) Spec() *model.Spec        { return &m.spec }
func (m *memory) Tensors() []model.Tensor  { return m.tensors }
func (m *memory) Packing(i int) (int, int) { return m.schemes[i].bits, m.schemes[i].block }

func (m *memory) Rows(i, row0, n int, dst []float32) error {
	copy(dst, m.values[i][row0*m.tensors[i].Cols():])
	return nil
}

func (m *memory) ReadAt(i int, p []byte, off int64) error {
	copy(p, m.stored[i][off:])
	return nil
}

// add appends a tensor of random weights, of the given spread about a mean.
func (m *memory) add(t testing.TB, rng *rand.Rand, tensor model.Tensor, s scheme, mean, spread float32) {
	t.Helper()
	rows, cols := tensor.Rows(), tensor.Cols()
	values := make([]float32, rows*cols)
	for i := range values {
		values[i] = mean + spread*float32(rng.NormFloat64())
	}
	stored := make([]byte, rows*s.restBytes(cols))
	var sizes []float32
	for r := range rows {
		row := stored[r*s.restBytes(cols) : (r+1)*s.restBytes(cols)]
		encodeRow(t, s, row, values[r*cols:(r+1)*cols])
		sizes = append(sizes, termSizes(s, row, values[r*cols:(r+1)*cols])...)
	}
	m.sizes = append(m.sizes, sizes)
	m.tensors = append(m.tensors, tensor)
	m.schemes = append(m.schemes, s)
	m.stored = append(m.stored, stored)
	m.values = append(m.values, values)
}

// termSizes returns how large the terms are from which the device makes a row's weights.
func termSizes(s scheme, row []byte, w []float32) []float32 {
	sizes := make([]float32, len(w))
	for k, v := range w {
		sizes[k] = float32(math.Abs(float64(v)))
		if s.block == 0 {
			continue
		}
		head := row[k/s.block*(3+s.block*s.bits/8):]
		scale := float64(block.FromFloat16(binary.LittleEndian.Uint16(head)))
		zero := float64(int8(head[2]))
		if s.bits == 8 {
			zero += 128
		}
		sizes[k] = float32(math.Abs(float64(v)/max(scale, 1e-30)+zero)*scale + math.Abs(zero)*scale)
	}
	return sizes
}

// encodeRow packs w and replaces it by what it decodes to.
func encodeRow(t testing.TB, s scheme, dst []byte, w []float32) {
	t.Helper()
	switch s.bits {
	case 32:
		for i, v := range w {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case 16:
		for i, v := range w {
			binary.LittleEndian.PutUint16(dst[2*i:], block.Float16(v))
			w[i] = block.FromFloat16(block.Float16(v))
		}
	default:
		q := block.Scheme{Bits: s.bits, Block: s.block}
		e, err := quant.NewEncoder(q, quant.Options{Method: quant.RTN})
		if err == nil {
			err = e.Row(dst, w)
		}
		if err != nil {
			t.Fatal(err)
		}
		q.DecodeRow(w, dst)
	}
}

// schemes are all the ways to pack a matrix.
var schemes = []scheme{
	{32, 0},
	{16, 0},
	{8, 32},
	{8, 64},
	{8, 128},
	{8, 256},
	{4, 32},
	{4, 64},
	{4, 128},
	{4, 256},
	{2, 32},
	{2, 64},
	{2, 128},
	{2, 256},
}
