package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// Roof is what all cores of the processor can do at most.
type Roof struct {
	Read  float64 // bytes a second that they read from memory
	FLOPs float64 // operations on float32 a second, a fused multiply-add counted as two
}

// roofBytes is more than the caches of a processor hold; roofTime is how long each of the two is measured.
const (
	roofBytes = 512 << 20
	roofTime  = 300 * time.Millisecond
)

// MeasureRoof measures the processor for somewhat more than half a second. It takes half a gigabyte for that.
func MeasureRoof() Roof {
	cores := runtime.GOMAXPROCS(0)
	memory := make([]byte, roofBytes)
	for i := 0; i < len(memory); i += 4096 { // or the system would give one page for all
		memory[i] = 1
	}
	const piece = 1 << 20
	var next atomic.Int64
	return Roof{
		Read: rate(cores, func(int) int {
			at := next.Add(piece) % roofBytes
			return simd.Read(memory[at:min(at+piece, roofBytes)])
		}),
		FLOPs: rate(cores, func(int) int { return simd.MultiplyAdds(1 << 12) }),
	}
}

// rate calls work on every core, again and again, and returns the sum of what it returns a second.
func rate(cores int, work func(core int) int) float64 {
	var (
		done  atomic.Int64
		group sync.WaitGroup
	)
	begun := time.Now()
	for core := range cores {
		group.Go(func() {
			for time.Since(begun) < roofTime {
				done.Add(int64(work(core)))
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(begun).Seconds()
}
