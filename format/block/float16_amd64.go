package block

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

// hasF16C says whether the processor converts float16.
var hasF16C = vector.Best() >= vector.AVX2

func float16s(dst []byte, w []float32) {
	n := 0
	if hasF16C {
		if n = len(w) &^ 7; n > 0 {
			float16sAVX2(&dst[:2*n][0], &w[0], n)
		}
	}
	float16sGo(dst[2*n:], w[n:])
}

// float16sAVX2 converts n weights, a multiple of 8.
//
//go:noescape
func float16sAVX2(dst *byte, w *float32, n int)
