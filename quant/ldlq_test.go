package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCholesky checks over several panels that the factor's products are the matrix, and that a row without
// anything of its own is named.
func TestCholesky(t *testing.T) {
	const n = 3*panel + 7
	random := rand.New(rand.NewPCG(1, 2))
	half := make([][]float64, n)
	for i := range half {
		half[i] = make([]float64, n)
		for j := range half[i] {
			half[i][j] = random.NormFloat64()
		}
		half[i][i] += n
	}
	triangle := func() [][]float64 {
		l := make([][]float64, n)
		for i := range l {
			l[i] = make([]float64, i+1)
			for j := range l[i] {
				l[i][j] = dot64(half[i], half[j])
			}
		}
		return l
	}
	want, l := triangle(), triangle()
	if i := cholesky(l); i != -1 {
		t.Fatalf("row %d is said to depend on those before", i)
	}
	for i := range n {
		for j := range i + 1 {
			if got := dot64(l[i][:j+1], l[j][:j+1]); !(math.Abs(got-want[i][j]) <= 1e-9*want[i][i]) {
				t.Fatalf("row %d, column %d: %v, want %v", i, j, got, want[i][j])
			}
		}
	}
	const bad = panel + 9
	clear(half[bad])
	if i := cholesky(triangle()); i != bad {
		t.Errorf("row %d is said to depend on those before, want %d", i, bad)
	}
}
