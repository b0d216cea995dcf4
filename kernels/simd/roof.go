package simd

import (
	"encoding/binary"
	"runtime"
)

// MultiplyAdds does nothing but fused multiply-adds of float32 in registers, at the speed that bounds every product, and
// returns how many operations that were, each multiply-add counted as two.
func MultiplyAdds(rounds int) (flops int) { return multiplyAdds(rounds) }

// Read reads memory and does nothing with it, at the speed that bounds the product of a matrix with one vector. It
// returns how many bytes it read.
func Read(b []byte) int { return read(b) }

// Prefetch asks the processor to have b in its caches soon. It does not wait.
func Prefetch(b []byte) { prefetch(b) }

func multiplyAddsGo(rounds int) int {
	var sums [8]float32
	for range rounds {
		for i := range sums {
			sums[i] += sums[i] * 0.5
		}
	}
	runtime.KeepAlive(sums)
	return rounds * 2 * len(sums)
}

func readGo(b []byte) int {
	n, sum := len(b)&^7, uint64(0)
	for i := 0; i < n; i += 8 {
		sum += binary.LittleEndian.Uint64(b[i:])
	}
	runtime.KeepAlive(sum)
	return n
}
