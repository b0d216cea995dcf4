package quant

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
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
func outputLoss(h []float32, w []float32, s block.Scheme, row []byte) float64 {
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
	for _, s := range []block.Scheme{{Bits: 8, Block: 128}, {Bits: 4, Block: 32}, {Bits: 4, Block: 128}, {Bits: 2, Block: 64}, {Bits: 2, Block: 256}} {
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
				if !(losses[1] < 0.8*losses[0] && losses[2] < losses[1] && losses[3] <= 1.01*losses[2]) {
					// (1 and 3 rounds may end in different minima)
					t.Errorf("losses of search, feedback, 1 and 3 rounds: %.3g", losses)
				}
			})
		}
	}
}

// rowsOf encodes w by the search, by feedback, and with 1 and 3 rounds of refinement.
func rowsOf(t *testing.T, f *Feedback, s block.Scheme, w []float32) [][]byte {
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
		if _, err := r.Rows(row, w); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(w))
		s.DecodeRow(got, row)
		var loss float64
		for j := range w {
			if got[j] != r.value(r.rows[0], j) {
				t.Fatalf("column %d: %v is written, %v was meant", j, got[j], r.value(r.rows[0], j))
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
		rows := rowsOf(t, f, block.Scheme{Bits: 4, Block: 32}, w)
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

// TestToward checks that with y = M·x and d = v·x a row w becomes w·M + v, and that half the share goes
// half the way.
func TestToward(t *testing.T) {
	const n = 96
	rng := rand.New(rand.NewPCG(3, 4))
	h := inputs(rng, n)
	m := make([]float32, n*n) // near the identity
	for i := range m {
		m[i] = float32(rng.NormFloat64()) * 0.02
		if i%(n+1) == 0 {
			m[i]++
		}
	}
	gap := make([]float32, n*n) // m·h − h
	for i := range n {
		for j := range n {
			gap[i*n+j] = -h[max(i, j)*n+min(i, j)]
			for k := range n {
				gap[i*n+j] += m[i*n+k] * h[max(k, j)*n+min(k, j)]
			}
		}
	}
	debt := make([]float32, 2*n) // v·h, the second row
	v := make([]float32, n)
	for k := range n {
		v[k] = float32(rng.NormFloat64()) * 0.02
		for j := range n {
			debt[n+j] += v[k] * h[max(k, j)*n+min(k, j)]
		}
	}
	w := make([]float32, n)
	for j := range w {
		w[j] = float32(rng.NormFloat64()) * 0.02
	}
	w[n/2] = 0 // no input
	for _, share := range []float64{1, .5} {
		f, err := NewFeedback(h, n, 1e-6)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Toward(&Sums{Tokens: 1 << 40, Gap: gap, Debt: debt}, share); err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(w)
		x := newRounding(n, 1, false)
		copy(x.w, got)
		f.aim([]*rounding{x}, 1)
		copy(got, x.w)
		for j := range n {
			if j == n/2 {
				continue // nothing is known of what it should be
			}
			var want float64
			for i := range n {
				want += float64(w[i]) * float64(m[i*n+j])
			}
			want = float64(w[j]) + share*(want-float64(w[j])+float64(v[j]))
			if d := math.Abs(float64(got[j]) - want); d > 1e-4 {
				t.Fatalf("share %v, column %d: %v, want %v", share, j, got[j], want)
			}
		}
	}
}

// TestTowardOutputs checks that rows that aim at the float model's outputs come closer to them.
func TestTowardOutputs(t *testing.T) {
	const n, tokens, rows = 64, 600, 10
	rng := rand.New(rand.NewPCG(5, 6))
	h, gap := make([]float32, n*n), make([]float32, n*n)
	xs, ys := make([][]float32, tokens), make([][]float32, tokens)
	for k := range tokens { // x is what is left of y after a lossy layer
		xs[k], ys[k] = make([]float32, n), make([]float32, n)
		for j := range n {
			ys[k][j] = float32(rng.NormFloat64())
		}
		for j := range n {
			xs[k][j] = 0.9*ys[k][j] + 0.3*ys[k][(j+1)%n] + 0.1*float32(rng.NormFloat64())
		}
		for i := range n {
			axpy(h[i*n:(i+1)*n], xs[k][i], xs[k])
			axpy(gap[i*n:(i+1)*n], ys[k][i]-xs[k][i], xs[k])
		}
	}
	loss := func(share float64) (sum float64) {
		f, err := NewFeedback(h, n, 0.01)
		if err == nil && share > 0 {
			err = f.Toward(&Sums{Tokens: 1 << 40, Gap: gap}, share)
		}
		if err != nil {
			t.Fatal(err)
		}
		s := block.Scheme{Bits: 4, Block: 32}
		r, err := NewRounder(f, s, Options{}, 3)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(7, 8))
		w, got, row := make([]float32, n), make([]float32, n), make([]byte, s.RowBytes(n))
		for range rows {
			for j := range w {
				w[j] = float32(rng.NormFloat64())
			}
			if _, err := r.Rows(row, w); err != nil {
				t.Fatal(err)
			}
			s.DecodeRow(got, row)
			for k := range tokens {
				d := inner(w, ys[k]) - inner(got, xs[k])
				sum += d * d
			}
		}
		return sum
	}
	none, half, all := loss(0), loss(.5), loss(1)
	if !(all < half && half < none && all < none/2) {
		t.Errorf("losses with shares 0, 1/2 and 1: %.3g %.3g %.3g", none, half, all)
	}
}

// TestRounderSanitize checks that what is not finite is replaced before errors move on.
func TestRounderSanitize(t *testing.T) {
	const n = 64
	f, err := NewFeedback(inputs(rand.New(rand.NewPCG(1, 2)), n), n, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	s := block.Scheme{Bits: 4, Block: 32}
	r, err := NewRounder(f, s, Options{Sanitize: true}, 2)
	if err != nil {
		t.Fatal(err)
	}
	w, clean := make([]float32, n), make([]float32, n)
	for j := range w {
		w[j] = float32(j%5) - 2
	}
	copy(clean, w)
	w[7], clean[7] = float32(math.NaN()), 0
	w[40], clean[40] = float32(math.Inf(1)), 2
	a, b := make([]byte, s.RowBytes(n)), make([]byte, s.RowBytes(n))
	if _, err := r.Rows(a, w); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rows(b, clean); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a, b) {
		t.Error("NaN and infinity are not rounded as what replaces them")
	}
}

// TestRowsTogether checks that a row comes out the same by itself and among others, whatever these are and wherever it
// stands, and that a row that cannot be encoded is named.
func TestRowsTogether(t *testing.T) {
	const n, rows = 100, 2*RowsAtATime + 3
	rng := rand.New(rand.NewPCG(8, 9))
	f, err := NewFeedback(inputs(rng, n), n, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	gap, debt := make([]float32, n*n), make([]float32, rows*n)
	for i := range gap {
		gap[i] = float32(rng.NormFloat64())
	}
	for i := range debt {
		debt[i] = float32(rng.NormFloat64())
	}
	if err := f.Toward(&Sums{Tokens: 1 << 20, Gap: gap, Debt: debt}, .5); err != nil {
		t.Fatal(err)
	}
	s := block.Scheme{Bits: 4, Block: 32}
	w, size := make([]float32, rows*n), s.RowBytes(n)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	all, err := NewRounder(f, s, Options{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, rows*size)
	if done, err := all.Rows(want, w); err != nil || done != rows {
		t.Fatal(done, err)
	}
	for row := range rows {
		one, err := NewRounder(f, s, Options{}, 3)
		if err != nil {
			t.Fatal(err)
		}
		one.Seek(row)
		got := make([]byte, size)
		if _, err := one.Rows(got, w[row*n:(row+1)*n]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want[row*size:(row+1)*size]) || one.Losses[0] != all.Losses[row] {
			t.Fatalf("row %d is another by itself", row)
		}
	}
	const bad = RowsAtATime + 2
	w[bad*n+7] = float32(math.NaN())
	all.Seek(0)
	var e *WeightError
	if row, err := all.Rows(want, w); row != bad || !errors.As(err, &e) || e.Col != 7 {
		t.Errorf("row %d, %v: want row %d, column 7", row, err, bad)
	}
}

// TestHugeColumn checks that feedback still gains in the other columns when the inputs of one are thousands of times as
// large, as they are where models keep massive activations.
func TestHugeColumn(t *testing.T) {
	const n, huge, times = 300, 7, 3000
	rng := rand.New(rand.NewPCG(31, 32))
	h := inputs(rng, n)
	gain := func(h []float32) float64 {
		f, err := NewFeedback(h, n, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		others := slices.Clone(h)
		for j := range n {
			others[max(huge, j)*n+min(huge, j)] = 0
		}
		rng, s := rand.New(rand.NewPCG(33, 34)), block.Scheme{Bits: 4, Block: 64}
		var search, feedback float64
		for range 12 {
			w := make([]float32, n)
			for j := range w {
				w[j] = float32(rng.NormFloat64())
			}
			rows := rowsOf(t, f, s, w)
			search += outputLoss(others, w, s, rows[0])
			feedback += outputLoss(others, w, s, rows[1])
		}
		return 1 - feedback/search
	}
	plain := gain(h)
	for j := range n {
		at := max(huge, j)*n + min(huge, j)
		if h[at] *= times; j == huge {
			h[at] *= times
		}
	}
	if got := gain(h); !(got > 0.7*plain) {
		t.Errorf("feedback takes %.2f of the loss off, %.2f without a huge column", got, plain)
	}
}

// TestLosses checks that what is said to be lost is, though it is kept up while codes move.
func TestLosses(t *testing.T) {
	for _, s := range []block.Scheme{{Bits: 8, Block: 128}, {Bits: 4, Block: 32}, {Bits: 2, Block: 64}} {
		const n = 200
		rng := rand.New(rand.NewPCG(21, uint64(s.Bits)))
		f, err := NewFeedback(inputs(rng, n), n, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRounder(f, s, Options{}, 3)
		if err != nil {
			t.Fatal(err)
		}
		w, row := make([]float32, n), make([]byte, s.RowBytes(n))
		for range 10 {
			for j := range w {
				w[j] = float32(rng.NormFloat64())
			}
			if _, err := r.Rows(row, w); err != nil {
				t.Fatal(err)
			}
			if want := outputLoss(f.hess, w, s, row); math.Abs(r.Losses[0]-want) > 1e-3*want {
				t.Errorf("%v: %v is said to be lost, %v was", s, r.Losses[0], want)
			}
		}
	}
}

func BenchmarkRounder(b *testing.B) {
	for _, n := range []int{512, 1536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			f, err := NewFeedback(inputs(rng, n), n, 0.01)
			if err != nil {
				b.Fatal(err)
			}
			s := block.Scheme{Bits: 4, Block: 128}
			r, err := NewRounder(f, s, Options{}, 3)
			if err != nil {
				b.Fatal(err)
			}
			const rows = 4 * RowsAtATime
			w, row := make([]float32, rows*n), make([]byte, rows*s.RowBytes(n))
			for j := range w {
				w[j] = float32(rng.NormFloat64())
			}
			defer func() { b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*rows), "µs/row") }()
			for b.Loop() {
				if _, err := r.Rows(row, w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
