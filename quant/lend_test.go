package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// TestLend rounds for few inputs of an expert, half of whose strength lies in the directions of all experts: with inputs lent, its
// outputs for many other inputs of its own must be nearer than without, and nearer than for all experts' inputs.
func TestLend(t *testing.T) {
	const n, rows = 96, 16
	rng := rand.New(rand.NewPCG(5, 6))
	common, own := directions(rng, n), directions(rng, n)
	few, many, all := newSums(n), newSums(n), newSums(n)
	draw := func(s *Sums, tokens int, share float64) {
		for range tokens {
			x := make([]float32, n)
			for k := range n {
				a, b := float32(share*rng.NormFloat64()), float32(math.Sqrt(1-share*share)*rng.NormFloat64())
				axpy(x, a, common[k])
				axpy(x, b, own[k])
			}
			for i, v := range x {
				axpy(s.Inputs[i*n:(i+1)*n], v, x)
			}
		}
		s.Tokens += tokens
	}
	draw(few, n/2, 0.7)
	draw(many, 4000, 0.7)
	draw(all, 4000, 1)
	s := block.Scheme{Bits: 4, Block: 32}
	w := make([]float32, rows*n)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	loss := func(sums *Sums) (sum float64) {
		f, err := NewFeedback(sums.Inputs, n, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRounder(f, s, Options{}, 3)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, s.RowBytes(n))
		for at := 0; at < len(w); at += n {
			if _, err := r.Rows(row, w[at:at+n]); err != nil {
				t.Fatal(err)
			}
			sum += outputLoss(many.Inputs, w[at:at+n], s, row)
		}
		return sum
	}
	before := slices.Clone(few.Inputs)
	lent, alone, pooled, best := loss(few.Lend(all, n)), loss(few), loss(all), loss(many)
	t.Logf("loss for many inputs %.4g, lent %.4g, alone %.4g, pooled %.4g", best, lent, alone, pooled)
	if !(lent < 0.9*alone && lent < 0.9*pooled) {
		t.Errorf("loss %.4g with inputs lent, %.4g without, %.4g for those of all", lent, alone, pooled)
	}
	if !slices.Equal(before, few.Inputs) {
		t.Error("the sums were changed")
	}
	if got := few.Lend(&Sums{Inputs: all.Inputs}, n); got != few {
		t.Error("of no inputs something was lent")
	}
}

func newSums(n int) *Sums { return &Sums{Inputs: make([]float32, n*n)} }

// directions returns n random directions, the later ones the weaker.
func directions(rng *rand.Rand, n int) [][]float32 {
	all := make([][]float32, n)
	for k := range all {
		all[k] = make([]float32, n)
		for j := range all[k] {
			all[k][j] = float32(rng.NormFloat64() / math.Sqrt(float64(k+1)))
		}
	}
	return all
}
