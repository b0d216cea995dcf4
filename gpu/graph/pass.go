package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Pass is a list of dispatches that were recorded: "embedding", "layer 3", "head".
type Pass struct {
	Name       string
	Dispatches []Dispatch
}

// Dispatch is a kernel and what it is bound to, over X·Y workgroups; or, with none, a copy.
type Dispatch struct {
	Kernel   kernels.Kernel
	X, Y     int
	Buffers  []*arena.Buffer
	Cost     Cost
	To, From gpu.Range // of a copy
}

// Cost is what a dispatch has to do at least: bytes of weights that it reads, operations of its products.
type Cost struct{ Bytes, FLOPs uint64 }

// Copies reports whether it is a copy.
func (d *Dispatch) Copies() bool { return d.X == 0 }

// Vectors are the activations of tokens: [tokens][Stride] float32.
type Vectors struct {
	Buffer *arena.Buffer
	Stride int
	// squares is how many sums of squares lie behind each vector, if it is still to be divided by their
	// root mean square; it is multiplied with the norm's weights already.
	squares int
}

// Prepared returns vectors that are multiplied with a norm's weights already, with so many sums of squares behind
// each, by which the product that reads them normalizes.
func (v Vectors) Prepared(squares int) Vectors {
	v.squares = squares
	return v
}
