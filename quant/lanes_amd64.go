package quant

import (
	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/internal/vector"
)

// level says which bodies run; tests lower it.
var level = vector.Best()

// stride is how many weights the vector bodies take at a time.
const stride = 32

// suits reports whether the vector bodies can take these: whole strides, without importances.
func suits(w, h []float32) bool {
	return level != vector.None && h == nil && len(w)%stride == 0 && len(w) > 0
}

// extent returns the least and the greatest of w, zero without its sign, and whether all are
// finite: if not, the two mean nothing.
func extent(w []float32) (lo, hi float32, finite bool) {
	if !suits(w, nil) {
		return extentGo(w)
	}
	lo, hi, odd := extentAVX2(&w[0], len(w))
	return lo, hi, odd == 0
}

// costs fills c with Σh(w−ŵ)² for each trial; h may be nil.
func costs(c, w, h []float32, trials []trial) {
	switch {
	case len(trials) == 0:
	case !suits(w, h):
		for i, t := range trials {
			c[i] = costGo(w, h, t)
		}
	case level == vector.AVX512:
		costsAVX512(&c[:len(trials)][0], &w[0], len(w), &trials[0], len(trials))
	default:
		costsAVX2(&c[:len(trials)][0], &w[0], len(w), &trials[0], len(trials))
	}
}

// measure returns the moments for the levels nearest to w·(1/s); h may be nil.
func measure(w, h []float32, t trial) (m moments) {
	switch {
	case !suits(w, h):
		return momentsGo(w, h, t)
	case level == vector.AVX512:
		m.d1, m.d2, m.w1, m.wd = momentsAVX512(&w[0], len(w), t)
	default:
		m.d1, m.d2, m.w1, m.wd = momentsAVX2(&w[0], len(w), t)
	}
	return m
}

// emit writes the codes of w and the padding, which is u from len(w) on, and returns Σ(w−ŵ)² and
// Σw². It may change u.
func emit(s block.Scheme, dst []byte, u []uint8, w []float32, t trial) (loss, power float32) {
	if !suits(w, nil) {
		loss, power = codesGo(u, w, t)
		s.Pack(dst, u)
		return loss, power
	}
	n := len(w) * s.Bits / 8
	s.Pack(dst[n:], u[len(w):])
	if d := &dst[:n][0]; level == vector.AVX512 {
		loss, power = encodeAVX512(d, &w[0], len(w), t, s.Bits)
	} else {
		loss, power = encodeAVX2(d, &w[0], len(w), t, s.Bits)
	}
	return loss, power
}

// The bodies in assembly; n is a multiple of stride.

//go:noescape
func extentAVX2(w *float32, n int) (lo, hi float32, odd uint32)

//go:noescape
func costsAVX2(c, w *float32, n int, trials *trial, k int)

//go:noescape
func costsAVX512(c, w *float32, n int, trials *trial, k int)

//go:noescape
func momentsAVX2(w *float32, n int, t trial) (d1, d2, w1, wd float32)

//go:noescape
func momentsAVX512(w *float32, n int, t trial) (d1, d2, w1, wd float32)

//go:noescape
func encodeAVX2(dst *byte, w *float32, n int, t trial, bits int) (loss, power float32)

//go:noescape
func encodeAVX512(dst *byte, w *float32, n int, t trial, bits int) (loss, power float32)
