package simd

import (
	"unsafe"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/internal/vector"
)

// lanes returns how many bytes of codes a step of the assembly takes, 1 without any.
func (m *Packed) lanes() int {
	if level == vector.None || m.short() {
		return 1
	}
	return 16
}

// short reports whether a block has fewer codes than a step.
func (m *Packed) short() bool { return m.Bits == 2 && m.Block == 32 }

// multiply sets y to the rows at w times x.
func (m *Packed) multiply(y []float32, w []byte, x []float32) {
	size := m.RowBytes(m.Cols)
	switch {
	case m.lanes() == 1:
		m.multiplyGo(y, w, x)
	case m.Block > 0:
		blocks, bytes := m.padded()/m.Block, m.Block*m.Bits/8
		switch m.Bits {
		case 8:
			dot8NEON(&y[0], &w[0], size, &x[0], len(y), blocks, bytes/16)
		case 4:
			dot4NEON(&y[0], &w[0], size, &x[0], len(y), blocks, bytes/16)
		default:
			dot2NEON(&y[0], &w[0], size, &x[0], len(y), blocks, bytes/16)
		}
	default:
		m.multiplyFloats(y, w, x, size)
	}
}

func (m *Packed) multiplyFloats(y []float32, w []byte, x []float32, size int) {
	steps := m.Cols / Lane
	if steps == 0 {
		clear(y)
	} else {
		floats(m.Format, &y[0], &w[0], size, &x[0], len(y), steps)
	}
	var rest [Lane]float32
	for i := range y {
		r := rest[:m.Cols-steps*Lane]
		m.Decode(r, w[i*size : (i+1)*size][steps*Lane*m.Bits/8:])
		for j, v := range r {
			y[i] += v * x[steps*Lane+j]
		}
	}
}

// floats calls the body for rows of floats.
func floats(f Format, y *float32, w *byte, stride int, x *float32, rows, steps int) {
	switch {
	case f.Bits == 32:
		dotFloatNEON(y, w, stride, x, rows, steps, 0)
	case f.Brain:
		dotBrainNEON(y, w, stride, x, rows, steps, 0)
	default:
		dotHalfNEON(y, w, stride, x, rows, steps, 0)
	}
}

func dots(y, w []float32, stride int, x []float32) {
	if level == vector.None {
		dotsGo(y, w, stride, x)
		return
	}
	steps := len(x) / Lane
	if steps == 0 {
		clear(y)
	} else {
		floats(Format{Packing: block.Packing{Bits: 32}}, &y[0], (*byte)(unsafe.Pointer(&w[0])), 4*stride, &x[0], len(y), steps)
	}
	for j := steps * Lane; j < len(x); j++ {
		for i := range y {
			y[i] += w[i*stride+j] * x[j]
		}
	}
}

func tile(c []float32, cs int, x []float32, xs int, w []float32, ws, k int, add bool) {
	if level == vector.None {
		tileGo(c, cs, x, xs, w, ws, k, add)
		return
	}
	plus := 0
	if add {
		plus = 1
	}
	tileNEON(&c[0], cs*4, &x[0], xs*4, &w[0], ws*4, k/4, plus)
}

// tileNEON makes a tile; strides are in bytes, n·4 columns.
//
//go:noescape
func tileNEON(c *float32, cs int, x *float32, xs int, w *float32, ws int, n, add int)

// The bodies are explained in packed_arm64.s.

//go:noescape
func dot8NEON(y *float32, w *byte, stride int, x *float32, rows, blocks, units int)

//go:noescape
func dot4NEON(y *float32, w *byte, stride int, x *float32, rows, blocks, units int)

//go:noescape
func dot2NEON(y *float32, w *byte, stride int, x *float32, rows, blocks, units int)

//go:noescape
func dotHalfNEON(y *float32, w *byte, stride int, x *float32, rows, blocks, units int)

//go:noescape
func dotBrainNEON(y *float32, w *byte, stride int, x *float32, rows, blocks, units int)

//go:noescape
func dotFloatNEON(y *float32, w *byte, stride int, x *float32, rows, blocks, units int)
