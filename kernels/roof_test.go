package kernels_test

import (
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestRoof: every step of a chain rounds its value once (twice, if a driver has no fused operation), and
// the steps after it do not amplify that; the sum adds 32 numbers.
func TestRoof(t *testing.T) {
	const rounds, threads = 20, 128
	y := normals(random(1), threads, 0, 1)
	want := make([]value, threads)
	for i, first := range y {
		var sum, size float64
		for _, s := range []float64{float64(first), 0.25, 0.5, 0.75} {
			for chain := range 8 {
				v := s + float64(chain)
				for range rounds {
					v = v*float64(float32(0.999)) + s
				}
				sum += v
				size += math.Abs(s)*(rounds+1) + float64(chain)
			}
		}
		want[i] = value{sum, size * (2*rounds + 1 + 32) * unit}
	}
	launch(t, "roof", kernels.Consts{"ROUNDS": rounds, "LANES": 64}, threads/64, 1, y)
	for i, v := range want {
		v.check(t, "y", i, y[i])
	}
}
