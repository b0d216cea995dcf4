package quant

import "math"

// candidate is a choice for a block and what it costs.
type candidate struct {
	s      float64 // a float16 value ≥ 2⁻¹⁴
	z      int
	raised bool    // s was less
	cost   float64 // Σh(w−ŵ)², +Inf if some |ŵ| is beyond float16
}

// block is what the choice is made for.
type block struct {
	scheme Scheme
	w, h   []float32 // h may be nil
	lo, hi float64   // the least and the greatest of w, not both 0

	x, weight [256]float64 // w and h, or ones, for the search
}

// choose returns the parameters for a block with the given extent, and whether float16 can hold it:
// that does not depend on the method.
func (e *Encoder) choose(w, h []float32, lo, hi float64) (candidate, bool) {
	b := &e.cur
	b.scheme, b.w, b.h, b.lo, b.hi = e.scheme, w, h, lo, hi
	if lo == hi {
		return e.hold(b, b.constant())
	}
	best, ok := e.hold(b, b.rtn())
	if ok && e.opts.Method == Search {
		best = b.search(best)
	}
	return best, ok
}

// hold returns c, lowered if it is beyond float16 and that is allowed.
func (e *Encoder) hold(b *block, c candidate) (candidate, bool) {
	if !math.IsInf(c.cost, 1) {
		return c, true
	}
	if !e.opts.Saturate {
		return c, false
	}
	e.Stats.Saturated++
	return b.saturate(c), true
}

// constant makes all weights one step from zero, so that they are exact but for the rounding of s.
func (b *block) constant() candidate {
	z := 0
	if b.lo < 0 && b.scheme.low() == 0 {
		z = 1
	}
	return b.try(math.Abs(b.lo), z)
}

// saturate lowers the scale until every weight stays within float16.
func (b *block) saturate(c candidate) candidate {
	c.s = min(c.s, maxFloat16)
	for math.IsInf(c.cost, 1) {
		c.s = math.Nextafter(c.s, 0)
		c.s = math.Float64frombits(math.Float64bits(c.s) &^ keepFloat16) // the float16 below
		c.cost = b.cost(c.s, c.z)
	}
	return c
}

// scale rounds x ≥ 0 to float16 and raises it to the smallest normal one, because GPUs may flush
// what is less to zero.
func scale(x float64) (s float64, raised bool) {
	s = roundFloat16(x)
	if s < normalFloat16 {
		return normalFloat16, true
	}
	return s, false
}

// try returns the candidate with scale x and zero-point z.
func (b *block) try(x float64, z int) candidate {
	s, raised := scale(x)
	return candidate{s: s, z: z, raised: raised, cost: b.cost(s, z)}
}

// span is a range of values that the codes of a block shall cover.
type span struct{ lo, hi float64 }

// zero returns the zero-point that puts the lowest code on the span's low end.
func (r span) zero(sc Scheme, s float64) int {
	return int(min(max(float64(sc.low())-math.RoundToEven(r.lo/s), -128), 127))
}

// spans returns the ranges worth covering: that of the weights and zero and, if all the weights
// have one sign, that of the weights alone, as far as a zero-point can be away from the codes.
func (b *block) spans() []span {
	r := []span{{min(b.lo, 0), max(b.hi, 0)}}
	if b.lo <= 0 && b.hi >= 0 {
		return r
	}
	// A zero-point in −128..127 puts the lowest code on lo only if lo/s has at most this
	// magnitude; a wider range has a greater s.
	far := float64(128 + b.scheme.low())
	if b.lo < 0 {
		far = float64(127 - b.scheme.low())
	}
	if far == 0 {
		return r
	}
	width := max(b.hi-b.lo, math.Abs(b.lo)/far*float64(b.scheme.steps()))
	return append(r, span{b.lo, b.lo + width})
}

// rtn covers each span from end to end and returns the better result.
func (b *block) rtn() candidate {
	best := candidate{cost: math.Inf(1)}
	for i, r := range b.spans() {
		s, raised := scale((r.hi - r.lo) / float64(b.scheme.steps()))
		z := r.zero(b.scheme, s)
		if c := (candidate{s, z, raised, b.cost(s, z)}); i == 0 || c.cost < best.cost {
			best = c
		}
	}
	return best
}

// cost returns Σh(w−ŵ)², or +Inf if some |ŵ| is beyond float16.
func (b *block) cost(s float64, z int) float64 {
	lo := float64(b.scheme.low() - z)
	hi := lo + float64(b.scheme.steps())
	if max(-lo, hi)*s > maxFloat16 && b.overflows(s, lo, hi) {
		return math.Inf(1)
	}
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

// overflows reports whether the weights of greatest magnitude leave float16 when decoded.
func (b *block) overflows(s, lo, hi float64) bool {
	for _, x := range []float64{b.lo, b.hi} {
		if math.Abs(min(max(math.RoundToEven(x/s), lo), hi)*s) > maxFloat16 {
			return true
		}
	}
	return math.IsInf(s, 1)
}
