package simd

import (
	"unsafe"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/internal/vector"
)

const (
	// ahead is how many bytes before their use rows are prefetched, at least: the processor itself does not look beyond
	// the page that it reads, and instructions in flight do not reach far enough to hide the latency of memory.
	ahead = 8192
	// manyBytes is from how many bytes on numbers in memory are prefetched: fewer may be in a cache.
	manyBytes = 1 << 17
)

// lanes returns how many bytes of codes a step of the assembly takes, 1 without any.
func (m *Packed) lanes() int {
	switch {
	case level == vector.None:
		return 1
	case level == vector.AVX512 && !m.short():
		return 16
	}
	return 8
}

// short reports whether a block has fewer codes than a step with AVX-512.
func (m *Packed) short() bool { return m.Bits == 2 && m.Block == 32 }

// multiply sets y to the rows at w times x.
func (m *Packed) multiply(y []float32, w []byte, x []float32) {
	switch {
	case level == vector.None:
		m.multiplyGo(y, w, x)
	case m.Block > 0:
		m.multiplyBlocks(y, w, x)
	default:
		m.multiplyFloats(y, w, x)
	}
}

func (m *Packed) multiplyBlocks(y []float32, w []byte, x []float32) {
	wide := m.lanes() == 16
	step := m.lanes() // bytes
	if m.Bits == 8 {
		step *= 2
	}
	blocks, units, size := m.padded()/m.Block, m.Block*m.Bits/8/step, m.RowBytes(m.Cols)
	if n := len(y) / 2; n > 0 {
		m.blocks(wide, &y[0], &w[0], size, &x[0], n, blocks, units, Pad(ahead, 2*size))
	}
	if last := len(y) - 1; last%2 == 0 { // taken twice
		var two [2]float32
		m.blocks(wide, &two[0], &w[last*size], 0, &x[0], 1, blocks, units, 0)
		y[last] = two[0]
	}
}

// blocks calls the body for rows of blocks.
func (m *Packed) blocks(wide bool, y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int) {
	switch {
	case wide && m.Bits == 8:
		dot8AVX512(y, w, stride, x, pairs, blocks, units, ahead)
	case wide && m.Bits == 4:
		dot4AVX512(y, w, stride, x, pairs, blocks, units, ahead)
	case wide:
		dot2AVX512(y, w, stride, x, pairs, blocks, units, ahead)
	case m.Bits == 8:
		dot8AVX2(y, w, stride, x, pairs, blocks, units, ahead)
	case m.Bits == 4:
		dot4AVX2(y, w, stride, x, pairs, blocks, units, ahead)
	default:
		dot2AVX2(y, w, stride, x, pairs, blocks, units, ahead)
	}
}

func (m *Packed) multiplyFloats(y []float32, w []byte, x []float32) {
	steps, size := m.Cols/Lane, m.RowBytes(m.Cols)
	from := steps * Lane
	if steps == 0 {
		clear(y)
	} else {
		if n := len(y) / 2; n > 0 {
			floats(m.Format, &y[0], &w[0], size, &x[0], n, steps, Pad(ahead, 2*size))
		}
		if last := len(y) - 1; last%2 == 0 {
			var two [2]float32
			floats(m.Format, &two[0], &w[last*size], 0, &x[0], 1, steps, 0)
			y[last] = two[0]
		}
	}
	if from == m.Cols {
		return
	}
	var rest [Lane]float32
	for i := range y {
		r := rest[:m.Cols-from]
		m.Decode(r, w[i*size : (i+1)*size][from*m.Bits/8:])
		for j, v := range r {
			y[i] += v * x[from+j]
		}
	}
}

// floats calls the body for rows of floats.
func floats(f Format, y *float32, w *byte, stride int, x *float32, pairs, steps, ahead int) {
	wide := level == vector.AVX512
	switch {
	case f.Bits == 32 && wide:
		dotFloatAVX512(y, w, stride, x, pairs, steps, 0, ahead)
	case f.Bits == 32:
		dotFloatAVX2(y, w, stride, x, pairs, steps, 0, ahead)
	case f.Brain && wide:
		dotBrainAVX512(y, w, stride, x, pairs, steps, 0, ahead)
	case f.Brain:
		dotBrainAVX2(y, w, stride, x, pairs, steps, 0, ahead)
	case wide:
		dotHalfAVX512(y, w, stride, x, pairs, steps, 0, ahead)
	default:
		dotHalfAVX2(y, w, stride, x, pairs, steps, 0, ahead)
	}
}

// single is rows of float32 in memory.
var single = Format{Packing: block.Packing{Bits: 32}}

func dots(y, w []float32, stride int, x []float32) {
	if level == vector.None {
		dotsGo(y, w, stride, x)
		return
	}
	steps, fetch := len(x)/Lane, 0
	if 4*stride*len(y) >= manyBytes {
		fetch = Pad(ahead, 8*stride)
	}
	if steps == 0 {
		clear(y)
	} else {
		if n := len(y) / 2; n > 0 {
			floats(single, &y[0], (*byte)(unsafe.Pointer(&w[0])), 4*stride, &x[0], n, steps, fetch)
		}
		if last := len(y) - 1; last%2 == 0 {
			var two [2]float32
			floats(single, &two[0], (*byte)(unsafe.Pointer(&w[last*stride])), 0, &x[0], 1, steps, 0)
			y[last] = two[0]
		}
	}
	for j := steps * Lane; j < len(x); j++ {
		for i := range y {
			y[i] += w[i*stride+j] * x[j]
		}
	}
}

// The bodies are explained in packed_amd64.s.

//go:noescape
func dot8AVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dot4AVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dot2AVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dotHalfAVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dotBrainAVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dotFloatAVX512(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dot8AVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dot4AVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dot2AVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dotHalfAVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dotBrainAVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)

//go:noescape
func dotFloatAVX2(y *float32, w *byte, stride int, x *float32, pairs, blocks, units, ahead int)
