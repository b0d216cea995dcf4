package jinja

import (
	"math"
	"math/bits"
	"strings"
)

// binary is a op b for + - ~ * / // % **.
func (in *interp) binary(line int, op string, a, b any) any {
	in.spend(line, workPerStep)
	if op == "~" {
		return in.str(line, a) + in.str(line, b)
	}
	definedPair(line, a, b)
	i, okI := integer(a)
	j, okJ := integer(b)
	if okI && okJ {
		return intOp(line, op, i, j)
	}
	x, okX := float(a)
	y, okY := float(b)
	if okX && okY {
		return floatOp(line, op, x, y)
	}
	switch {
	case op == "+":
		if v := in.join(line, a, b); v != nil {
			return v
		}
	case op == "*" && okJ:
		return in.repeat(line, a, j)
	case op == "*" && okI:
		return in.repeat(line, b, i)
	case op == "%":
		if s, ok := a.(string); ok {
			return in.percent(line, s, b)
		}
	}
	fail(line, "unsupported operand types for %s: '%s' and '%s'", op, typeName(a), typeName(b))
	return nil
}

// join concatenates strings, lists or tuples; nil for anything else.
func (in *interp) join(line int, a, b any) any {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			in.spend(line, len(a)+len(b))
			return a + b
		}
	case *list:
		if b, ok := b.(*list); ok {
			return &list{in.joinItems(line, a.items, b.items)}
		}
	case *tuple:
		if b, ok := b.(*tuple); ok {
			return &tuple{in.joinItems(line, a.items, b.items)}
		}
	}
	return nil
}

func (in *interp) joinItems(line int, a, b []any) []any {
	in.spendTimes(line, len(a)+len(b), workPerStep)
	return append(append(make([]any, 0, len(a)+len(b)), a...), b...)
}

func (in *interp) repeat(line int, v any, n int) any {
	n = max(n, 0)
	items := func(from []any) (out []any) {
		in.spendTimes(line, len(from)*workPerStep, n)
		for range n * min(len(from), 1) {
			out = append(out, from...)
		}
		return out
	}
	switch v := v.(type) {
	case string:
		in.spendTimes(line, len(v), n)
		return strings.Repeat(v, n*min(len(v), 1))
	case *list:
		return &list{items(v.items)}
	case *tuple:
		return &tuple{items(v.items)}
	}
	fail(line, "can't multiply a '%s'", typeName(v))
	return nil
}

// intOp computes with integers; where Python would make one of more than 64 bits, it fails.
func intOp(line int, op string, a, b int) any {
	tooLarge := func(bad bool) {
		if bad {
			fail(line, "the result of %d %s %d is too large", a, op, b)
		}
	}
	switch op {
	case "+":
		c := a + b
		tooLarge((c > a) != (b > 0))
		return c
	case "-":
		c := a - b
		tooLarge((c < a) != (b > 0))
		return c
	case "*":
		hi, lo := bits.Mul64(magnitude(a), magnitude(b))
		tooLarge(hi != 0 || lo > math.MaxInt64)
		return a * b
	case "**":
		return power(line, a, b)
	}
	if b == 0 {
		fail(line, "division by zero")
	}
	tooLarge(a == math.MinInt64 && b == -1)
	switch q, r := a/b, a%b; {
	case op == "/":
		return float64(a) / float64(b)
	case op == "//":
		if r != 0 && (r < 0) != (b < 0) {
			q--
		}
		return q
	default:
		if r != 0 && (r < 0) != (b < 0) {
			r += b
		}
		return r
	}
}

func magnitude(a int) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func power(line, a, b int) any {
	if b < 0 {
		return floatOp(line, "**", float64(a), float64(b))
	}
	c := 1
	for ; b > 0; b-- {
		if a == 0 || a == 1 {
			return a
		}
		if a == -1 {
			return 1 - 2*(b%2)
		}
		c = intOp(line, "*", c, a).(int)
	}
	return c
}

func floatOp(line int, op string, a, b float64) any {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		c := math.Pow(a, b)
		if math.IsNaN(c) || math.IsInf(c, 0) {
			fail(line, "the result of ** is out of range")
		}
		return c
	}
	if b == 0 {
		fail(line, "division by zero")
	}
	switch m := math.Mod(a, b); {
	case op == "/":
		return a / b
	default:
		if m != 0 && (m < 0) != (b < 0) {
			m += b
		} else if m == 0 {
			m = math.Copysign(0, b)
		}
		if op == "%" {
			return m
		}
		return floorDiv(a, b, m)
	}
}

// floorDiv is a // b where m is a % b: the quotient is whole before it is rounded.
func floorDiv(a, b, m float64) float64 {
	q := (a - m) / b
	if q == 0 {
		return math.Copysign(0, a/b)
	}
	f := math.Floor(q)
	if q-f > 0.5 {
		f++
	}
	return f
}
