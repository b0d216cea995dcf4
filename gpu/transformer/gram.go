package transformer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// gram adds up x·xᵀ of the inputs of one matrix, in stripes of rows that fit into a binding.
type gram struct {
	t       *Transformer
	m       *matrix
	rows    int // of a stripe
	stripes []*gpu.Buffer
}

func newGram(t *Transformer, m *matrix) (*gram, error) {
	limit := t.dev.Limits().MaxBinding
	g := &gram{t: t, m: m, rows: min(roundUp(m.width, 64), int(limit)/(4*m.width)/64*64)}
	if g.rows == 0 {
		return nil, fmt.Errorf("64 rows of %d columns are larger than this device's binding limit", m.width)
	}
	for at := 0; at < m.width; at += g.rows {
		b, err := t.buffer(purposeActivations, 4*min(g.rows, m.width-at)*m.width, gpu.Storage)
		if err != nil {
			return nil, err
		}
		g.stripes = append(g.stripes, b)
	}
	return g, nil
}

// record records the sums over the vectors x, and that nothing more is to be recorded.
func (g *gram) record(r *recorder, x vectors) {
	for i, b := range g.stripes {
		row0, width := i*g.rows, g.m.width
		rows := min(g.rows, width-row0)
		r.dispatch("gram", kernels.Consts{"WIDTH": width, "STRIDE": x.stride, "ROW0": row0, "ROWS": rows},
			(width+63)/64, (rows+63)/64, whole(x.buffer), whole(b), r.t.stepAt(0))
	}
	r.done = true
}

// read fills h [width][width].
func (g *gram) read(ctx context.Context, h []float32) error {
	width := g.m.width
	for i, b := range g.stripes {
		to := h[i*g.rows*width : min((i+1)*g.rows, width)*width]
		raw := make([]byte, 4*len(to))
		if err := g.t.dev.Read(ctx, b, 0, raw); err != nil {
			return err
		}
		for j := range to {
			to[j] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:]))
		}
	}
	return nil
}

// layerSource is a Source of one layer of a model: tensors that were handed over are as they will be
// in the bundle, the others are float32.
type layerSource struct {
	c       *Calibrator
	spec    model.Spec
	tensors []model.Tensor
	index   []int // in the model
}

func newLayerSource(c *Calibrator) *layerSource {
	s := &layerSource{c: c, spec: *c.src.Spec()}
	s.spec.Layers = []int{s.spec.Layers[c.layer]}
	s.spec.Vocab, s.spec.Positions, s.spec.TiedHead = 1, 0, true
	for i, t := range c.src.Tensors() {
		if t.Layer == c.layer {
			t.Layer = 0
			s.tensors, s.index = append(s.tensors, t), append(s.index, i)
		}
	}
	return s
}

func (s *layerSource) Spec() *model.Spec       { return &s.spec }
func (s *layerSource) Tensors() []model.Tensor { return s.tensors }

func (s *layerSource) Rows(i, row0, n int, dst []float32) error {
	return s.c.rows(s.index[i], row0, n, dst)
}

func (s *layerSource) Packing(i int) (bits, block int) {
	if t, ok := s.c.stored[s.index[i]]; ok {
		return t.bits, t.block
	}
	return 32, 0
}

func (s *layerSource) ReadAt(i int, p []byte, off int64) error {
	if t, ok := s.c.stored[s.index[i]]; ok {
		copy(p, t.bytes[off:])
		return nil
	}
	row := 4 * int64(s.tensors[i].Cols()) // the runtime reads whole rows
	rows := make([]float32, len(p)/4)
	if err := s.c.src.Rows(s.index[i], int(off/row), len(p)/int(row), rows); err != nil {
		return err
	}
	copy(p, floatBytes(rows))
	return nil
}
