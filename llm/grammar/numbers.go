package grammar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Numbers have at most this many digits before and after the point.
const (
	wholeDigits    = 16
	fractionDigits = 15
)

// decimal is a number written out: whole and fraction have no needless zeros.
type decimal struct {
	negative        bool
	whole, fraction string // digits; whole is "0" at least
}

// parseDecimal reads a JSON number.
func parseDecimal(text string) (d decimal, err error) {
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil || exponent > 40 || exponent < -40 {
			return d, errors.New("its exponent is too large")
		}
		mantissa = text[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if n := exponent - len(fraction); n > 0 {
		fraction += strings.Repeat("0", n)
	}
	if n := -exponent - len(whole); n > 0 {
		whole = strings.Repeat("0", n) + whole
	}
	digits, point := whole+fraction, len(whole)+exponent
	d.whole, d.fraction = strings.TrimLeft(digits[:point], "0"), strings.TrimRight(digits[point:], "0")
	if d.whole == "" {
		d.whole = "0"
	}
	if len(d.whole) > 40 || len(d.fraction) > fractionDigits {
		return d, errors.New("it has too many digits")
	}
	d.negative = d.negative && !(d.whole == "0" && d.fraction == "")
	return d, nil
}

// less compares what digits say, without the signs.
func (d decimal) less(o decimal) bool {
	if len(d.whole) != len(o.whole) {
		return len(d.whole) < len(o.whole)
	}
	if d.whole != o.whole {
		return d.whole < o.whole
	}
	return d.fraction < o.fraction
}

// bound is a limit of a number.
type bound struct {
	decimal
	open bool // the limit itself is not allowed
}

// numbers is a number between two bounds, nil: none. whole leaves out fractions and exponents.
func numbers(low, high *bound, whole bool) (*expr, error) {
	if low != nil && high != nil && beyond(low, high) {
		return alt(), nil
	}
	zero := &bound{}
	zero.whole = "0"
	var kids []*expr
	if high == nil || !high.negative {
		from := zero
		if low != nil && !low.negative {
			from = low
		}
		kids = append(kids, between(from, high, whole))
	}
	if low == nil || low.negative {
		from := &bound{decimal: zero.decimal, open: true}
		if high != nil && high.negative {
			from = high
		}
		kids = append(kids, seq(literal("-"), between(from, low, whole)))
	}
	return alt(kids...), nil
}

// beyond reports whether a lower bound is above an upper one.
func beyond(low, high *bound) bool {
	switch {
	case low.negative != high.negative:
		return high.negative
	case low.negative:
		return low.less(high.decimal)
	}
	return high.less(low.decimal)
}

// between is a number without a sign from low to high; high nil: as large as there are digits.
func between(low, high *bound, whole bool) *expr {
	top := strings.Repeat("9", max(wholeDigits, len(low.whole)+1))
	if high != nil {
		top = high.whole
	}
	var kids []*expr
	if high != nil && high.whole == low.whole {
		return seq(literal(low.whole), fraction(low, high, whole))
	}
	kids = append(kids, seq(literal(low.whole), fraction(low, nil, whole)))
	last := top
	if high != nil {
		kids = append(kids, seq(literal(top), fraction(nil, high, whole)))
		last = decrement(top)
	}
	if first := increment(low.whole); notAbove(first, last) {
		kids = append(kids, seq(wholes(first, last), fraction(nil, nil, whole)))
	}
	return alt(kids...)
}

func notAbove(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a <= b }

// increment adds one to digits.
func increment(digits string) string {
	b := []byte(digits)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] <= '9' {
			return string(b)
		}
		b[i] = '0'
	}
	return "1" + string(b)
}

// decrement takes one from digits, which are not zero.
func decrement(digits string) string {
	b := []byte(digits)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]--; b[i] >= '0' {
			break
		}
		b[i] = '9'
	}
	if text := strings.TrimLeft(string(b), "0"); text != "" {
		return text
	}
	return "0"
}

