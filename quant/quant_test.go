package quant

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// schemes lists all that the format has.
func schemes() []block.Scheme {
	var all []block.Scheme
	for _, bits := range []int{8, 4, 2} {
		for _, length := range []int{32, 64, 128, 256} {
			all = append(all, block.Scheme{Bits: bits, Block: length})
		}
	}
	return all
}

// rows are kinds of rows that an encoder meets.
var rows = map[string]func(r *rand.Rand, w []float32){
	"normal":   func(r *rand.Rand, w []float32) { fill(w, func() float64 { return .02 * r.NormFloat64() }) },
	"laplace":  func(r *rand.Rand, w []float32) { fill(w, func() float64 { return r.ExpFloat64() - r.ExpFloat64() }) },
	"outliers": func(r *rand.Rand, w []float32) { fill(w, func() float64 { return math.Pow(r.NormFloat64(), 5) }) },
	"positive": func(r *rand.Rand, w []float32) { fill(w, func() float64 { return 1 + .1*r.Float64() }) },
	"negative": func(r *rand.Rand, w []float32) { fill(w, func() float64 { return -3 - r.Float64() }) },
	"far":      func(r *rand.Rand, w []float32) { fill(w, func() float64 { return 100 + .01*r.NormFloat64() }) },
	"sparse": func(r *rand.Rand, w []float32) {
		fill(w, func() float64 { return math.Max(0, math.Floor(r.Float64()*20)-18) * r.NormFloat64() })
	},
	"tiny":     func(r *rand.Rand, w []float32) { fill(w, func() float64 { return 1e-5 * r.NormFloat64() }) },
	"tiniest":  func(r *rand.Rand, w []float32) { fill(w, func() float64 { return 1e-42 * r.NormFloat64() }) },
	"huge":     func(r *rand.Rand, w []float32) { fill(w, func() float64 { return 60000 * (2*r.Float64() - 1) }) },
	"two":      func(r *rand.Rand, w []float32) { fill(w, func() float64 { return float64(r.IntN(2)*2 - 1) }) },
	"constant": func(_ *rand.Rand, w []float32) { fill(w, func() float64 { return -0.37 }) },
	"zero":     func(_ *rand.Rand, w []float32) { clear(w) },
}

func fill(w []float32, next func() float64) {
	for i := range w {
		w[i] = float32(next())
	}
}

// decode returns the weights of a row; package block holds DecodeRow to a reader that knows nothing
// but the format.
func decode(s block.Scheme, src []byte, cols int) []float32 {
	w := make([]float32, cols)
	s.DecodeRow(w, src)
	return w
}

// readCode reads code i of a block bit by bit.
func readCode(s block.Scheme, block []byte, i int) int {
	q := 0
	for b := range s.Bits {
		at := i*s.Bits + b
		q |= int(block[3+at/8]>>(at%8)&1) << b
	}
	if s.Bits == 8 && q > 127 {
		q -= 256
	}
	return q
}

func encode(t *testing.T, s block.Scheme, o Options, w []float32) ([]byte, Stats) {
	t.Helper()
	e, err := NewEncoder(s, o)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, s.RowBytes(len(w)))
	if err := e.Row(dst, w); err != nil {
		t.Fatal(err)
	}
	return dst, e.Stats
}

// blockCost returns Σh(w−ŵ)² of block b.
func blockCost(s block.Scheme, w, got, h []float32, b int) float64 {
	var sum float64
	for i := b * s.Block; i < min(len(w), (b+1)*s.Block); i++ {
		r, k := float64(w[i])-float64(got[i]), 1.0
		if h != nil {
			k = float64(h[i])
		}
		sum += float64(r * r * k)
	}
	return sum
}

// TestEncode encodes rows of every kind in every scheme and compares what an independent reader
// finds with the rules.
func TestEncode(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, make1 := range rows {
		for _, s := range schemes() {
			for _, cols := range []int{1, 2, s.Block - 1, s.Block, 3*s.Block + 5} {
				w := make([]float32, cols)
				make1(rnd, w)
				t.Run(fmt.Sprintf("%s/%v/%d", name, s, cols), func(t *testing.T) { checkRow(t, s, w) })
			}
		}
	}
}

