package quant

// The arithmetic of this file is defined so that vector units of any width give the same bits: it
// is float32, every operation is rounded on its own (hence the conversions), and a sum over weights is lanes sums, of
// which lane l takes the weights l, l+lanes, l+2·lanes …, added up in a fixed order by fold. The
// bodies here are the definition; those in assembly are tested against them.
//
// float32 is enough. A code comes out as in exact arithmetic: a scale has 11 bits and a level 9,
// so that a tie (d+½)·s has at most 20 bits, and a weight that is not on it is away from it by at
// least the last bit of the weight. That is more than the rounding of the quotient can bridge,
// unless the level is clamped anyway. For the same reason d·s is exact, and so is w − d·s where the
// level is not clamped. A sum of n ≤ 256 such squares is off by less than sumError of itself.

// lanes is how many sums run side by side, last the lane of weight lanes−1.
const (
	lanes = 16
	last  = lanes - 1
)

// sumError bounds the relative error of a sum of squares, unless it is below sumLeast, where
// squares underflow: 16 additions in a lane, 4 in fold, one rounding of a square and two of what is
// squared, each 2⁻²⁴.
const (
	sumError = 0x1p-19
	sumLeast = 0x1p-100
)

// trial is a scale and the levels that go with it.
type trial struct {
	inv    float32 // 1/s
	s      float32
	lo, hi float32 // the least and the greatest q−z
}

// roundMagic rounds a number of magnitude below 2²² to an integer, ties to even, by being added
// and taken away.
const roundMagic = 3 << 22

// round32 rounds t to the nearest of the integers lo to hi, ties to even.
func round32(t, lo, hi float32) float32 {
	return float32(min(max(t, lo), hi)+roundMagic) - roundMagic // branches would be guessed wrong
}

// fold adds the lanes: l to l+8, then to l+4, l+2, l+1.
func fold(a *[lanes]float32) float32 {
	for n := lanes / 2; n > 0; n /= 2 {
		for l := range n {
			a[l] += a[l+n]
		}
	}
	return a[0]
}

// extentGo returns the least and the greatest of w, zero without its sign, and whether all are
// finite: if not, the two mean nothing.
func extentGo(w []float32) (lo, hi float32, finite bool) {
	lo, hi = w[0], w[0]
	var odd float32
	for _, v := range w {
		odd += v - v // 0, or NaN
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo + 0, hi + 0, odd == 0
}

// costGo returns Σh(w−ŵ)² for the levels nearest to w·(1/s); h may be nil: all 1.
func costGo(w, h []float32, t trial) float32 {
	var a [lanes]float32
	for i, v := range w {
		r := v - float32(round32(float32(v*t.inv), t.lo, t.hi)*t.s)
		r = float32(r * r)
		if h != nil {
			r = float32(r * h[i])
		}
		a[i&last] += r
	}
	return fold(&a)
}

// SumSquares returns Σw².
func SumSquares(w []float32) float32 {
	if len(w) == 0 {
		return 0
	}
	var sum [1]float32
	costs(sum[:], w, nil, []trial{{}}) // all levels are 0
	return sum[0]
}

// moments are what a least-squares fit needs of weights w and their levels d.
type moments struct{ d1, d2, w1, wd float32 } // Σhd, Σhd², Σhw, Σhwd

func momentsGo(w, h []float32, t trial) moments {
	var d1, d2, w1, wd [lanes]float32
	for i, v := range w {
		d := round32(float32(v*t.inv), t.lo, t.hi)
		hd, hw := d, v
		if h != nil {
			hd, hw = float32(d*h[i]), float32(v*h[i])
		}
		w1[i&last] += hw
		d1[i&last] += hd
		d2[i&last] += float32(hd * d)
		wd[i&last] += float32(hd * v)
	}
	return moments{fold(&d1), fold(&d2), fold(&w1), fold(&wd)}
}

// codesGo fills u with the codes, from 0, of w, and returns Σ(w−ŵ)² and Σw². It divides by s:
// these are the codes that are stored.
func codesGo(u []uint8, w []float32, t trial) (loss, power float32) {
	var l, p [lanes]float32
	for i, v := range w {
		d := round32(float32(v/t.s), t.lo, t.hi)
		u[i] = uint8(int32(d - t.lo))
		r := v - float32(d*t.s)
		l[i&last] += float32(r * r)
		p[i&last] += float32(v * v)
	}
	return fold(&l), fold(&p)
}
