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

// gram adds up quant.Sums on the device, over all inputs of a matrix, or over those of some experts of a stack
// of matrices.
type gram struct {
	t *Transformer
	m *matrix

	x, residual vectors // once they are known
	float       *gram   // of the float model, which has only these; or nil
	sets        []set
	sorted      *sorted // nil unless m is a stack
	owned       []*gpu.Buffer
}

// set is what is added up over some of the inputs.
type set struct {
	inputs gpu.Range // which ones, as gram.wgsl's Step
	sums   []*sum
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

// newGram prepares the sums over the inputs of m, or, if m is a stack, over those of some of its experts, with
// those against the float model if there is one.
func newGram(t *Transformer, m *matrix, float *gram, some experts) (*gram, error) {
	g := newProbe(t, m)
	g.float = float
	kinds := []sumKind{sumInputs}
	if float != nil {
		kinds = append(kinds, sumGap)
		if g.addsToResidual() {
			kinds = append(kinds, sumDebt)
		}
	}
	stacked := t.w.layers[0].stacked(m)
	if stacked {
		if err := g.sort(kinds); err != nil {
			g.release()
			return nil, err
		}
	}
	for e := some.from; e < some.to; e++ {
		s := set{inputs: t.stepAt(0)}
		if stacked {
			s.inputs = g.sorted.span(e, t.spec.Layer(0).MLP.Experts)
		}
		for _, k := range kinds {
			sum, err := g.newSum(k)
			if err != nil {
				g.release()
				return nil, err
			}
			s.sums = append(s.sums, sum)
		}
		g.sets = append(g.sets, s)
	}
	return g, nil
}

// release frees the sums, and what they are made of.
func (g *gram) release() {
	if g == nil {
		return
	}
	for _, b := range g.owned {
		g.t.release(b)
	}
	g.owned, g.sets, g.sorted = nil, nil, nil
}

// buffer allocates a buffer that release frees.
func (g *gram) buffer(bytes int, u gpu.Usage) (*gpu.Buffer, error) {
	b, err := g.t.buffer(purposeActivations, bytes, u)
	if err == nil {
		g.owned = append(g.owned, b)
	}
	return b, err
}

// newProbe returns a gram that only finds out where the inputs of m are.
func newProbe(t *Transformer, m *matrix) *gram {
	return &gram{t: t, m: m, residual: vectors{buffer: t.act.x, stride: t.act.hidden}}
}

func (g *gram) newSum(k sumKind) (*sum, error) {
	s := &sum{kind: k, height: g.m.width}
	if k == sumDebt {
		s.height = g.t.spec.Hidden
	}
	limit := int(g.t.dev.Limits().MaxBinding)
	if s.rows = min(roundUp(s.height, 64), limit/(4*g.m.width)/64*64); s.rows == 0 {
		return nil, fmt.Errorf("64 rows of %d columns are larger than this device's binding limit", g.m.width)
	}
	for at := 0; at < s.height; at += s.rows {
		b, err := g.buffer(4*min(s.rows, s.height-at)*g.m.width, gpu.Storage)
		if err != nil {
			return nil, err
		}
		s.stripes = append(s.stripes, b)
	}
	return s, nil
}

// addsToResidual reports whether what m makes is added to the residual stream as it is, but for a
// factor, and the stream is by then what the layer's other branch made of it.
func (g *gram) addsToResidual() bool {
	w, y := &g.t.w.layers[0], g.t.spec.Layer(0)
	return (g.m == w.o || g.m == w.down || g.m == w.expertDown) && !y.Parallel && !y.PostNorm
}

// ends reports whether the product with m is not to be recorded, but the sums over its inputs.
func (g *gram) ends(r *recorder, m *matrix) bool { return g != nil && g.m == m && r.begin == atInput }

// record records the sums over the vectors x, and that nothing more is to be recorded.
func (g *gram) record(r *recorder, x vectors) {
	g.x = x
	for i := range g.sets {
		for _, s := range g.sets[i].sums {
			for j := range s.stripes {
				g.add(r, &g.sets[i], s, j)
			}
		}
	}
	r.done = true
}

// add records the sum of stripe i.
func (g *gram) add(r *recorder, set *set, s *sum, i int) {
	x, y, z, width := g.x, g.x, g.x, g.m.width
	diff := s.kind != sumInputs
	switch {
	case g.sorted != nil:
		x, y, z = g.sorted.x, g.sorted.of(s.kind), g.sorted.x
		diff = s.kind == sumGap
	case s.kind == sumGap:
		y = g.float.x
	case s.kind == sumDebt:
		y, z = g.float.residual, g.residual
	}
	rows := min(s.rows, s.height-i*s.rows)
	r.dispatch("gram", kernels.Consts{
		"WIDTH": width, "STRIDE": x.stride, "HEIGHT": s.height, "Y_STRIDE": y.stride, "ROW0": i * s.rows, "ROWS": rows,
		"LOWER": flag(s.kind == sumInputs), "DIFF": flag(diff),
	}, (width+63)/64, (rows+63)/64, whole(x.buffer), whole(y.buffer), whole(z.buffer), whole(s.stripes[i]), set.inputs)
}

// read returns the sums of each set. Those of a matrix that is no stack do not say how many inputs there were.
func (g *gram) read(ctx context.Context) ([]*quant.Sums, error) {
	all := make([]*quant.Sums, len(g.sets))
	for i := range g.sets {
		all[i] = &quant.Sums{}
		if g.sorted != nil {
			n, err := g.sorted.count(ctx, g.t.dev, g.sets[i].inputs)
			if err != nil {
				return nil, err
			}
			all[i].Tokens = n
		}
		for _, s := range g.sets[i].sums {
			if err := g.readSum(ctx, s, all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (g *gram) readSum(ctx context.Context, s *sum, to *quant.Sums) error {
	h := make([]float32, s.height*g.m.width)
	for i, b := range s.stripes {
		if err := g.download(ctx, b, h[i*s.rows*g.m.width:min((i+1)*s.rows, s.height)*g.m.width]); err != nil {
			return err
		}
	}
	switch s.kind {
	case sumInputs:
		to.Inputs = h
	case sumGap:
		to.Gap = h
	case sumDebt:
		to.Debt = h
		for i := range h {
			h[i] /= g.t.spec.Layer(0).ResidualScale
		}
	}
	return nil
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
