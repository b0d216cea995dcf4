package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// inputs returns Σ x·xᵀ [n][n] of correlated inputs, some columns stronger, one without any.
func inputs(rng *rand.Rand, n int) []float32 {
	h := make([]float32, n*n)
	x, base := make([]float64, n), make([]float64, 4)
	for range 4 * n {
		for i := range base {
			base[i] = rng.NormFloat64()
		}
		for j := range x {
			x[j] = (rng.NormFloat64() + base[j%4]) * (1 + float64(j%7))
			if j == n/2 {
				x[j] = 0
			}
		}
		for i := range n {
			for j := range i + 1 {
				h[i*n+j] += float32(x[i] * x[j])
			}
		}
	}
	return h
}

// outputLoss is (w−ŵ)ᵀ·h·(w−ŵ) of a row, h's lower triangle given.
func outputLoss(h []float32, w []float32, s Scheme, row []byte) float64 {
	n := len(w)
	got := make([]float32, n)
	s.DecodeRow(got, row)
	var sum float64
	for i := range n {
		for j := range n {
			v := h[max(i, j)*n+min(i, j)]
			sum += float64(w[i]-got[i]) * float64(v) * float64(w[j]-got[j])
		}
	}
	return sum
}

// TestRounder checks that feedback loses less of the outputs than the search that weights columns,
// that rounds of refinement lose less still, and that what is written is what was meant.
func TestRounder(t *testing.T) {
	for _, s := range []Scheme{{8, 128}, {4, 32}, {4, 128}, {2, 64}, {2, 256}} {
		for _, n := range []int{96, 300} {
			t.Run(fmt.Sprintf("%v/%d", s, n), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(n), 9))
				h := inputs(rng, n)
				f, err := NewFeedback(h, n, 0.01)
				if err != nil {
					t.Fatal(err)
				}
				var losses [4]float64
				for range 12 {
					w := make([]float32, n)
					for j := range w {
						w[j] = float32(rng.NormFloat64()) * 0.02
					}
					for i, row := range rowsOf(t, f, s, w) {
						losses[i] += outputLoss(h, w, s, row)
					}
				}
				if !(losses[1] < 0.8*losses[0] && losses[2] < losses[1] && losses[3] <= losses[2]) {
					t.Errorf("losses of search, feedback, 1 and 3 rounds: %.3g", losses)
				}
			})
		}
	}
}

// rowsOf encodes w by the search, by feedback, and with 1 and 3 rounds of refinement.
func rowsOf(t *testing.T, f *Feedback, s Scheme, w []float32) [][]byte {
	t.Helper()
	weights := make([]float32, f.n)
	for j := range weights {
		weights[j] = f.hess[j*f.n+j]
	}
	e, err := NewEncoder(s, Options{Method: Search, Weights: weights})
	if err != nil {
		t.Fatal(err)
	}
	rows := [][]byte{make([]byte, s.RowBytes(len(w)))}
	if err := e.Row(rows[0], w); err != nil {
		t.Fatal(err)
	}
	for _, rounds := range []int{0, 1, 3} {
		r, err := NewRounder(f, s, Options{}, rounds)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, s.RowBytes(len(w)))
		if err := r.Row(row, w); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(w))
		s.DecodeRow(got, row)
		var loss float64
		for j := range w {
			if got[j] != r.value(j) {
				t.Fatalf("column %d: %v is written, %v was meant", j, got[j], r.value(j))
			}
			loss += (float64(w[j]) - float64(got[j])) * (float64(w[j]) - float64(got[j]))
		}
		if st := r.Stats(); math.Abs(st.Error-loss) > 1e-9*loss {
			t.Fatalf("stats say %v was lost, %v was", st.Error, loss)
		}
		rows = append(rows, row)
	}
	return rows
}

// TestFeedbackIdentity checks that independent inputs of equal strength make plain rounding.
func TestFeedbackIdentity(t *testing.T) {
	const n = 64
	h := make([]float32, n*n)
	for j := range n {
		h[j*n+j] = 5
	}
	f, err := NewFeedback(h, n, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		w := make([]float32, n)
		for j := range w {
			w[j] = float32(rng.NormFloat64())
		}
		w[3] = 0
		rows := rowsOf(t, f, Scheme{4, 32}, w)
		if !slices.Equal(rows[0], rows[1]) {
			t.Fatal("feedback differs from the search though no input depends on another")
		}
	}
}

func TestFeedbackErrors(t *testing.T) {
	nan := float32(math.NaN())
	for name, h := range map[string][]float32{
		"length": make([]float32, 3), "zero": make([]float32, 4), "NaN": {nan, 0, 0, 1}, "negative": {-1, 0, 0, 1}, "indefinite": {1, 0, 5, 1},
	} {
		if _, err := NewFeedback(h, 2, 0.01); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
