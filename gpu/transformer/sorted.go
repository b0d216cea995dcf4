package transformer

import (
	"context"
	"encoding/binary"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// experts are those from … to−1 of a layer.
type experts struct{ from, to int }

// allExperts are all of them, whose inputs are added up together. It is what a matrix wants that is no expert's.
var allExperts = experts{-1, 0}

// sorted is what the tokens of a pass bring to the experts that they are sent to, by expert. Each vector is
// multiplied with the routing weight, whether that scales the expert's inputs or its outputs: W·(w·x) = w·(W·x).
type sorted struct {
	x, y  vectors     // inputs, and those of the float model
	debt  vectors     // what the residual stream lacks, shared among a token's experts in proportion to their weights
	spans *gpu.Buffer // [experts+1][spanBytes], as spans.wgsl describes them
}

// spanBytes is from one expert to the next: a uniform may be bound there.
const spanBytes = gpu.Align

// stacked reports whether m holds the matrices of experts.
func (w *layerWeights) stacked(m *matrix) bool {
	return m != nil && (m == w.expertGate || m == w.expertUp || m == w.expertDown)
}

// expertsIn returns the first matrix of the experts.
func (w *layerWeights) expertsIn() *matrix {
	if w.expertGate != nil {
		return w.expertGate
	}
	return w.expertUp
}

// sort allocates what sums of these kinds are made of.
func (g *gram) sort(kinds []sumKind) error {
	m := &g.t.spec.Layer(0).MLP
	g.sorted = &sorted{}
	for _, k := range kinds {
		v := g.sorted.of(k)
		v.stride = stride(g.m.width)
		if k == sumDebt {
			v.stride = g.t.act.hidden
		}
		var err error
		if v.buffer, err = g.buffer(4*g.t.slots(m)*v.stride, gpu.Storage); err != nil {
			return err
		}
		*g.sorted.at(k) = v
	}
	var err error
	g.sorted.spans, err = g.buffer((m.Experts+1)*spanBytes, gpu.Storage|gpu.Uniform)
	return err
}

// at returns where the vectors are that make up the rows of a sum.
func (s *sorted) at(k sumKind) *vectors {
	switch k {
	case sumGap:
		return &s.y
	case sumDebt:
		return &s.debt
	}
	return &s.x
}

func (s *sorted) of(k sumKind) vectors { return *s.at(k) }

// span returns where the inputs of expert e are, or those of all n experts if that is the one of allExperts.
func (s *sorted) span(e, n int) gpu.Range {
	if e == allExperts.from {
		e = n
	}
	return gpu.Range{Buffer: s.spans, Offset: uint64(e * spanBytes), Size: 16}
}

// recordSorted records the sums over the vectors x that the experts of a stack are given: one for each choice
// or, if byToken is 1, for each token, times the routing weight if weigh is 1.
func (g *gram) recordSorted(r *recorder, m *model.MLP, x vectors, byToken, weigh int) {
	if g.sorted == nil { // of the float model
		g.record(r, x)
		return
	}
	a := &r.t.act
	r.dispatch("spans", kernels.Consts{"EXPERTS": m.Experts, "SLOTS": r.t.slots(m), "EACH": spanBytes / 4}, 1, 1,
		whole(a.order), whole(g.sorted.spans))
	for _, k := range []sumKind{sumInputs, sumGap, sumDebt} {
		to := g.sorted.of(k)
		if to.buffer == nil {
			continue
		}
		from, y, other := x, x, a.chosen
		switch k {
		case sumGap:
			y, other = g.float.x, g.float.t.act.chosen
		case sumDebt:
			from, y = g.residual, g.float.residual
		}
		r.dispatch("gather", kernels.Consts{
			"STRIDE": to.stride, "TOP": m.TopK, "KIND": int(k), "BY_TOKEN": byToken, "WEIGH": weigh,
		}, (to.stride+63)/64, r.n*m.TopK,
			whole(a.chosen), whole(other), whole(a.order), whole(from.buffer), whole(y.buffer), whole(to.buffer))
	}
	g.record(r, x)
}

// count returns how many inputs the set at inputs ever had.
func (s *sorted) count(ctx context.Context, dev *gpu.Device, inputs gpu.Range) (int, error) {
	raw := make([]byte, 16)
	err := dev.Read(ctx, s.spans, inputs.Offset, raw)
	return int(binary.LittleEndian.Uint32(raw[8:])), err
}
