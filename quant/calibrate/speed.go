package calibrate

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// Time reports about how long a text of so many operations (see convert.LookCalibration) takes on this CPU, from a sample
// of a twentieth of a second.
func Time(operations float64) time.Duration {
	// The sample knows products alone. Half of the time goes into all else: reading and decoding weights,
	// attention, turning matrices around.
	const others = 2
	return time.Duration(others * operations / speed() * float64(time.Second))
}

// speed returns the operations a second of products on all processors.
func speed() float64 {
	const size, sample = 96, 50 * time.Millisecond
	var products atomic.Int64
	begun := time.Now()
	parallel(runtime.GOMAXPROCS(0), func(int) {
		x, w := simd.NewMatrix(size, size, simd.TileTokens*simd.TileRows), simd.NewMatrix(size, size, simd.TileTokens*simd.TileRows)
		sum := make([]float32, size*size)
		for time.Since(begun) < sample {
			simd.Product(sum, size, x, w, false)
			products.Add(1)
		}
	})
	return 2 * size * size * size * float64(products.Load()) / time.Since(begun).Seconds()
}