func checkRow(t *testing.T, s block.Scheme, w []float32) {
	o := Options{Method: RTN, Saturate: true}
	plain, stats := encode(t, s, o, w)
	checkEncoded(t, s, w, plain, stats)
	checkBound(t, s, w, plain)
	want := reference(s, w)
	if stats.Saturated == 0 && string(plain) != string(want) {
		t.Errorf("rtn wrote % x\nthe rules give % x", plain, want)
	}
	h := make([]float32, len(w))
	for i := range h {
		h[i] = float32(i%7) / 3
	}
	for _, h := range [][]float32{nil, h} {
		o := Options{Method: RTN, Saturate: true, Weights: h}
		plain, _ := encode(t, s, o, w)
		o.Method = Search
		best, stats := encode(t, s, o, w)
		checkEncoded(t, s, w, best, stats)
		a, b := decode(s, plain, len(w)), decode(s, best, len(w))
		for i := range s.Blocks(len(w)) {
			if ca, cb := blockCost(s, w, a, h, i), blockCost(s, w, b, h, i); cb > ca {
				t.Errorf("block %d: search costs %g, rtn %g", i, cb, ca)
			}
		}
	}
}

// checkEncoded checks what holds for every method.
func checkEncoded(t *testing.T, s block.Scheme, w []float32, row []byte, stats Stats) {
	t.Helper()
	if err := s.Check(row, len(w)); err != nil {
		t.Fatal(err)
	}
	want := decode(s, row, len(w))
	got := make([]float32, len(w))
	s.DecodeRow(got, row)
	var loss float64
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("column %d: DecodeRow gives %v, bit by bit it is %v", i, got[i], want[i])
		}
		if math.Abs(float64(want[i])) > block.MaxFloat16 {
			t.Errorf("column %d: %v is beyond float16", i, want[i])
		}
	}
	for b := range s.Blocks(len(w)) {
		loss += blockCost(s, w, want, nil, b)
		p := block.ReadParams(row[b*s.BlockBytes():])
		if p.Scale != 0 && p.Scale < block.NormalFloat16 {
			t.Errorf("block %d: scale %v is subnormal", b, p.Scale)
		}
		pad := min(max(int(p.Zero), s.Low()), s.Low()+s.Steps())
		for i := len(w) - b*s.Block; i < s.Block; i++ {
			if q := readCode(s, row[b*s.BlockBytes():], i); q != pad {
				t.Fatalf("block %d: padding code %d is %d, want %d", b, i, q, pad)
			}
		}
	}
	if math.Abs(loss-stats.Error) > sumError*loss+sumLeast {
		t.Errorf("Stats.Error is %g, the error is %g", stats.Error, loss)
	}
	if stats.Weights != int64(len(w)) || stats.Blocks != int64(s.Blocks(len(w))) {
		t.Errorf("%d weights, %d blocks counted", stats.Weights, stats.Blocks)
	}
}

// checkBound checks that no weight of a block is further off than half a step, a rounded step
// where clipping adds to it: with Q the number of steps, s is at least (1−2⁻¹¹) of the exact one,
// so that the last code lies at most Q·2⁻¹¹ steps short, and z was rounded too.
func checkBound(t *testing.T, s block.Scheme, w []float32, row []byte) {
	t.Helper()
	got := decode(s, row, len(w))
	for b := range s.Blocks(len(w)) {
		at, end := b*s.Block, min(len(w), (b+1)*s.Block)
		lo, hi, _ := extent(w[at:end])
		if lo == hi {
			if c := block.FromFloat16(block.Float16(lo)); got[at] != c && math.Abs(float64(lo)) >= block.NormalFloat16 {
				t.Errorf("block %d: constant %v becomes %v, want %v", b, lo, got[at], c)
			}
			continue
		}
		q := float64(s.Steps())
		step := max((math.Max(float64(hi), 0)-math.Min(float64(lo), 0))/q, block.NormalFloat16) * (1 + 0x1p-11)
		bound := (.5 + q/2048) * step
		if s := (lo > 0 || hi < 0); s {
			// The span without zero may win by its sum; then its worst weight is no worse than the root.
			bound *= math.Sqrt(float64(end - at))
		}
		for i := at; i < end; i++ {
			if r := math.Abs(float64(w[i]) - float64(got[i])); r > bound && math.Abs(float64(w[i])) < 50000 {
				t.Errorf("column %d: %v becomes %v: off by %g, at most %g", i, w[i], got[i], r, bound)
			}
		}
	}
}

