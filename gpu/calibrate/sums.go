package calibrate

import (
	"context"
	"fmt"
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// sums are quant.Sums that are computed on the device, over all inputs of a matrix, or over the inputs of some experts
// of a stack of matrices.
type sums struct {
	*probe
	layer  *layer
	float  *probe // of the float model; or nil
	sets   []set
	sorted *sorted // nil unless the matrix is a stack
	split  *split  // for sums by subgroup matrices; nil: they are made in float32
	owned  []*arena.Buffer
}

// set is the sums over some of the inputs.
type set struct {
	inputs *arena.Buffer // which ones, as the Step of gram.wgsl
	sums   []*sum
}

// sum is one matrix of quant.Sums, in stripes of rows that fit into a binding.
type sum struct {
	kind         sumKind
	height, rows int // all rows, those of a stripe
	stripes      []*arena.Buffer
}

type sumKind int

const (
	sumInputs sumKind = iota
	sumGap
	sumDebt
)

// newSums prepares the sums over the inputs of a probe's matrix or, if that is a stack, of some of its
// experts, including the sums that compare with the float model if there is one. matrices says that subgroup matrices add up.
func newSums(l *layer, p, float *probe, some experts, matrices bool) (*sums, error) {
	s := &sums{layer: l, probe: p, float: float}
	err := s.allocate(some)
	if err == nil && matrices {
		err = s.reserveSplit()
	}
	if err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *sums) allocate(some experts) error {
	kinds := []sumKind{sumInputs}
	if s.float != nil {
		kinds = append(kinds, sumGap)
		if s.addsToResidual() {
			kinds = append(kinds, sumDebt)
		}
	}
	stacked := s.layer.matrices().Stacked(s.m)
	if stacked {
		if err := s.sort(kinds); err != nil {
			return err
		}
	}
	for e := some.from; e < some.to; e++ {
		each := set{inputs: s.layer.Tokens()}
		if stacked {
			each.inputs = s.sorted.span(e, s.layer.spec().MLP.Experts)
		}
		for _, k := range kinds {
			sum, err := s.newSum(k)
			if err != nil {
				return err
			}
			each.sums = append(each.sums, sum)
		}
		s.sets = append(s.sets, each)
	}
	return nil
}

// release frees the memory of the sums.
func (s *sums) release() {
	if s != nil {
		s.layer.arena.Release(s.owned...)
		s.owned, s.sets, s.sorted, s.split = nil, nil, nil, nil
	}
}

// buffer allocates a buffer that release frees.
func (s *sums) buffer(bytes int, u gpu.Usage) (*arena.Buffer, error) {
	b, err := s.layer.arena.Make(graph.PurposeActivations, bytes, u)
	s.owned = append(s.owned, b)
	return b, err
}

func (s *sums) newSum(k sumKind) (*sum, error) {
	n := &sum{kind: k, height: s.m.Width}
	if k == sumDebt {
		n.height = s.layer.weights.Spec().Hidden
	}
	limit := int(s.layer.Device().Limits().MaxBinding)
	if n.rows = min(graph.RoundUp(n.height, 64), limit/(4*s.m.Width)/64*64); n.rows == 0 {
		return nil, fmt.Errorf("64 rows of %d columns are larger than this device's binding limit", s.m.Width)
	}
	for at := 0; at < n.height; at += n.rows {
		b, err := s.buffer(4*min(n.rows, n.height-at)*s.m.Width, gpu.Storage)
		if err != nil {
			return nil, err
		}
		n.stripes = append(n.stripes, b)
	}
	return n, nil
}

// addsToResidual reports whether the result of the matrix is added to the residual stream directly, but for a
// factor, after the layer's other branch has been added.
func (s *sums) addsToResidual() bool {
	y := s.layer.spec()
	switch s.input {
	case model.InputHeads, model.InputInner, model.InputSharedInner:
		return !y.Parallel && !y.PostNorm && (s.input != model.InputHeads || !y.Twofold()) && (s.input != model.InputInner || y.MLP.ExpertWidth == 0)
	}
	return false
}

// record records the sums over the inputs of the probe.
func (s *sums) record(r *graph.Recorder) {
	if s.sorted != nil {
		s.recordSorted(r)
	}
	for i := range s.sets {
		for _, n := range s.sets[i].sums {
			o := s.operands(r, n.kind)
			if s.split != nil {
				s.splitFor(r, &s.sets[i], n.kind, o)
			}
			for j := range n.stripes {
				s.add(r, &s.sets[i], n, j, o)
			}
		}
	}
}

// operands are the vectors that a sum is made of: (y − z)·xᵀ, or y·xᵀ without diff. The first token's count first times.
type operands struct {
	x, y, z graph.Vectors
	diff    bool
	first   int
}

// operands finds those of a kind of sums.
func (s *sums) operands(r *graph.Recorder, k sumKind) operands {
	o := operands{x: s.in.Vectors, y: s.in.Vectors, z: s.in.Vectors, diff: k != sumInputs, first: 1}
	if s.input.Remembered() {
		o.first = quant.FirstCounts(r.N())
	}
	switch {
	case s.sorted != nil:
		o.x, o.y, o.z = s.sorted.x, *s.sorted.at(k), s.sorted.x
		o.diff = k == sumGap
	case k == sumGap:
		o.y = s.float.in.Vectors
	case k == sumDebt:
		o.y, o.z = s.float.residual, s.residual
	}
	return o
}

// add records the sum of stripe i.
func (s *sums) add(r *graph.Recorder, set *set, n *sum, i int, o operands) {
	width, rows := s.m.Width, min(n.rows, n.height-i*n.rows)
	c := kernels.Consts{"WIDTH": width, "HEIGHT": n.height, "ROW0": i * n.rows, "ROWS": rows, "LOWER": flag(n.kind == sumInputs)}
	if s.split != nil {
		s.addMatrices(r, set, n, i, c)
		return
	}
	maps.Copy(c, kernels.Consts{"STRIDE": o.x.Stride, "Y_STRIDE": o.y.Stride, "DIFF": flag(o.diff), "FIRST": o.first})
	r.Dispatch(floatKernel, c, (width+63)/64, (rows+63)/64, o.x.Buffer, o.y.Buffer, o.z.Buffer, n.stripes[i], set.inputs)
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// read returns the sums of each set. Only those of a stack say how many inputs there were.
func (s *sums) read(ctx context.Context) ([]*quant.Sums, error) {
	all := make([]*quant.Sums, len(s.sets))
	for i := range s.sets {
		all[i] = &quant.Sums{}
		if s.sorted != nil {
			n, err := s.sorted.count(ctx, s.layer.Device(), s.sets[i].inputs)
			if err != nil {
				return nil, err
			}
			all[i].Tokens = n
		}
		for _, n := range s.sets[i].sums {
			if err := s.readSum(ctx, n, all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (s *sums) readSum(ctx context.Context, n *sum, to *quant.Sums) error {
	width := s.m.Width
	h := make([]float32, n.height*width)
	for i, b := range n.stripes {
		if err := s.layer.ReadFloats(ctx, b, 0, h[i*n.rows*width:min((i+1)*n.rows, n.height)*width]); err != nil {
			return err
		}
	}
	switch n.kind {
	case sumInputs:
		to.Inputs = h
	case sumGap:
		to.Gap = h
	case sumDebt:
		to.Debt = h
		for i := range h {
			h[i] /= s.layer.spec().ResidualScale
		}
	}
	return nil
}
