package quant

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// A grid is what the search tries on each span before it refines the best by least squares. Trying
// 41 shrinks from 0.11 to 1.05, each with five zero-points, costs ten times as much and lowers the
// squared error of trained weights by half a percent; the test beside this file keeps that search
// and holds this one to it.
type grid struct {
	least, most float64 // shrinks of the span
	shrinks     int
	zeros       int // zero-points to either side of the one at the span's end
	fits        int // the most least-squares fits after it
}

// grid returns the grid for a  The fewer the weights, the more depends on each.
func (b *blockFit) grid() grid {
	var g grid
	switch b.scheme.Bits {
	case 8:
		g = grid{.95, 1.01, 5, 0, 4}
	case 4:
		g = grid{.7, 1, 6, 0, 4}
	default:
		g = grid{.3, .8, 4, 1, 4}
	}
	if b.scheme.Bits == 4 && len(b.w) <= 64 {
		g = grid{.75, 1.05, 7, 0, 1} // most blocks of a small model: time is spent there
	}
	if oneSign := b.lo > 0 || b.hi < 0; oneSign {
		g.most, g.shrinks, g.zeros = 1.05, 16, 2
	}
	return g
}

const (
	maxTries = 2*16*5 + 1   // the most candidates at a time: two spans and the best before
	margin   = 2 * sumError // what a sum must be less by to be less for sure
)

// tries are candidates whose costs are wanted.
type tries struct {
	n          int
	candidates [maxTries]candidate
	trials     [maxTries]trial
	costs      [maxTries]float32
	h          [256]float32 // importances, of which the greatest is 1: sums stay within float32
}

// search returns the candidate of least cost: best, which is that of rtn, or one with a shrunk
// span, refined by least squares. It compares rough costs, with w·(1/s) for w/s; the caller
// has to compare what it returns with best.
func (b *blockFit) search(best candidate) candidate {
	h := b.importances()
	b.found.n = 0
	b.add(best)
	g := b.grid()
	spans, n := b.spans()
	for _, r := range spans[:n] {
		for k := range g.shrinks {
			c := b.cover(r, g.least+float64((g.most-g.least)*float64(k)/float64(g.shrinks-1)))
			for d := -g.zeros; d <= g.zeros; d++ {
				b.propose(candidate{c.s, c.z + d, c.raised})
			}
		}
	}
	found, cost := b.cheapest(h)
	for range g.fits {
		if !b.fit(found, h) {
			break
		}
		c, least := b.cheapest(h)
		if !(least < cost) {
			break
		}
		found, cost = c, least
	}
	return found
}

// less reports whether found, with Σ(w−ŵ)² of l, costs less than c with loss.
func (b *blockFit) less(found candidate, l float32, c candidate, loss float32) bool {
	if b.h != nil {
		return b.cost(found.s, found.z) < b.cost(c.s, c.z)
	}
	return loss > sumLeast && l < float32(loss*(1-margin))
}

// importances returns the block's, scaled.
func (b *blockFit) importances() []float32 {
	if b.h == nil {
		return nil
	}
	var top float32
	for _, v := range b.h {
		top = max(top, v)
	}
	h := b.found.h[:len(b.h)]
	for i, v := range b.h {
		if h[i] = 1; top > 0 {
			h[i] = v / top
		}
	}
	return h
}

// propose adds c, with its zero-point brought into −128..127, unless its codes reach beyond
// float16.
func (b *blockFit) propose(c candidate) {
	c.z = min(max(c.z, -128), 127)
	lo := b.scheme.Low() - c.z
	if float64(max(-lo, lo+b.scheme.Steps()))*c.s <= block.MaxFloat16 {
		b.add(c)
	}
}

func (b *blockFit) add(c candidate) {
	t := &b.found
	t.candidates[t.n], t.trials[t.n] = c, c.trial(b.scheme)
	t.n++
}

// cheapest returns the first candidate of least cost, and forgets all.
func (b *blockFit) cheapest(h []float32) (candidate, float32) {
	t := &b.found
	costs(t.costs[:], b.w, h, t.trials[:t.n])
	best := 0
	for i, c := range t.costs[:t.n] {
		if c < t.costs[best] {
			best = i
		}
	}
	t.n = 0
	return t.candidates[best], t.costs[best]
}

// fit proposes candidates that suit the codes of c better, and reports whether there are any.
// With d = q−z, the scale that fits w ≈ d·s best is Σhwd/Σhd². The line w ≈ d·a+t that fits best
// says in addition where the zero-point should be, −t/a from where it is.
func (b *blockFit) fit(c candidate, h []float32) bool {
	m := measure(b.w, h, c.trial(b.scheme))
	n := float64(len(b.w))
	if h != nil {
		n = 0
		for _, v := range h {
			n += float64(v)
		}
	}
	d1, d2, w1, wd := float64(m.d1), float64(m.d2), float64(m.w1), float64(m.wd)
	if !(wd > 0) {
		return false
	}
	s, raised := scale(wd / d2)
	b.propose(candidate{s, c.z, raised})
	slope := float64(n*wd) - float64(d1*w1) // both over the same determinant, which is positive
	shift := float64(w1*d2) - float64(wd*d1)
	if slope > 0 {
		k := -shift / slope
		if k = math.RoundToEven(min(max(k, -256), 256)); k == 0 {
			k = math.Copysign(1, -shift)
		}
		// With the zero-point moved by k and the same codes, d becomes d−k.
		if x := (wd - float64(k*w1)) / (d2 - float64(2*k*d1) + float64(k*k*n)); x > 0 {
			s, raised := scale(x)
			b.propose(candidate{s, c.z + int(k), raised})
		}
	}
	return b.found.n > 0
}
