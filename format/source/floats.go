package source

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Floats passes weights to the GPU as they are: as float16 where the checkpoint has float16, else as float32. It is a
// transformer.Source.
type Floats struct {
	model.Weights
	halves *Model // whose matrices may be float16; nil: none are
}

// Floats returns the weights of a checkpoint as a GPU takes them. m must be a checkpoint.
func (m *Model) Floats() Floats {
	f := Floats{Weights: m.Weights}
	if m.Weights == model.Weights(m.Checkpoint) && len(m.Merged) == 0 {
		f.halves = m
	}
	return f
}

// With returns f with other values in matrices that stay of the same type.
func (f Floats) With(w model.Weights) Floats { return Floats{w, f.halves} }

// Packing implements transformer.Source.
func (f Floats) Packing(i int) (bits, block int) {
	if f.halves != nil && f.halves.Checkpoint.SourceType(i) == "F16" && f.Tensors()[i].Quantizable() {
		return 16, 0
	}
	return 32, 0
}

// ReadAt implements transformer.Source, for whole rows.
func (f Floats) ReadAt(i int, p []byte, off int64) error {
	bits, _ := f.Packing(i)
	row := int64(bits / 8 * f.Tensors()[i].Cols())
	if off%row != 0 || int64(len(p))%row != 0 {
		return fmt.Errorf("tensor %q: %d bytes from byte %d on: want whole rows of %d", f.Tensors()[i].Name, len(p), off, row)
	}
	values := make([]float32, len(p)*8/bits)
	if err := f.Rows(i, int(off/row), len(p)/int(row), values); err != nil {
		return err
	}
	if bits == 16 {
		block.Float16s(p, values)
		return nil
	}
	for k, v := range values {
		binary.LittleEndian.PutUint32(p[4*k:], math.Float32bits(v))
	}
	return nil
}