// reference encodes a row by the rules of rtn as docs/format.md states them, one weight at a time.
func reference(s block.Scheme, w []float32) []byte {
	var out []byte
	for len(w) > 0 {
		n := min(s.Block, len(w))
		out = append(out, referenceBlock(s, w[:n])...)
		w = w[n:]
	}
	return out
}

func referenceBlock(s block.Scheme, w []float32) []byte {
	qmin, qmax := 0, 1<<s.Bits-1
	if s.Bits == 8 {
		qmin, qmax = -128, 127
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range w {
		lo, hi = math.Min(lo, float64(v)), math.Max(hi, float64(v))
	}
	if lo == 0 && hi == 0 {
		return bits(s, 0, 0, make([]int, s.Block))
	}
	type choice struct{ lo, scale float64 }
	steps := float64(qmax - qmin)
	choices := []choice{{math.Min(lo, 0), (math.Max(hi, 0) - math.Min(lo, 0)) / steps}}
	if lo > 0 && qmin == 0 {
		choices = append(choices, choice{lo, math.Max((hi-lo)/steps, lo/128)})
	}
	if hi < 0 && qmin == 0 {
		choices = append(choices, choice{lo, math.Max((hi-lo)/steps, -lo/127)})
	}
	if lo == hi {
		choices = []choice{{0, math.Abs(lo)}}
	}
	best, cost := []byte(nil), math.Inf(1)
	for _, c := range choices {
		scale := float64(block.FromFloat16(block.Float16(float32(c.scale))))
		scale = math.Max(scale, block.NormalFloat16)
		z := int(math.Max(-128, math.Min(127, float64(qmin)-math.RoundToEven(c.lo/scale))))
		if lo == hi {
			z = 0
			if lo < 0 && qmin == 0 {
				z = 1
			}
		}
		q, sum := make([]int, s.Block), 0.0
		for i := range q {
			q[i] = min(max(z, qmin), qmax)
			if i >= len(w) {
				continue
			}
			q[i] = int(math.Max(float64(qmin), math.Min(float64(qmax), math.RoundToEven(float64(w[i])/scale)+float64(z))))
			r := float64(w[i]) - float64(float64(q[i]-z)*scale)
			sum += float64(r * r)
			if math.Abs(float64(q[i]-z)*scale) > block.MaxFloat16 {
				sum = math.Inf(1)
			}
		}
		if sum < cost {
			best, cost = bits(s, scale, z, q), sum
		}
	}
	return best
}

// bits writes a block bit by bit.
func bits(s block.Scheme, scale float64, z int, q []int) []byte {
	out := make([]byte, 3+s.Block*s.Bits/8)
	h := block.Float16(float32(scale))
	out[0], out[1], out[2] = byte(h), byte(h>>8), byte(z)
	for i, v := range q {
		for b := range s.Bits {
			at := i*s.Bits + b
			out[3+at/8] |= byte(v>>b&1) << (at % 8)
		}
	}
	return out
}

// TestSearchAgainstAll compares search with the best of all scales and zero-points on blocks small
// enough to try them all.
func TestSearchAgainstAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	s := block.Scheme{Bits: 2, Block: 32}
	var best, search, plain float64
	for range 30 {
		w := make([]float32, 5)
		fill(w, func() float64 { return rnd.NormFloat64() })
		lo, hi, _ := extent(w)
		b := &blockFit{scheme: s, w: w, lo: float64(lo), hi: float64(hi)}
		least := math.Inf(1)
		for h := block.Float16(0.02); h < block.Float16(4); h++ {
			for z := -3; z <= 6; z++ {
				least = min(least, b.cost(float64(block.FromFloat16(h)), z))
			}
		}
		_, found := encode(t, s, Options{Method: Search}, w)
		_, rtn := encode(t, s, Options{Method: RTN}, w)
		if found.Error < least*(1-sumError) {
			t.Errorf("%v: search costs %g, less than the best possible %g", w, found.Error, least)
		}
		best, search, plain = best+least, search+found.Error, plain+rtn.Error
	}
	t.Logf("in sum: the best possible %.4g, search %.4g, rtn %.4g", best, search, plain)
	if search > best+.25*(plain-best) {
		t.Errorf("search costs %g: the best possible is %g, rtn %g", search, best, plain)
	}
}

func TestErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		value  float32
		reason error
	}{{"NaN", nan, block.ErrNotFinite}, {"+Inf", inf, block.ErrNotFinite}, {"-Inf", -inf, block.ErrNotFinite}, {"1e6", 1e6, ErrOverflow}} {
		for _, s := range schemes() {
			w := make([]float32, 2*s.Block)
			w[0], w[s.Block+3] = 1, c.value
			e, err := NewEncoder(s, Options{Method: Search})
			if err != nil {
				t.Fatal(err)
			}
			var we *WeightError
			err = e.Row(make([]byte, s.RowBytes(len(w))), w)
			if !errors.Is(err, c.reason) || !errors.As(err, &we) {
				t.Fatalf("%s, %v: %v", c.name, s, err)
			}
			if c.reason == block.ErrNotFinite && we.Col != s.Block+3 || we.Col < s.Block {
				t.Errorf("%s, %v: column %d", c.name, s, we.Col)
			}
		}
	}
}

func TestSanitize(t *testing.T) {
	w := []float32{1, float32(math.NaN()), float32(math.Inf(1)), -3, float32(math.Inf(-1))}
	s := block.Scheme{Bits: 8, Block: 32}
	row, stats := encode(t, s, Options{Method: RTN, Sanitize: true}, w)
	for i, want := range []float32{1, 0, 3, -3, -3} {
		if got := decode(s, row, 5)[i]; math.Abs(float64(got-want)) > .02 {
			t.Errorf("column %d: %v, want about %v", i, got, want)
		}
	}
	if stats.Sanitized != 3 || w[1] == w[1] {
		t.Errorf("%d sanitized; the input must stay as it is: %v", stats.Sanitized, w)
	}
}

func TestSaturate(t *testing.T) {
	for _, s := range schemes() {
		for _, w := range [][]float32{{1e6, -1e30, 3}, {65504, -65504, 65504, 1}, {1e38}, {-65530, -65530}, {65504, 60000, 65503}} {
			row, stats := encode(t, s, Options{Method: Search, Saturate: true}, w)
			for i, v := range decode(s, row, len(w)) {
				if math.Abs(float64(v)) > block.MaxFloat16 || math.Abs(float64(v)) < min(math.Abs(float64(w[i])), block.MaxFloat16)/4 && w[i]*w[i] > 1e6 {
					t.Errorf("%v: %v becomes %v", s, w[i], v)
				}
			}
			if stats.Saturated == 0 && max(w[0], -w[0]) > 65520 {
				t.Errorf("%v: %v: not counted", s, w)
			}
		}
	}
}

func TestRaised(t *testing.T) {
	w := []float32{1e-5, -2e-6, 3e-6}
	row, stats := encode(t, block.Scheme{Bits: 8, Block: 32}, Options{Method: RTN}, w)
	if p := block.ReadParams(row); p.Scale != block.NormalFloat16 || stats.Raised != 1 {
		t.Errorf("scale %v, %d raised", p.Scale, stats.Raised)
	}
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		s block.Scheme
		o Options
	}{
		{block.Scheme{Bits: 3, Block: 32}, Options{Method: RTN}},
		{block.Scheme{Bits: 4, Block: 48}, Options{Method: RTN}},
		{block.Scheme{Bits: 4, Block: 32}, Options{}},
		{block.Scheme{Bits: 4, Block: 32}, Options{Method: RTN, Weights: []float32{-1}}},
		{block.Scheme{Bits: 4, Block: 32}, Options{Method: RTN, Weights: []float32{float32(math.NaN())}}},
	} {
		if _, err := NewEncoder(c.s, c.o); err == nil {
			t.Errorf("%+v, %+v: no error", c.s, c.o)
		}
	}
}
