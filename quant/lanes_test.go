package quant

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// ties fills w with weights at and beside the middle between two levels.
func ties(r *rand.Rand, w []float32, s float32) {
	for i := range w {
		w[i] = (float32(r.IntN(600)) - 300 + .5) * s
		switch r.IntN(4) {
		case 0:
			w[i] = math.Nextafter32(w[i], 0)
		case 1:
			w[i] = math.Nextafter32(w[i], 1e9)
		}
	}
}

func randomTrial(r *rand.Rand, s block.Scheme) trial {
	scale := block.FromFloat16(uint16(0x400 + r.IntN(0x7800)))
	if r.IntN(2) == 0 {
		scale = block.FromFloat16(block.Float16(.001 + r.Float32()))
	}
	lo := float32(s.Low() - (r.IntN(256) - 128))
	return trial{1 / scale, scale, lo, lo + float32(s.Steps())}
}

// TestCodesExact compares codes at and beside the middle between two levels with those of float64,
// whose quotient cannot be mistaken for a tie.
func TestCodesExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(12, 13))
	w, u := make([]float32, 256), make([]uint8, 256)
	for range 3000 {
		for _, bits := range []int{8, 4, 2} {
			tr := randomTrial(rnd, block.Scheme{Bits: bits, Block: 256})
			ties(rnd, w, tr.s)
			codesGo(u, w, tr)
			for i, v := range w {
				d := min(max(math.RoundToEven(float64(v)/float64(tr.s)), float64(tr.lo)), float64(tr.hi))
				if got := float64(tr.lo) + float64(u[i]); got != d {
					t.Fatalf("%v (%#08x) with scale %v: level %v, want %v", v, math.Float32bits(v), tr.s, got, d)
				}
			}
		}
	}
}

// TestSumSquares compares it with float64, for rows of every kind of length.
func TestSumSquares(t *testing.T) {
	rnd := rand.New(rand.NewPCG(14, 15))
	for _, n := range []int{0, 1, 31, 32, 576, 1000} {
		w, want := make([]float32, n), 0.
		for i := range w {
			w[i] = float32(rnd.NormFloat64())
			want += float64(w[i]) * float64(w[i])
		}
		if got := float64(SumSquares(w)); math.Abs(got-want) > 1e-5*want {
			t.Errorf("%d numbers: %v, want %v", n, got, want)
		}
	}
}
