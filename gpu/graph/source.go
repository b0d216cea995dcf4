package graph

import (
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// ErrTooLarge says that a model needs more memory than the device has, or larger bindings.
var ErrTooLarge = errors.New("the model does not fit on this GPU")

// Source is where the weights come from: a bundle.
type Source interface {
	model.Weights
	// Packing reports how tensor i is stored: bits a weight and weights a block. 16 and 0 is
	// float16, 32 and 0 float32.
	Packing(i int) (bits, block int)
	// ReadAt fills p with the stored bytes of tensor i from byte off on. Tensors are read by several
	// goroutines at once, each from its first byte to its last. p may be slow to be read from.
	ReadAt(i int, p []byte, off int64) error
}

// Packing says how the weights of a matrix are packed: 2, 4 or 8 bits in blocks that share a
// scale and a zero-point, or 16 or 32, floats without blocks.
type Packing struct{ Bits, Block int }

// packingOf reports how a matrix of the source is packed, and refuses what the kernels cannot read.
func packingOf(src Source, i int) (Packing, error) {
	bits, block := src.Packing(i)
	switch {
	case (bits == 16 || bits == 32) && block == 0,
		(bits == 2 || bits == 4 || bits == 8) && block >= 32 && block&(block-1) == 0:
		return Packing{bits, block}, nil
	}
	return Packing{}, fmt.Errorf("tensor %q: %d bits in blocks of %d: the runtime takes floats of 16 or 32 bits and blocks of 2, 4 or 8 bits", src.Tensors()[i].Name, bits, block)
}

// Cols reports how many columns the device stores for a matrix of width columns: whole blocks,
// whole vec4<u32>, whole steps of matmul.
func (p Packing) Cols(width int) int { return RoundUp(width, max(p.Block, 128/p.Bits, 16)) }

// CodeBytes and HeadBytes report the bytes of a row in the two planes that repack makes.
func (p Packing) CodeBytes(width int) int { return p.Cols(width) * p.Bits / 8 }

// HeadBytes reports the bytes of a row's scales and zero-points, 0 for floats.
func (p Packing) HeadBytes(width int) int {
	if p.Block == 0 {
		return 0
	}
	return p.Cols(width) / p.Block * 4
}

// RowBytes reports the bytes of a row in model.wgpu.
func (p Packing) RowBytes(width int) int { return block.Packing(p).RowBytes(width) }

// String names the packing as int4/128 or f16.
func (p Packing) String() string { return block.Packing(p).String() }

// DecodeRow fills w with the weights of a row as it is stored in model.wgpu.
func (p Packing) DecodeRow(w []float32, row []byte) { block.Packing(p).DecodeRow(w, row) }

// consts returns the constants by which a kernel knows the packing.
func (p Packing) consts() kernels.Consts {
	if p.Block == 0 {
		return kernels.Consts{"BITS": p.Bits, "BLOCK": 128 / p.Bits} // a vector
	}
	return kernels.Consts{"BITS": p.Bits, "BLOCK": p.Block}
}
