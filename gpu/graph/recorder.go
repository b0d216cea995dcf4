package graph

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Recorder writes down the dispatches of a pass of n tokens. The first error ends the recording; Pass returns it.
type Recorder struct {
	*Kit
	n    int
	eps  float32 // of the model's norms
	next Vectors // where a product prepares the input of the one after a norm
	pass *Pass
	cost Cost // of the dispatch that comes next
	err  error

	ahead   ahead      // what the product that came last has prepared
	handed  bool       // whether it has stored its output as limbs, too
	splitOf splitInput // what lies split, if nothing else was recorded since but products of it
	owed    *addends   // the last product, if it is still to be added up

	// If only a part of a layer is recorded, it begins at from and ends at the matrix that the tap wants.
	from Place
	tap  Tap
	done bool // nothing more is recorded
}

// ahead says what a product has prepared for the product after a norm: the residual stream times the weights of the
// norm, with sums of squares behind it, which is all that the next product needs to normalize its input.
type ahead struct {
	norm    *Vector // nil: nothing is prepared
	squares int     // sums for each token
}

// Pass returns what was recorded.
func (r *Recorder) Pass() (*Pass, error) {
	r.settle()
	return r.pass, r.err
}

// N reports how many tokens the pass has.
func (r *Recorder) N() int { return r.n }

// SetNorm sets the epsilon with which products normalize their input, and where they prepare the input of the product
// after a norm.
func (r *Recorder) SetNorm(eps float32, next Vectors) { r.eps, r.next = eps, next }

// Dispatch records one kernel over x·y workgroups. buffers are for all bindings of the kernel's file, also those that this
// specialization leaves unbound.
func (r *Recorder) Dispatch(kernel string, c kernels.Consts, x, y int, buffers ...*arena.Buffer) {
	if !r.recording() {
		return
	}
	k, err := r.specialize(kernel, c)
	if err != nil {
		r.err = err
		return
	}
	r.settle()
	if !slices.Contains(ofSplits, kernel) {
		r.splitOf = splitInput{}
	}
	r.pass.Dispatches = append(r.pass.Dispatches, Dispatch{Kernel: k, X: x, Y: y, Buffers: kernels.Bound(k, buffers), Cost: r.cost})
	r.cost = Cost{}
}

// Copy records a copy.
func (r *Recorder) Copy(dst, src gpu.Range) {
	if !r.recording() {
		return
	}
	r.settle()
	r.pass.Dispatches = append(r.pass.Dispatches, Dispatch{To: dst, From: src})
}

// recording reports whether what comes is recorded.
func (r *Recorder) recording() bool { return r.err == nil && !r.done && r.from == AtInput }

// read is where a vector lies, or a placeholder if there is none.
func (k *Kit) read(v *Vector) *arena.Buffer {
	if v == nil {
		return k.unread
	}
	return v.buffer
}

// heads is where the scales and zero-points of a part lie, or a placeholder.
func (k *Kit) heads(p *Part) *arena.Buffer {
	if p.heads == nil {
		return k.unread
	}
	return p.heads
}
