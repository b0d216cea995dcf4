package hf

import (
	"unsafe"

	"github.com/llama-webgpu/llama-webgpu/internal/vector"
)

// vectors says whether the bodies in assembly run. They take 16 elements at a time.
var vectors = vector.Best() >= vector.AVX2

const stride = 16

func float16sTo32(dst []float32, src []byte) {
	n := whole(len(dst))
	if n > 0 {
		float16sAVX2(&dst[0], &src[:2*n][0], n)
	}
	float16sTo32Go(dst[n:], src[2*n:])
}

func bfloat16sTo32(dst []float32, src []byte) {
	n := whole(len(dst))
	if n > 0 {
		bfloat16sAVX2(&dst[0], &src[:2*n][0], n)
	}
	bfloat16sTo32Go(dst[n:], src[2*n:])
}

// float32s copies: the processor is little-endian, as the file is.
func float32s(dst []float32, src []byte) {
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), 4*len(dst)), src)
}

// whole returns how many of n elements the bodies in assembly take.
func whole(n int) int {
	if !vectors {
		return 0
	}
	return n / stride * stride
}

//go:noescape
func float16sAVX2(dst *float32, src *byte, n int)

//go:noescape
func bfloat16sAVX2(dst *float32, src *byte, n int)
