package calibrate

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// probe finds out where the inputs of a matrix are: that is known once a pass up to it was recorded.
type probe struct {
	input    model.Input
	m        *graph.Matrix
	in       graph.Inputs
	residual graph.Vectors // the residual stream that the result of m is added to
}

// newProbe returns a probe of the matrix that multiplies an input.
func newProbe(l *layer, input model.Input) *probe {
	return &probe{input: input, m: l.matrices().Given(input), residual: l.Residual()}
}

// sink is the tap of a pass: it notes where the inputs are and records the sums over them, if any are wanted.
type sink struct {
	*probe
	sums *sums // nil: none
}

// Wants implements graph.Tap.
func (s *sink) Wants(m *graph.Matrix) bool { return m == s.m }

// Take implements graph.Tap.
func (s *sink) Take(r *graph.Recorder, in graph.Inputs) {
	s.in = in
	if s.sums != nil {
		s.sums.record(r)
	}
}
