package simd

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

func multiplyAdds(rounds int) (flops int) {
	switch level {
	case vector.AVX512:
		fmaAVX512(rounds)
		return rounds * 16 * 16 * 2
	case vector.AVX2:
		fmaAVX2(rounds)
		return rounds * 12 * 8 * 2
	}
	return multiplyAddsGo(rounds)
}

func read(b []byte) int {
	n := len(b) &^ 255
	switch {
	case n == 0 || level == vector.None:
		return readGo(b)
	case level == vector.AVX512:
		readAVX512(&b[0], n)
	default:
		readAVX2(&b[0], n)
	}
	return n
}

func prefetch(b []byte) {
	if len(b) > 0 {
		prefetchLines(&b[0], (len(b)+63)/64)
	}
}

// prefetchLines prefetches n lines of 64 bytes into the second-level cache.
//
//go:noescape
func prefetchLines(b *byte, n int)

// fmaAVX512 does 16 multiply-adds of 16 numbers, none of which waits for another, rounds times.
//
//go:noescape
func fmaAVX512(rounds int)

// fmaAVX2 does 12 multiply-adds of 8 numbers rounds times.
//
//go:noescape
func fmaAVX2(rounds int)

// readAVX512 reads n bytes, a multiple of 256.
//
//go:noescape
func readAVX512(b *byte, n int)

//go:noescape
func readAVX2(b *byte, n int)
