package calibrate

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// probe is where the inputs of a matrix are. They are known once a pass was recorded up to it.
type probe struct {
	input    model.Input
	m        *graph.Matrix
	in       graph.Inputs
	residual graph.Vectors // the stream that what m makes is added to
}

// newProbe returns a probe of the matrix that is given some inputs.
func newProbe(l *layer, input model.Input) *probe {
	return &probe{input: input, m: l.matrices().Given(input), residual: l.Residual()}
}

// sink is the tap of a pass: it notes where the inputs are, and has the sums over them recorded if there are any.
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
