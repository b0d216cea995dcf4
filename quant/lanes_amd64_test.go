package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/internal/vector"
)

// withBody runs f with each body that this processor has but the scalar one.
func withBody(t *testing.T, f func(t *testing.T)) {
	have := level
	defer func() { level = have }()
	if have == vector.None {
		t.Skip("no AVX2 here: only the scalar bodies run")
	}
	for level = vector.AVX2; level <= have; level++ {
		t.Run(level.String(), f)
	}
}

// kinds of weights beyond those of rows: bits at random and what lies at the ends of float32.
func anyFinite(r *rand.Rand, w []float32) {
	odd := []uint32{0, 1, 2, 0x007fffff, 0x00800000, 0x33800000, 0x38800000, 0x387fffff, 0x477fe000, 0x7f7fffff}
	for i := range w {
		b := r.Uint32()
		if r.IntN(4) == 0 {
			b = odd[r.IntN(len(odd))] | b&(1<<31)
		}
		if b>>23&0xff == 0xff {
			b &^= 1 << 23
		}
		w[i] = math.Float32frombits(b)
	}
}

// TestLanes compares each body in assembly with the scalar one, bit by bit.
func TestLanes(t *testing.T) {
	withBody(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(11, uint64(level)))
		fills := []func(*rand.Rand, []float32){anyFinite}
		for _, f := range rows {
			fills = append(fills, f)
		}
		for range 300 {
			for _, s := range schemes() {
				n := 1 + rnd.IntN(s.Block)
				if rnd.IntN(2) == 0 {
					n = (n + stride - 1) / stride * stride
				}
				w := make([]float32, n+1)[1:] // aligned to nothing
				tr := randomTrial(rnd, s)
				if k := rnd.IntN(len(fills) + 1); k < len(fills) {
					fills[k](rnd, w)
				} else {
					ties(rnd, w, tr.s)
				}
				compareBodies(t, rnd, s, w, tr)
			}
		}
	})
}

func compareBodies(t *testing.T, rnd *rand.Rand, s block.Scheme, w []float32, tr trial) {
	t.Helper()
	name := fmt.Sprintf("%v, %d weights, %v", s, len(w), tr)
	lo, hi, finite := extent(w)
	if l, h, f := extentGo(w); !sameBits(l, lo) || !sameBits(h, hi) || f != finite {
		t.Fatalf("%s: extent %v to %v, %v: want %v to %v, %v", name, lo, hi, finite, l, h, f)
	}
	trials := []trial{tr}
	for range rnd.IntN(5) {
		trials = append(trials, randomTrial(rnd, s))
	}
	got := make([]float32, len(trials))
	costs(got, w, nil, trials)
	for i, c := range got {
		if want := costGo(w, nil, trials[i]); !sameBits(c, want) {
			t.Fatalf("%s: trial %d costs %v, want %v", name, i, c, want)
		}
	}
	m, want := measure(w, nil, tr), momentsGo(w, nil, tr)
	if !sameBits(m.d1, want.d1) || !sameBits(m.d2, want.d2) || !sameBits(m.w1, want.w1) || !sameBits(m.wd, want.wd) {
		t.Fatalf("%s: moments %v, want %v", name, m, want)
	}
	a, b, u := make([]byte, s.BlockBytes()), make([]byte, s.BlockBytes()), make([]uint8, s.Block)
	l0, p0 := codesGo(u, w, tr)
	s.Pack(b, u)
	l, p := emit(s, a, u, w, tr)
	if string(a) != string(b) || !sameBits(l, l0) || !sameBits(p, p0) {
		t.Fatalf("%s: codes % x with sums %v, %v\nwant % x with %v, %v", name, a, l, p, b, l0, p0)
	}
}

// sameBits compares bits; one NaN is like another.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// TestExtentNotFinite puts one odd number at each place.
func TestExtentNotFinite(t *testing.T) {
	withBody(t, func(t *testing.T) {
		for _, n := range []int{32, 128, 256} {
			for i := range n {
				for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
					w := make([]float32, n)
					w[i] = v
					if _, _, finite := extent(w); finite {
						t.Fatalf("%v at %d of %d was not seen", v, i, n)
					}
				}
			}
		}
	})
}

// TestSweep compares the bodies in assembly with the scalar one, bit by bit, for rows of every length.
func TestSweep(t *testing.T) {
	withBody(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(12, 13))
		for n := range 300 {
			k, step := rnd.IntN(4), n+rnd.IntN(3)
			a, x, y := make([]float32, k), make([]float32, k*step+n+1)[1:], make([]float32, n+1)[1:]
			anyFinite(rnd, x)
			anyFinite(rnd, y)
			for i := range a {
				a[i] = float32(rnd.NormFloat64())
			}
			want := append([]float32(nil), y...)
			sweepGo(want, a, x, step)
			sweep(y, a, x, step)
			for i := range y {
				if !sameBits(y[i], want[i]) {
					t.Fatalf("%d rows of %d numbers, number %d: %v, want %v", k, n, i, y[i], want[i])
				}
			}
		}
	})
}

// TestDot64 does the same for products of vectors.
func TestDot64(t *testing.T) {
	withBody(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(14, 15))
		for n := range 200 {
			a, b := make([]float64, n), make([]float64, n+3)
			for i := range a {
				a[i], b[i] = rnd.NormFloat64(), rnd.NormFloat64()
			}
			if got, want := dot64(a, b[:n]), dot64Go(a, b[:n]); got != want {
				t.Fatalf("%d numbers: %v, want %v", n, got, want)
			}
			x, y := make([]float32, n+1)[1:], make([]float32, n)
			for i := range x {
				x[i], y[i] = float32(a[i]), float32(b[i])
			}
			if got, want := inner(x, y), innerGo(x, y); got != want {
				t.Fatalf("%d numbers of float32: %v, want %v", n, got, want)
			}
		}
	})
}
