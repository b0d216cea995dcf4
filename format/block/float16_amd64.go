package block

import "golang.org/x/sys/cpu"

// hasF16C: every processor with AVX2 and FMA converts float16 in hardware.
var hasF16C = cpu.X86.HasAVX2 && cpu.X86.HasFMA

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
