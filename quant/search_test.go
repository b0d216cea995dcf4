package quant

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// full is the search without short cuts: 41 shrinks of each span, five zero-points for each (for
// int2 all within the codes as well), then up to four least-squares fits of the scale.
func (b *blockFit) full(best candidate) (candidate, float64) {
	least := b.cost(best.s, best.z)
	consider := func(x float64, z int) bool {
		s, raised := scale(x)
		cost := b.cost(s, z)
		if cost < least {
			best, least = candidate{s, z, raised}, cost
			return true
		}
		return false
	}
	spans, n := b.spans()
	for _, r := range spans[:n] {
		for k := range 41 {
			p := .11 + .94*float64(k)/40
			x := (r.hi - r.lo) * p / float64(b.scheme.Steps())
			s, _ := scale(x)
			z := span{r.lo * p, r.hi * p}.zero(b.scheme, s)
			first, last := max(z-2, -128), min(z+2, 127)
			if b.scheme.Bits == 2 {
				first, last = min(first, 0), max(last, 3)
			}
			for zz := first; zz <= last; zz++ {
				consider(x, zz)
			}
		}
	}
	for range 4 {
		lo := float64(b.scheme.Low() - best.z)
		hi := lo + float64(b.scheme.Steps())
		var wd, dd float64
		for _, v := range b.w {
			d := min(max(math.RoundToEven(float64(v)/best.s), lo), hi)
			wd, dd = wd+float64(v)*d, dd+d*d
		}
		if !(wd > 0) || !consider(wd/dd, best.z) {
			break
		}
	}
	return best, least
}

// TestSearchAgainstFull holds the search to the full one: not more than a part of what the full one
// gains over rtn may be lost, in sum over many blocks.
func TestSearchAgainstFull(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, name := range []string{"normal", "laplace", "positive", "negative"} {
		for _, s := range []block.Scheme{{Bits: 8, Block: 128}, {Bits: 4, Block: 32}, {Bits: 4, Block: 128}, {Bits: 2, Block: 64}, {Bits: 2, Block: 256}} {
			var rtn, full, found float64
			for range 60 {
				w := make([]float32, s.Block)
				rows[name](rnd, w)
				lo, hi, _ := extent(w)
				b := &blockFit{scheme: s, w: w, lo: float64(lo), hi: float64(hi)}
				if s.Bits == 4 && b.sticksOut() {
					continue // see TestSticksOut
				}
				base := b.rtn()
				rtn += b.cost(base.s, base.z)
				_, least := b.full(base)
				full += least
				c, _ := b.search(base)
				found += b.cost(c.s, c.z)
			}
			t.Logf("%s, %v: squared error %.4g of rtn's, the full search %.4g", name, s, found/rtn, full/rtn)
			if found > full+.1*(rtn-full) && found > 1.01*full {
				t.Errorf("%s, %v: search %g, full search %g, rtn %g", name, s, found, full, rtn)
			}
		}
	}
}

// TestSticksOut checks that with four bits, and without importances, a block keeps its scale if a weight sticks out, and
// that the search finds a smaller one if none does.
func TestSticksOut(t *testing.T) {
	for _, s := range []block.Scheme{{Bits: 4, Block: 32}, {Bits: 4, Block: 64}, {Bits: 4, Block: 128}, {Bits: 4, Block: 256}, {Bits: 2, Block: 64}} {
		limit := float32(sticksOutOfShort)
		if s.Block > 64 {
			limit = sticksOutOfLong
		}
		w := make([]float32, s.Block)
		for i := range w {
			w[i] = 1 + .01*float32(i%7) // all about as large, of both signs
			if i%2 == 0 {
				w[i] = -w[i]
			}
		}
		for _, c := range []struct {
			top     float32 // of the largest weight, times the others
			weights []float32
			keeps   bool
		}{
			{1.5 * limit, nil, s.Bits == 4},
			{.9 * limit, nil, false},
			{1.5 * limit, w, false},
		} {
			w[5] = c.top
			if c.weights != nil {
				c.weights = make([]float32, len(w))
				for i := range c.weights {
					c.weights[i] = 1
				}
				c.weights[5] = 0
			}
			rtn, _ := encode(t, s, Options{Method: RTN}, w)
			found, _ := encode(t, s, Options{Method: Search, Weights: c.weights}, w)
			if kept := bytes.Equal(rtn, found); kept != c.keeps {
				t.Errorf("%v, a weight of %v, importances %v: like rtn: %v, want %v", s, c.top, c.weights != nil, kept, c.keeps)
			}
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for _, m := range []Method{RTN, Search} {
		for _, s := range []block.Scheme{{Bits: 8, Block: 128}, {Bits: 4, Block: 128}, {Bits: 4, Block: 64}, {Bits: 4, Block: 32}, {Bits: 2, Block: 256}} {
			b.Run(string(m)+"/"+s.String(), func(b *testing.B) {
				w := make([]float32, 1<<14)
				rows["normal"](rnd, w)
				e, err := NewEncoder(s, Options{Method: m})
				if err != nil {
					b.Fatal(err)
				}
				dst := make([]byte, s.RowBytes(len(w)))
				for b.Loop() {
					if err := e.Row(dst, w); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(w)), "ns/weight")
			})
		}
	}
}