// wholes is a whole number from low to high, without needless zeros.
func wholes(low, high string) *expr {
	var kids []*expr
	for n := len(low); n <= len(high); n++ {
		a, b := "1"+strings.Repeat("0", n-1), strings.Repeat("9", n)
		if n == len(low) {
			a = low
		}
		if n == len(high) {
			b = high
		}
		kids = append(kids, sameLength(a, b))
	}
	return alt(kids...)
}

func digit(lo, hi byte) *expr { return &expr{op: opBytes, spans: []span{{rune(lo), rune(hi)}}} }

// sameLength is as many digits as both have, from low to high.
func sameLength(low, high string) *expr {
	switch {
	case low == "":
		return empty()
	case strings.Trim(low, "0") == "" && strings.Trim(high, "9") == "":
		return repeat(digit('0', '9'), len(low), len(low))
	case low[0] == high[0]:
		return seq(digit(low[0], low[0]), sameLength(low[1:], high[1:]))
	}
	n := len(low) - 1
	kids := []*expr{
		seq(digit(low[0], low[0]), sameLength(low[1:], strings.Repeat("9", n))),
		seq(digit(high[0], high[0]), sameLength(strings.Repeat("0", n), high[1:])),
	}
	if low[0]+1 < high[0] {
		kids = append(kids, seq(digit(low[0]+1, high[0]-1), repeat(digit('0', '9'), n, n)))
	}
	return alt(kids...)
}

// fraction is what follows a whole number that is the bounds' own: nothing, or a point and digits. A nil bound does not
// matter.
func fraction(low, high *bound, whole bool) *expr {
	f := fractions{n: fractionDigits}
	if low != nil {
		f.low, f.lowOpen = low.fraction, low.open
	}
	if high != nil {
		f.high, f.highOpen = high.fraction, high.open
	}
	var kids []*expr
	if f.mayEnd(0, low != nil, high != nil) {
		kids = append(kids, empty())
	}
	if !whole {
		kids = append(kids, seq(literal("."), f.digits(0, low != nil, high != nil, false)))
	}
	return alt(kids...)
}

// fractions are digits after a point between those of two bounds.
type fractions struct {
	low, high         string
	lowOpen, highOpen bool
	n                 int // digits at most
}

// rest returns the digits of a bound from i on.
func rest(digits string, i int) string { return digits[min(i, len(digits)):] }

// mayEnd reports whether i digits suffice, which were the low or the high bound's own as far as that is said.
func (f *fractions) mayEnd(i int, atLow, atHigh bool) bool {
	return !(atLow && (rest(f.low, i) != "" || f.lowOpen)) && !(atHigh && rest(f.high, i) == "" && f.highOpen)
}

// digits are those from the i-th on; after the first they may end.
func (f *fractions) digits(i int, atLow, atHigh, end bool) *expr {
	var kids []*expr
	if end && f.mayEnd(i, atLow, atHigh) {
		kids = append(kids, empty())
	}
	if i == f.n {
		return alt(kids...)
	}
	if !atLow && !atHigh {
		least := 1
		if end {
			least = 0
		}
		return repeat(digit('0', '9'), least, f.n-i)
	}
	at := func(digits string) byte {
		if i < len(digits) {
			return digits[i]
		}
		return '0'
	}
	lo, hi := byte('0'), byte('9')
	if atLow {
		lo = at(f.low)
	}
	if atHigh {
		hi = at(f.high)
	}
	for d := lo; d <= hi; d++ {
		kids = append(kids, seq(digit(d, d), f.digits(i+1, atLow && d == lo, atHigh && d == hi, true)))
	}
	return alt(kids...)
}

// readBound reads a limit.
func readBound(v any, open bool) (*bound, error) {
	n, ok := v.(number)
	if !ok {
		return nil, errors.New("want a number")
	}
	d, err := parseDecimal(string(n))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	return &bound{d, open}, nil
}
