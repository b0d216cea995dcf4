package transformer

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// shape is the uniform that tells a product its sizes, so that one pipeline serves every matrix
// of a packing. Its fields are in the kernels' order.
type shape struct {
	cols, rows, xStride, yStride, y0 int
	bias                             bool
	epilogue
	first, here int     // of the experts
	width       int     // columns of the model
	eps         float32 // of a norm before the product
	squares     int     // workgroups' sums of squares behind x
	nextStride  int
}

// exponent23 is the exponent of 2²³ as it stands in a float32.
const exponent23 = 0x4b000000

// words returns the uniform's bytes.
func (s *shape) words() []byte {
	return words32(s.cols, s.rows, s.xStride, s.yStride, s.y0, flag(s.bias), flag(s.add),
		int(math.Float32bits(s.scale)), int(math.Float32bits(s.softcap)), s.first, s.here,
		s.width, int(math.Float32bits(s.eps)), (s.squares+3)/4, s.nextStride, exponent23)
}

// shapes keeps the uniforms; equal ones are kept once.
type shapes struct {
	buffer *gpu.Buffer // the one being filled
	used   int         // slots of it
	at     map[string]gpu.Range
}

const shapeSlots = 256 // of a buffer, gpu.Align bytes each

// shape returns where a shape lies.
func (t *Transformer) shape(s shape) (gpu.Range, error) {
	words, l := s.words(), &t.shapes
	if r, ok := l.at[string(words)]; ok {
		return r, nil
	}
	if l.buffer == nil || l.used == shapeSlots {
		b, err := t.buffer(purposeActivations, shapeSlots*gpu.Align, gpu.Uniform)
		if err != nil {
			return gpu.Range{}, err
		}
		l.buffer, l.used = b, 0
	}
	r := gpu.Range{Buffer: l.buffer, Offset: uint64(l.used * gpu.Align), Size: uint64(len(words))}
	if err := l.buffer.Write(r.Offset, words); err != nil {
		return gpu.Range{}, err
	}
	l.used++
	if l.at == nil {
		l.at = map[string]gpu.Range{}
	}
	l.at[string(words)] = r
	return r, nil
}
