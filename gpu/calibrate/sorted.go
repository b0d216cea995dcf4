package calibrate

import (
	"context"
	"encoding/binary"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// experts are those from … to−1 of a layer.
type experts struct{ from, to int }

// allExperts adds up the inputs of all experts together. A matrix that is not part of a stack uses it as well.
var allExperts = experts{-1, 0}

// sorted holds the inputs of experts, grouped by expert. Each vector is multiplied by the routing weight, whether the
// model applies that to the expert's inputs or its outputs: W·(w·x) = w·(W·x).
type sorted struct {
	x, y  graph.Vectors // inputs, and those of the float model
	debt  graph.Vectors // error of the residual stream, divided among a token's experts in proportion to their weights
	spans *arena.Buffer // [experts+1][spanBytes], as spans.wgsl describes them
}

// spanBytes is the distance between two experts' spans, each of which can be bound as a uniform.
const spanBytes = gpu.Align

// sort allocates the sorted vectors that sums of these kinds are computed from.
func (s *sums) sort(kinds []sumKind) error {
	m := &s.layer.spec().MLP
	s.sorted = &sorted{}
	for _, k := range kinds {
		v := s.sorted.at(k)
		v.Stride = graph.Stride(s.m.Width)
		if k == sumDebt {
			v.Stride = s.residual.Stride
		}
		var err error
		if v.Buffer, err = s.buffer(4*s.layer.Slots(m)*v.Stride, gpu.Storage); err != nil {
			return err
		}
	}
	var err error
	s.sorted.spans, err = s.buffer((m.Experts+1)*spanBytes, gpu.Storage|gpu.Uniform)
	return err
}

// at returns the vectors that make up the rows of a sum.
func (s *sorted) at(k sumKind) *graph.Vectors {
	switch k {
	case sumGap:
		return &s.y
	case sumDebt:
		return &s.debt
	}
	return &s.x
}

// span tells kernels where the inputs of expert e of n begin and end, or those of all experts if e is that of allExperts.
func (s *sorted) span(e, n int) *arena.Buffer {
	if e == allExperts.from {
		e = n
	}
	return s.spans.Part(uint64(e*spanBytes), 16)
}

// recordSorted records the sorting of the experts' inputs.
func (s *sums) recordSorted(r *graph.Recorder) {
	in, m := s.in, s.in.Experts
	r.Dispatch("spans", kernels.Consts{"EXPERTS": m.Experts, "SLOTS": in.Slots, "EACH": spanBytes / 4}, 1, 1,
		in.Order, s.sorted.spans)
	for _, k := range []sumKind{sumInputs, sumGap, sumDebt} {
		to := s.sorted.at(k)
		if to.Buffer == nil {
			continue
		}
		from, y, other := in.Vectors, in.Vectors, in.Chosen
		switch k {
		case sumGap:
			y, other = s.float.in.Vectors, s.float.in.Chosen
		case sumDebt:
			from, y = s.residual, s.float.residual
		}
		r.Dispatch("gather", kernels.Consts{
			"STRIDE": to.Stride, "TOP": m.TopK, "KIND": int(k), "BY_TOKEN": flag(in.ByToken), "WEIGH": flag(in.Weighted),
		}, (to.Stride+63)/64, r.N()*m.TopK,
			in.Chosen, other, in.Order, from.Buffer, y.Buffer, to.Buffer)
	}
}

// count returns how many inputs a span had, over all passes.
func (s *sorted) count(ctx context.Context, dev *gpu.Device, inputs *arena.Buffer) (int, error) {
	raw := make([]byte, 16)
	err := dev.Read(ctx, inputs.Range().Buffer, inputs.Range().Offset, raw)
	return int(binary.LittleEndian.Uint32(raw[8:])), err
}
