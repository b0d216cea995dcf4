package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRotation checks that rotations keep products, treat rows as columns, and spread a single spike.
func TestRotation(t *testing.T) {
	for _, n := range []int{1, 2, 3, 64, 80, 96, 128, 896, 2560} {
		r := NewRotation(n, 7)
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			x[i], y[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
		}
		m := make([]float32, 2*n)
		for i := range n {
			m[2*i], m[2*i+1] = x[i], y[i]
		}
		want, size := product(x, y), product(x, x)
		r.Columns(m, 2)
		r.Row(x)
		r.Row(y)
		if got := product(x, y); math.Abs(got-want) > 1e-4*math.Sqrt(float64(n)) {
			t.Errorf("%d: x·y was %v, is %v", n, want, got)
		}
		if got := product(x, x); math.Abs(got-size) > 1e-5*size {
			t.Errorf("%d: x·x was %v, is %v", n, size, got)
		}
		for i := range n {
			if m[2*i] != x[i] || m[2*i+1] != y[i] {
				t.Fatalf("%d: columns are not rotated as rows", n)
			}
		}
		spike := make([]float32, n)
		spike[n/2] = 1
		r.Row(spike)
		for i, v := range spike {
			if most := math.Sqrt(2 / float64(n)); n > 1 && math.Abs(float64(v)) > 1.0001*most {
				t.Errorf("%d: of a spike, %v is in place %d, want at most %v", n, v, i, most)
			}
		}
	}
}

func product(x, y []float32) (sum float64) {
	for i := range x {
		sum += float64(x[i]) * float64(y[i])
	}
	return sum
}
