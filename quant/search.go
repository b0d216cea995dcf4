package quant

import "math"

// A grid is what the search tries on each span before it refines the best by least squares. Trying
// 41 shrinks from 0.11 to 1.05, each with five zero-points, costs ten times as much and lowers the
// squared error of trained weights by half a percent; the test beside this file keeps that search
// and holds this one to it.
type grid struct {
	least, most float64 // shrinks of the span
	shrinks     int
	zeros       int // zero-points to either side of the one at the span's end
}

// grid returns the grid for a block. The fewer the weights, the more depends on each.
func (b *block) grid() grid {
	var g grid
	switch b.scheme.Bits {
	case 8:
		g = grid{.94, 1.01, 8, 0}
	case 4:
		g = grid{.65, 1, 8, 0}
	default:
		g = grid{.25, 1, 6, 1}
	}
	if b.scheme.Bits == 4 && len(b.w) <= 64 {
		g = grid{.7, 1.05, 12, 1}
	}
	if oneSign := b.lo > 0 || b.hi < 0; oneSign {
		g.most, g.shrinks, g.zeros = 1.05, 16, 2
	}
	return g
}

// fits is the most least-squares fits after the grid.
const fits = 4

// search returns the candidate of least cost: best, which is that of rtn, or one with a shrunk span,
// refined by least squares. It compares by rough costs, but what it returns is better than best
// by the exact one.
func (b *block) search(best candidate) candidate {
	b.fill()
	g := b.grid()
	found := best
	found.cost = b.rough(best.s, best.z)
	for _, r := range b.spans() {
		for k := range g.shrinks {
			p := g.least + float64((g.most-g.least)*float64(k)/float64(g.shrinks-1))
			x := (r.hi - r.lo) * p / float64(b.scheme.steps())
			s, _ := scale(x)
			z := span{r.lo * p, r.hi * p}.zero(b.scheme, s)
			for d := -g.zeros; d <= g.zeros; d++ {
				b.consider(&found, x, z+d)
			}
		}
	}
	for range fits {
		if !b.fit(&found) {
			break
		}
	}
	if found.cost = b.cost(found.s, found.z); found.cost < best.cost {
		return found
	}
	return best
}

// fill converts the weights for rough and fit.
func (b *block) fill() {
	for i, v := range b.w {
		b.x[i], b.weight[i] = float64(v), 1
		if b.h != nil {
			b.weight[i] = float64(b.h[i])
		}
	}
}

// consider takes scale x and zero-point z if they cost less than c.
func (b *block) consider(c *candidate, x float64, z int) {
	s, raised := scale(x)
	z = min(max(z, -128), 127)
	if cost := b.rough(s, z); cost < c.cost {
		*c = candidate{s, z, raised, cost}
	}
}

// roundMagic rounds a number of magnitude below 2⁵¹ to an integer, ties to even, by being added and
// taken away.
const roundMagic = 3 << 51

// level returns (q−z) for the weight x, given 1/s and the range of q−z.
func level(x, inv, lo, hi float64) float64 {
	t := x * inv
	if t < lo {
		return lo
	}
	if t > hi {
		return hi
	}
	return float64(t+roundMagic) - roundMagic
}

// rough is cost but for the rounding of x/s, which it computes as x·(1/s), and for the order of its
// sum.
func (b *block) rough(s float64, z int) float64 {
	lo := float64(b.scheme.low() - z)
	hi := lo + float64(b.scheme.steps())
	if max(-lo, hi)*s > maxFloat16 {
		return b.cost(s, z)
	}
	n := len(b.w)
	x, inv := b.x[:n], 1/s
	var a [4]float64 // four sums do not wait for one another
	if b.h != nil {
		for i, v := range x {
			r := v - float64(level(v, inv, lo, hi)*s)
			a[i&3] += float64(r * r * b.weight[i])
		}
		return a[0] + a[1] + (a[2] + a[3])
	}
	for ; len(x) >= 4; x = x[4:] {
		r0 := x[0] - float64(level(x[0], inv, lo, hi)*s)
		r1 := x[1] - float64(level(x[1], inv, lo, hi)*s)
		r2 := x[2] - float64(level(x[2], inv, lo, hi)*s)
		r3 := x[3] - float64(level(x[3], inv, lo, hi)*s)
		a[0] += float64(r0 * r0)
		a[1] += float64(r1 * r1)
		a[2] += float64(r2 * r2)
		a[3] += float64(r3 * r3)
	}
	for _, v := range x {
		r := v - float64(level(v, inv, lo, hi)*s)
		a[0] += float64(r * r)
	}
	return a[0] + a[1] + (a[2] + a[3])
}

// fit tries two candidates that suit the codes of c better, and reports whether one costs less.
// With d = q−z, the scale that fits w ≈ d·s best is Σhwd/Σhd². The line w ≈ d·a+t that fits best
// says in addition where the zero-point should be, −t/a from where it is.
func (b *block) fit(c *candidate) bool {
	lo := float64(b.scheme.low() - c.z)
	hi := lo + float64(b.scheme.steps())
	var n, d1, d2, w1, wd float64
	inv := 1 / c.s
	for i, x := range b.x[:len(b.w)] {
		d, h := level(x, inv, lo, hi), b.weight[i]
		hd := h * d
		n += h
		d1 += hd
		d2 += float64(hd * d)
		w1 += float64(h * x)
		wd += float64(hd * x)
	}
	if !(wd > 0) {
		return false
	}
	old := c.cost
	z := c.z
	b.consider(c, wd/d2, z)
	slope := float64(n*wd) - float64(d1*w1) // both over the same determinant, which is positive
	shift := float64(w1*d2) - float64(wd*d1)
	if slope > 0 {
		k := -shift / slope
		if k = math.RoundToEven(min(max(k, -256), 256)); k == 0 {
			k = math.Copysign(1, -shift)
		}
		// With the zero-point moved by k and the same codes, d becomes d−k.
		b.consider(c, (wd-float64(k*w1))/(d2-float64(2*k*d1)+float64(k*k*n)), z+int(k))
	}
	return c.cost < old
}
