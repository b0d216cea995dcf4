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
	shrinks []float64 // of the span
	zeros   int       // zero-points to either side of the one at the span's end
	fits    int       // the most least-squares fits after it
}

// The grids. The fewer codes there are, the more depends on each.
var (
	grid8      = newGrid(.95, 1.01, 5, 0, 4)
	grid4      = newGrid(.7, 1, 6, 0, 4)
	grid4Short = newGrid(.75, 1.05, 7, 0, 1) // blocks up to 64: those of small models, where time is spent
	grid2      = newGrid(.3, .8, 4, 1, 4)

	oneSign8      = newGrid(.95, 1.05, 16, 2, 4)
	oneSign4      = newGrid(.7, 1.05, 16, 2, 4)
	oneSign4Short = newGrid(.75, 1.05, 16, 2, 1)
	oneSign2      = newGrid(.3, 1.05, 16, 2, 4)
)

func newGrid(least, most float64, shrinks, zeros, fits int) *grid {
	g := &grid{zeros: zeros, fits: fits}
	for k := range shrinks {
		g.shrinks = append(g.shrinks, least+float64((most-least)*float64(k)/float64(shrinks-1)))
	}
	return g
}

// grid returns the grid for the block.
func (b *blockFit) grid() *grid {
	two, one := grid2, oneSign2
	switch {
	case b.scheme.Bits == 8:
		two, one = grid8, oneSign8
	case b.scheme.Bits == 4 && len(b.w) <= 64:
		two, one = grid4Short, oneSign4Short
	case b.scheme.Bits == 4:
		two, one = grid4, oneSign4
	}
	if b.lo > 0 || b.hi < 0 {
		return one
	}
	return two
}

const (
	maxTries = 2*16*5 + 1   // the most candidates at a time: two spans and the best before
	margin   = 2 * sumError // what a sum must be less by to be less for sure
	sureBy   = 0x1p-10      // what a rough cost must be less by: levels differ only beside ties, where both are as far off
)

// tries are candidates whose costs are wanted.
type tries struct {
	n          int
	candidates [maxTries]candidate
	trials     [maxTries]trial
	costs      [maxTries]float32
	h          [256]float32 // importances, of which the greatest is 1: sums stay within float32
}

// search returns the candidate of least cost: best, which is that of rtn, or one with a shrunk span, refined by least
// squares. With four bits it keeps best where a weight sticks out. It compares rough costs, with w·(1/s) for w/s; unless
// it is sure that best costs more, the caller has to compare the two.
func (b *blockFit) search(best candidate) (found candidate, sure bool) {
	if b.h == nil && b.scheme.Bits == 4 && b.sticksOut() {
		return best, false
	}
	h := b.importances()
	b.found.n = 0
	b.add(best)
	g := b.grid()
	spans, n := b.spans()
	for _, r := range spans[:n] {
		b.shrink(r, g)
	}
	found, cost := b.cheapest(h)
	first := b.found.costs[0]
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
	return found, h == nil && first > sumLeast && cost < float32(first*(1-sureBy))
}

// A weight sticks out of a block if it is so many times as large as the block's root mean square. The largest of 128
// normal weights is larger than the largest of 64, so the limit is higher there.
const (
	sticksOutOfShort = 3.2 // blocks of up to 64 weights
	sticksOutOfLong  = 3.4 // larger ones
)

// sticksOut reports whether a weight sticks out of the block. To clip it would lower the squared error, as all other
// weights gain by smaller steps, but trained models lose more by it: docs/quality.md has figures.
func (b *blockFit) sticksOut() bool {
	ratio := float64(sticksOutOfShort)
	if len(b.w) > 64 {
		ratio = sticksOutOfLong
	}
	top := max(-b.lo, b.hi)
	return top*top*float64(len(b.w)) > ratio*ratio*float64(SumSquares(b.w))
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
	if lo := b.scheme.Low() - c.z; within(lo, lo+b.scheme.Steps(), c.s) {
		b.add(c)
	}
}

// within reports whether float16 holds the levels lo to hi of scale s.
func within(lo, hi int, s float64) bool {
	const small = 128 // times the most steps there are from zero, 383, it is within float16
	return s <= small || float64(max(-lo, hi))*s <= block.MaxFloat16
}

func (b *blockFit) add(c candidate) {
	t := &b.found
	t.candidates[t.n], t.trials[t.n] = c, c.trial(b.scheme)
	t.n++
}

// shrink proposes what covers the span shrunk as the grid says. It is cover and propose in one, because the search of a
// short block is mostly this.
func (b *blockFit) shrink(r span, g *grid) {
	t, low, steps := &b.found, b.scheme.Low(), b.scheme.Steps()
	for _, p := range g.shrinks {
		from, to := float64(r.lo*p), float64(r.hi*p)
		s, raised := scale((to - from) / float64(steps))
		inv, first := float32(1/s), low-int(math.RoundToEven(from/s))
		for d := -g.zeros; d <= g.zeros; d++ {
			z := min(max(min(max(first, -128), 127)+d, -128), 127)
			if lo := low - z; within(lo, lo+steps, s) {
				t.candidates[t.n] = candidate{s, z, raised}
				t.trials[t.n] = trial{inv, float32(s), float32(lo), float32(lo + steps)}
				t.n++
			}
		}
	}
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
