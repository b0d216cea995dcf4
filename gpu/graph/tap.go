package graph

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// Place is a point in a layer where recording can begin. What comes before is not recorded.
type Place int

// The places.
const (
	AtInput        Place = iota // the residual stream before the layer is there
	AfterHeads                  // … and the outputs of attention's heads
	AfterAttention              // the residual stream with what attention adds is there
)

// Tap observes the inputs of a matrix. While there is a tap, norms are not folded into products and the tokens of
// experts are sorted, so that all inputs exist in memory; a shared expert comes after the chosen ones, unless the
// tap wants its first half.
type Tap interface {
	// Wants reports whether recording is to end at the product with m.
	Wants(m *Matrix) bool
	// Take is called instead of recording that product, and may record something else that reads its inputs.
	Take(r *Recorder, in Inputs)
}

// Inputs are the vectors that a matrix, or the matrices of a stack of experts, multiply.
type Inputs struct {
	Vectors
	Experts  *model.MLP // nil unless the matrix is a stack
	ByToken  bool       // of a stack: one vector for each token; else one for each choice of an expert
	Weighted bool       // of a stack: they are multiplied with the routing weights
	Routing             // of a stack
}

// Routing is where the device keeps which experts each token is sent to.
type Routing struct {
	Chosen *arena.Buffer // as route.wgsl describes it
	Order  *arena.Buffer // the choices by expert, as group.wgsl describes it
	Slots  int           // choices of the largest pass, as group.wgsl is told
}

// reach begins recording if this is the place.
func (r *Recorder) reach(p Place) {
	if r.from == p {
		r.from = AtInput
	}
}

// tapped hands the inputs of m to the tap, if it wants them, and ends the recording.
func (r *Recorder) tapped(m *Matrix, in Inputs) bool {
	if r.tap == nil || r.from != AtInput || !r.tap.Wants(m) {
		return false
	}
	if !r.done {
		r.settle()
		r.tap.Take(r, in)
	}
	r.done = true
	return true
}
