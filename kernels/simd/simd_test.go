package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/vector"
)

// eachLevel runs a test with each set of instructions that this processor has.
func eachLevel(t *testing.T, f func(*testing.T)) {
	most, bytes := level, vnni
	defer func() { level, vnni = most, bytes }()
	vnni = false
	for _, level = range vector.Levels() {
		t.Run(Name(), f)
	}
	if vnni = bytes; vnni {
		t.Run(Name(), f)
	}
}

func random(r *rand.Rand, rows, cols, rowsTo int) Matrix {
	m := NewMatrix(rows, cols, rowsTo)
	for i := range rows {
		for j := range cols {
			m.Row(i)[j] = float32(r.NormFloat64())
		}
	}
	return m
}

func TestProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachLevel(t, func(t *testing.T) {
		for _, size := range [][3]int{{1, 1, 1}, {6, 4, 16}, {7, 5, 17}, {5, 3, 100}, {13, 70, 64}, {12, 8, 2100}, {1, 33, 576}} {
			for _, add := range []bool{false, true} {
				tokens, rows, cols := size[0], size[1], size[2]
				x, w := random(r, tokens, cols, TileTokens), random(r, rows, cols, TileRows)
				stride := rows + 3
				c := make([]float32, tokens*stride)
				for i := range c {
					c[i] = float32(i)
				}
				Product(c, stride, x, w, add)
				for i := range tokens {
					for j := range stride {
						want, bound := 0.0, 0.0
						if add || j >= rows {
							want = float64(i*stride + j)
						}
						for k := 0; j < rows && k < cols; k++ {
							p := float64(x.Row(i)[k]) * float64(w.Row(j)[k])
							want += p
							bound += math.Abs(p)
						}
						if d := math.Abs(float64(c[i*stride+j]) - want); d > 1e-5*(bound+math.Abs(want)) {
							t.Fatalf("%v, add %v: [%d][%d] is %v, want %v", size, add, i, j, c[i*stride+j], want)
						}
					}
				}
			}
		}
	})
}

// TestProductOfParts: cutting the rows of x changes no bit.
func TestProductOfParts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	eachLevel(t, func(t *testing.T) {
		x, w := random(r, 17, 1500, TileTokens), random(r, 9, 1500, TileRows)
		whole, one := make([]float32, 17*9), make([]float32, 9)
		Product(whole, 9, x, w, false)
		for i := range 17 {
			single := NewMatrix(1, 1500, TileTokens)
			copy(single.Row(0), x.Row(i))
			Product(one, 9, single, w, false)
			for j, v := range one {
				if v != whole[i*9+j] {
					t.Fatalf("row %d, column %d: %v alone, %v among others", i, j, v, whole[i*9+j])
				}
			}
		}
	})
}

func TestPointwise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 8, 9, 1000, 5000} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.NormFloat64() * 20)
			}
			check(t, "softmax", x, Softmax, func(x []float32) { scaleBy(x, float32(1/expShiftGo(x, maxOf(x)))) })
			check(t, "silu", x, SiLU, func(x []float32) { gateGo(x, 1, 0) })
			check(t, "gelu", x, GELUTanh, func(x []float32) {
				for i, v := range x {
					u := float64(v)
					x[i] = float32(u / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(u+0.044715*u*u*u))))
				}
			})
		}
		for _, v := range []float32{-1e30, -200, -88, 0, 88, 200, 1e4, float32(math.Inf(1))} {
			x := []float32{v, v, v, v, v, v, v, v}
			SiLU(x)
			if want := max(v, 0); math.Abs(float64(x[0]-want)) > 1e-5*math.Abs(float64(want))+1e-6 {
				t.Errorf("silu(%v) is %v", v, x[0])
			}
		}
		x := []float32{1, float32(math.NaN()), 3, 4, 5, 6, 7, 8}
		SiLU(x)
		if x[1] == x[1] {
			t.Error("silu(NaN) is a number")
		}
	})
}

func maxOf(x []float32) float32 {
	m := x[0]
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

func scaleBy(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

func check(t *testing.T, name string, x []float32, f, want func([]float32)) {
	t.Helper()
	a, b := append([]float32(nil), x...), append([]float32(nil), x...)
	f(a)
	want(b)
	for i := range a {
		if d := math.Abs(float64(a[i] - b[i])); d > 2e-6*math.Abs(float64(b[i]))+1e-7 {
			t.Fatalf("%s of %d: [%d] of %v is %v, want %v", name, len(x), i, x[i], a[i], b[i])
		}
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{512, 64, 576}, {512, 64, 4096}, {64, 512, 64}} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			x, w := random(r, size[0], size[2], TileTokens), random(r, size[1], size[2], TileRows)
			c := make([]float32, size[0]*size[1])
			for b.Loop() {
				Product(c, size[1], x, w, false)
			}
			b.ReportMetric(2*float64(size[0]*size[1]*size[2])*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkSoftmax(b *testing.B) {
	x := make([]float32, 512)
	for b.Loop() {
		Softmax(x)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/512*1e9, "ns/element")
}
