package quant

import (
	"math"
	"math/rand/v2"
)

// Rotation is an orthogonal matrix that spreads outliers of single columns over all columns: random
// signs, then a Hadamard transform within parts whose number is odd, and a cosine transform across
// them.
type Rotation struct {
	n, part int       // n is part, a power of two, times an odd number
	sign    []float32 // [n]
	mix     []float32 // [n/part][n/part]
}

// NewRotation returns a rotation of vectors of n numbers. The seed decides the signs.
func NewRotation(n int, seed uint64) *Rotation {
	r := &Rotation{n: n, part: n & -n, sign: make([]float32, n)}
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	for i := range r.sign {
		r.sign[i] = float32(1 - 2*int(rng.Uint64()&1))
	}
	m := n / r.part
	r.mix = make([]float32, m*m)
	for i := range m { // the orthonormal DCT-II
		for j := range m {
			c := math.Cos(math.Pi/float64(m)*(float64(i)+.5)*float64(j)) * math.Sqrt(2/float64(m))
			if j == 0 {
				c = math.Sqrt(1 / float64(m))
			}
			r.mix[i*m+j] = float32(c / math.Sqrt(float64(r.part)))
		}
	}
	return r
}

// Columns turns each column x of m, [n][cols], into xᵀ·R.
func (r *Rotation) Columns(m []float32, cols int) {
	row := func(i int) []float32 { return m[i*cols : (i+1)*cols] }
	for i, s := range r.sign {
		if s < 0 {
			for j, v := range row(i) {
				row(i)[j] = -v
			}
		}
	}
	for half := 1; half < r.part; half *= 2 {
		for at := 0; at < r.n; at += 2 * half {
			for i := at; i < at+half; i++ {
				butterfly(row(i), row(i+half))
			}
		}
	}
	parts := r.n / r.part
	in := make([]float32, parts*cols)
	for k := range r.part { // of each part
		for p := range parts {
			copy(in[p*cols:(p+1)*cols], row(p*r.part+k))
		}
		for q := range parts {
			out := row(q*r.part + k)
			clear(out)
			for p := range parts {
				axpy(out, r.mix[p*parts+q], in[p*cols:(p+1)*cols])
			}
		}
	}
}

// butterfly makes x+y and x−y of x and y.
func butterfly(x, y []float32) {
	y = y[:len(x)]
	for i, a := range x {
		b := y[i]
		x[i], y[i] = a+b, a-b
	}
}

// Row turns x into x·R; where x is longer than the rotation, each part of its length.
func (r *Rotation) Row(x []float32) {
	for ; len(x) > 0; x = x[r.n:] {
		r.Columns(x[:r.n], 1)
	}
}
