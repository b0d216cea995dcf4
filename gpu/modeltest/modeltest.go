// Package modeltest makes up small models for tests of the GPU runtime: a Spec for everything that a Spec can say,
// and sources of random weights, packed as a bundle packs them, of which the values are known.
//
// It is for tests only, and uses no device.
package modeltest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Packings are all the ways to pack a matrix.
var Packings = []block.Packing{
	{Bits: 32},
	{Bits: 16},
	{Bits: 8, Block: 32},
	{Bits: 8, Block: 64},
	{Bits: 8, Block: 128},
	{Bits: 8, Block: 256},
	{Bits: 4, Block: 32},
	{Bits: 4, Block: 64},
	{Bits: 4, Block: 128},
	{Bits: 4, Block: 256},
	{Bits: 2, Block: 32},
	{Bits: 2, Block: 64},
	{Bits: 2, Block: 128},
	{Bits: 2, Block: 256},
}

// Model is a source of made-up tensors. It implements graph.Source.
type Model struct {
	Described model.Spec
	Listed    []model.Tensor
	Packed    []block.Packing
	Stored    [][]byte
	Values    [][]float32 // what Stored decodes to
	Sizes     [][]float32 // scale·(|code|+|zero|) of each weight, as the device has them
}

// Spec implements graph.Source.
func (m *Model) Spec() *model.Spec { return &m.Described }

// Tensors implements graph.Source.
func (m *Model) Tensors() []model.Tensor { return m.Listed }

// Packing implements graph.Source.
func (m *Model) Packing(i int) (int, int) { return m.Packed[i].Bits, m.Packed[i].Block }

// Rows implements graph.Source.
func (m *Model) Rows(i, row0, n int, dst []float32) error {
	copy(dst, m.Values[i][row0*m.Listed[i].Cols():])
	return nil
}

// ReadAt implements graph.Source.
func (m *Model) ReadAt(i int, p []byte, off int64) error {
	copy(p, m.Stored[i][off:])
	return nil
}

// New makes up the weights of a Spec, matrices packed by turns as given.
func New(tb testing.TB, s model.Spec, packing ...block.Packing) *Model {
	m := &Model{Described: s}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, tensor := range s.Tensors() {
		tensor.Name = fmt.Sprintf("%s.%d", tensor.Role, tensor.Layer)
		p, mean, spread := block.Packing{Bits: 16}, float32(0), float32(0.2)
		if tensor.Quantizable() {
			p, spread = packing[i%len(packing)], float32(1/math.Sqrt(float64(tensor.Cols())))
		} else if len(tensor.Shape) == 1 && !s.Norm.PlusOne {
			mean = 1
		}
		m.Add(tb, rng, tensor, p, mean, spread)
	}
	return m
}

// Add appends a tensor of random weights, of the given spread about a mean.
func (m *Model) Add(tb testing.TB, rng *rand.Rand, tensor model.Tensor, p block.Packing, mean, spread float32) {
	tb.Helper()
	rows, cols := tensor.Rows(), tensor.Cols()
	values := make([]float32, rows*cols)
	for i := range values {
		values[i] = mean + spread*float32(rng.NormFloat64())
	}
	size := p.RowBytes(cols)
	stored := make([]byte, rows*size)
	var sizes []float32
	for r := range rows {
		row, w := stored[r*size:(r+1)*size], values[r*cols:(r+1)*cols]
		encodeRow(tb, p, row, w)
		p.DecodeRow(w, row)
		sizes = append(sizes, termSizes(p, row, w)...)
	}
	m.Sizes = append(m.Sizes, sizes)
	m.Listed = append(m.Listed, tensor)
	m.Packed = append(m.Packed, p)
	m.Stored = append(m.Stored, stored)
	m.Values = append(m.Values, values)
}

// encodeRow packs w.
func encodeRow(tb testing.TB, p block.Packing, dst []byte, w []float32) {
	tb.Helper()
	switch p.Bits {
	case 32:
		for i, v := range w {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case 16:
		block.Float16s(dst, w)
	default:
		e, err := quant.NewEncoder(block.Scheme(p), quant.Options{Method: quant.RTN})
		if err == nil {
			err = e.Row(dst, w)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// termSizes returns how large the terms are from which the device makes a row's weights.
func termSizes(p block.Packing, row []byte, w []float32) []float32 {
	sizes := make([]float32, len(w))
	for k, v := range w {
		sizes[k] = float32(math.Abs(float64(v)))
		if p.Block == 0 {
			continue
		}
		head := block.ReadParams(row[k/p.Block*block.Scheme(p).BlockBytes():])
		scale, zero := float64(head.Scale), float64(head.Zero)
		if p.Bits == 8 {
			zero += 128
		}
		sizes[k] = float32(math.Abs(float64(v)/max(scale, 1e-30)+zero)*scale + math.Abs(zero)*scale)
	}
	return sizes
}

// Tokens returns n random tokens of a vocabulary.
func Tokens(n, vocab int) []int32 {
	rng := rand.New(rand.NewPCG(3, 4))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = rng.Int32N(int32(vocab))
	}
	return ids
}

// Forwarder feeds tokens after those already fed.
type Forwarder interface {
	Reset()
	Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error
}

// Run feeds tokens to a fresh sequence, in pieces of the given lengths by turns, and returns all logits.
func Run(tb testing.TB, f Forwarder, tokens []int32, pieces ...int) []float32 {
	tb.Helper()
	f.Reset()
	var all []float32
	for len(tokens) > 0 {
		n := len(tokens)
		if len(pieces) > 0 {
			n, pieces = min(n, pieces[0]), append(pieces[1:len(pieces):len(pieces)], pieces[0])
		}
		if err := f.Forward(context.Background(), tokens[:n], 0, func(_ int, l []float32) error {
			all = append(all, l...)
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
		tokens = tokens[n:]
	}
	return all
}

// RelRMS returns RMS(a−b)/RMS(b).
func RelRMS(tb testing.TB, a, b []float32) float64 {
	tb.Helper()
	if len(a) != len(b) {
		tb.Fatalf("%d logits, want %d", len(a), len(b))
	}
	var d, n float64
	for i := range b {
		d += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		n += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d / n)
}

// MaxRelRMS is what float32 rounding and the float16 of a cached value that falls to the other
// side may come to.
const MaxRelRMS = 2e-4

// Floats returns the packing of floats of 16 or 32 bits.
func Floats(bits int) block.Packing { return block.Packing{Bits: bits} }

// Blocks returns the packing of blocks of size weights.
func Blocks(bits, size int) block.Packing { return block.Packing{Bits: bits, Block: size} }
