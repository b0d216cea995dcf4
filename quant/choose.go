package quant

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// candidate is a choice for a
type candidate struct {
	s      float64 // a float16 value ≥ 2⁻¹⁴
	z      int
	raised bool // s was less
}

// trial returns what the passes over the weights need of c.
func (c candidate) trial(sc block.Scheme) trial {
	lo := float32(sc.Low() - c.z)
	return trial{float32(1 / c.s), float32(c.s), lo, lo + float32(sc.Steps())}
}

// block is what the choice is made for.
type blockFit struct {
	scheme block.Scheme
	w, h   []float32 // h may be nil
	lo, hi float64   // the least and the greatest of w, not both 0

	found tries // for the search
}

// choose returns the parameters of rtn, and whether float16 can hold the block: that does not
// depend on the method.
func (e *Encoder) choose(b *blockFit) (candidate, bool) {
	c := b.rtn()
	switch {
	case b.holds(c.s, c.z):
		return c, true
	case !e.opts.Saturate:
		return c, false
	}
	e.Stats.Saturated++
	return b.saturate(c), true
}

// saturate lowers the scale until every weight stays within float16.
func (b *blockFit) saturate(c candidate) candidate {
	c.s = min(c.s, block.MaxFloat16)
	for !b.holds(c.s, c.z) {
		c.s = math.Nextafter(c.s, 0)
		c.s = block.FloorFloat16(c.s)
	}
	return c
}

// scale rounds x ≥ 0 to float16 and raises it to the smallest normal one, because GPUs may flush
// what is less to zero.
func scale(x float64) (s float64, raised bool) {
	s = block.RoundFloat16(x)
	if s < block.NormalFloat16 {
		return block.NormalFloat16, true
	}
	return s, false
}

// span is a range of values that the codes of a block shall cover.
type span struct{ lo, hi float64 }

// zero returns the zero-point that puts the lowest code on the span's low end. The quotient fits an
// int: s, if it is not infinite, is a 255th of the span or more.
func (r span) zero(sc block.Scheme, s float64) int {
	return min(max(sc.Low()-int(math.RoundToEven(r.lo/s)), -128), 127)
}

// cover returns the candidate that covers the span shrunk by p.
func (b *blockFit) cover(r span, p float64) candidate {
	r.lo, r.hi = float64(r.lo*p), float64(r.hi*p) // not fused with what follows
	s, raised := scale((r.hi - r.lo) / float64(b.scheme.Steps()))
	return candidate{s, r.zero(b.scheme, s), raised}
}

// spans returns the ranges worth covering: that of the weights and zero and, if all the weights
// have one sign, that of the weights alone, as far as a zero-point can be away from the codes.
func (b *blockFit) spans() (r [2]span, n int) {
	r[0] = span{min(b.lo, 0), max(b.hi, 0)}
	if b.lo <= 0 && b.hi >= 0 {
		return r, 1
	}
	// A zero-point in −128..127 puts the lowest code on lo only if lo/s has at most this
	// magnitude; a wider range has a greater s.
	far := float64(128 + b.scheme.Low())
	if b.lo < 0 {
		far = float64(127 - b.scheme.Low())
	}
	if far == 0 {
		return r, 1
	}
	width := max(b.hi-b.lo, math.Abs(b.lo)/far*float64(b.scheme.Steps()))
	r[1] = span{b.lo, b.lo + width}
	return r, 2
}

// rtn covers each span from end to end and returns the better result. What is constant is one
// step from zero, so that it is exact but for the rounding of s.
func (b *blockFit) rtn() candidate {
	if b.lo == b.hi {
		s, raised := scale(math.Abs(b.lo))
		z := 0
		if b.lo < 0 && b.scheme.Low() == 0 {
			z = 1
		}
		return candidate{s, z, raised}
	}
	if b.lo <= 0 && b.hi >= 0 {
		return b.cover(span{b.lo, b.hi}, 1)
	}
	r, n := b.spans()
	best := b.cover(r[0], 1)
	if n == 2 {
		if c := b.cover(r[1], 1); b.cost(c.s, c.z) < b.cost(best.s, best.z) {
			return c
		}
	}
	return best
}

// cost returns Σh(w−ŵ)² in float64, or +Inf if some |ŵ| is beyond float16.
func (b *blockFit) cost(s float64, z int) float64 {
	if !b.holds(s, z) {
		return math.Inf(1)
	}
	lo := float64(b.scheme.Low() - z)
	hi := lo + float64(b.scheme.Steps())
	var sum float64
	for i, v := range b.w {
		x := float64(v)
		r := x - float64(min(max(math.RoundToEven(x/s), lo), hi)*s)
		if b.h != nil {
			sum += float64(r * r * float64(b.h[i]))
		} else {
			sum += float64(r * r)
		}
	}
	return sum
}

// holds reports whether no |ŵ| is beyond float16: the weights of greatest magnitude decide.
func (b *blockFit) holds(s float64, z int) bool {
	lo := float64(b.scheme.Low() - z)
	hi := lo + float64(b.scheme.Steps())
	if max(-lo, hi)*s <= block.MaxFloat16 {
		return true
	}
	for _, x := range [2]float64{b.lo, b.hi} {
		if math.Abs(min(max(math.RoundToEven(x/s), lo), hi)*s) > block.MaxFloat16 {
			return false
		}
	}
	return !math.IsInf(s, 1)
}
