package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Pass is a list of recorded dispatches. Its name says what it computes: "embedding", "layer 3", "head".
type Pass struct {
	Name       string
	Dispatches []Dispatch
}

// Dispatch runs a kernel over X·Y workgroups with some buffers bound; or, if X is 0, copies a range.
type Dispatch struct {
	Kernel   kernels.Kernel
	X, Y     int
	Buffers  []*arena.Buffer
	Cost     Cost
	To, From gpu.Range // of a copy
}

// Cost is the least that a dispatch has to do: bytes of weights to read, floating-point operations of its products.
type Cost struct{ Bytes, FLOPs uint64 }

// Copies reports whether it is a copy.
func (d *Dispatch) Copies() bool { return d.X == 0 }

// Vectors are the activations of tokens: [tokens][Stride] float32.
type Vectors struct {
	Buffer *arena.Buffer
	Stride int
	// squares is how many sums of squares lie behind each vector; see Prepared. 0: the vectors are used as they are.
	squares int
	// limbs is where the vectors are, or can be put, as limbs.wgsl describes them; nil: nowhere. ready says that they are.
	limbs *arena.Buffer
	ready bool
	// norm, unless nil, are the weights of a norm that is still to be applied, by what splits the vectors for FewKernel.
	norm *Vector
}

// Prepared returns v as the input of a product that normalizes it: its elements are already multiplied by a norm's
// weights, and behind each vector lie sums of squares of the elements before that, as many as squares says.
func (v Vectors) Prepared(squares int) Vectors {
	v.squares = squares
	return v
}
