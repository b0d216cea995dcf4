package transformer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// gram adds up quant.Sums on the device.
type gram struct {
	t *Transformer
	m *matrix

	x, residual vectors // once they are known
	float       *gram   // of the float model, which has only these; or nil
	sums        []*sum
}

// sum is one matrix of quant.Sums, in stripes of rows that fit into a binding.
type sum struct {
	kind         sumKind
	height, rows int // all rows, those of a stripe
	stripes      []*gpu.Buffer
}

type sumKind int

const (
	sumInputs sumKind = iota
	sumGap
	sumDebt
)

// newGram prepares the sums over the inputs of m, with those against the float model if there is one.
func newGram(t *Transformer, m *matrix, float *gram) (*gram, error) {
	g := newProbe(t, m)
	g.float = float
	kinds := []sumKind{sumInputs}
	if float != nil {
		kinds = append(kinds, sumGap)
		if g.addsToResidual() {
			kinds = append(kinds, sumDebt)
		}
	}
	for _, k := range kinds {
		s := &sum{kind: k, height: m.width}
		if k == sumDebt {
			s.height = t.spec.Hidden
		}
		g.sums = append(g.sums, s)
		limit := int(t.dev.Limits().MaxBinding)
		if s.rows = min(roundUp(s.height, 64), limit/(4*m.width)/64*64); s.rows == 0 {
			return nil, fmt.Errorf("64 rows of %d columns are larger than this device's binding limit", m.width)
		}
		for at := 0; at < s.height; at += s.rows {
			b, err := t.buffer(purposeActivations, 4*min(s.rows, s.height-at)*m.width, gpu.Storage)
			if err != nil {
				g.release()
				return nil, err
			}
			s.stripes = append(s.stripes, b)
		}
	}
	return g, nil
}

// release frees the sums.
func (g *gram) release() {
	if g == nil {
		return
	}
	for _, s := range g.sums {
		for _, b := range s.stripes {
			g.t.release(b)
		}
	}
	g.sums = nil
}

// newProbe returns a gram that only finds out where the inputs of m are.
func newProbe(t *Transformer, m *matrix) *gram {
	return &gram{t: t, m: m, residual: vectors{buffer: t.act.x, stride: t.act.hidden}}
}

// addsToResidual reports whether what m makes is added to the residual stream as it is, but for a
// factor, and the stream is by then what the layer's other branch made of it.
func (g *gram) addsToResidual() bool {
	w, y := &g.t.w.layers[0], g.t.spec.Layer(0)
	return (g.m == w.o || g.m == w.down) && !y.Parallel && !y.PostNorm
}

// record records the sums over the vectors x, and that nothing more is to be recorded.
func (g *gram) record(r *recorder, x vectors) {
	g.x = x
	for _, s := range g.sums {
		for i, b := range s.stripes {
			g.add(r, s, i, b)
		}
	}
	r.done = true
}

// add records the sum of stripe i.
func (g *gram) add(r *recorder, s *sum, i int, stripe *gpu.Buffer) {
	y, z, width := g.x, g.x, g.m.width
	switch s.kind {
	case sumGap:
		y = g.float.x
	case sumDebt:
		y, z = g.float.residual, g.residual
	}
	rows := min(s.rows, s.height-i*s.rows)
	c := kernels.Consts{
		"WIDTH": width, "STRIDE": g.x.stride, "HEIGHT": s.height, "Y_STRIDE": y.stride, "ROW0": i * s.rows, "ROWS": rows, "LOWER": 0, "DIFF": 1,
	}
	if s.kind == sumInputs {
		c["LOWER"], c["DIFF"] = 1, 0
	}
	r.dispatch("gram", c, (width+63)/64, (rows+63)/64, whole(g.x.buffer), whole(y.buffer), whole(z.buffer), whole(stripe), r.t.stepAt(0))
}

// read returns the sums.
func (g *gram) read(ctx context.Context) (*quant.Sums, error) {
	var out quant.Sums
	for _, s := range g.sums {
		h := make([]float32, s.height*g.m.width)
		for i, b := range s.stripes {
			if err := g.download(ctx, b, h[i*s.rows*g.m.width:min((i+1)*s.rows, s.height)*g.m.width]); err != nil {
				return nil, err
			}
		}
		switch s.kind {
		case sumInputs:
			out.Inputs = h
		case sumGap:
			out.Gap = h
		case sumDebt:
			out.Debt = h
			for i := range h {
				h[i] /= g.t.spec.Layer(0).ResidualScale
			}
		}
	}
	return &out, nil
}

func (g *gram) download(ctx context.Context, b *gpu.Buffer, to []float32) error {
	raw := make([]byte, 4*len(to))
	if err := g.t.dev.Read(ctx, b, 0, raw); err != nil {
		return err
	}
	for j := range to {
		to[j] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:]))
	}
	return nil
}

// layerSource is a Source of one layer of a model, all float32: the values of tensors that were handed over
// are those that they will have in the bundle.
type layerSource struct {
	k       *track
	spec    model.Spec
	tensors []model.Tensor
	index   []int // in the model
}

func newLayerSource(k *track, layer int) *layerSource {
	src := k.src
	s := &layerSource{k: k, spec: *src.Spec()}
	s.spec.Layers = []int{s.spec.Layers[layer]}
	s.spec.Vocab, s.spec.Positions, s.spec.TiedHead = 1, 0, true
	for i, t := range src.Tensors() {
		if t.Layer == layer {
			t.Layer = 0
			s.tensors, s.index = append(s.tensors, t), append(s.index, i)
		}
	}
	return s
}

func (s *layerSource) Spec() *model.Spec       { return &s.spec }
func (s *layerSource) Tensors() []model.Tensor { return s.tensors }

func (s *layerSource) Rows(i, row0, n int, dst []float32) error {
	return s.k.rows(s.index[i], row0, n, dst)
}

func (s *layerSource) Packing(int) (bits, block int) { return 32, 0 }

func (s *layerSource) ReadAt(i int, p []byte, off int64) error {
	row := 4 * int64(s.tensors[i].Cols()) // the runtime reads whole rows
	rows := make([]float32, len(p)/4)
	if err := s.k.rows(s.index[i], int(off/row), len(p)/int(row), rows); err != nil {
		return err
	}
	copy(p, floatBytes(rows))
	return nil
}
