package jinja

import (
	"cmp"
	"strings"
)

// equal is Python's ==.
func (in *interp) equal(line int, a, b any) bool {
	in.spend(line, workPerStep)
	x, okX := float(a)
	y, okY := float(b)
	if okX || okY {
		i, okI := integer(a)
		j, okJ := integer(b)
		if okI && okJ {
			return i == j
		}
		return okX && okY && x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		b, ok := b.(string)
		return ok && a == b
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *list:
		b, ok := b.(*list)
		return ok && in.equalItems(line, a.items, b.items)
	case *tuple:
		b, ok := b.(*tuple)
		return ok && in.equalItems(line, a.items, b.items)
	case *dict:
		b, ok := b.(*dict)
		return ok && in.equalDicts(line, a, b)
	case *sequence:
		b, ok := b.(*sequence)
		if !ok || a == b {
			return ok
		}
		if a.iterator() || b.iterator() {
			return false
		}
		if a.kind != "range" || b.kind != "range" {
			fail(line, "comparing %s objects is not supported", a.kind)
		}
		return in.equalItems(line, a.items, b.items)
	}
	return a == b // of the rest, each is equal to itself only
}

func (in *interp) equalItems(line int, a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !in.equal(line, a[i], b[i]) {
			return false
		}
	}
	return true
}

func (in *interp) equalDicts(line int, a, b *dict) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	for i, key := range a.keys {
		if v, ok := b.get(key); !ok || !in.equal(line, a.vals[i], v) {
			return false
		}
	}
	return true
}

// order compares two values that have an order; op is for the message.
func (in *interp) order(line int, op string, a, b any) int {
	in.spend(line, workPerStep)
	definedPair(line, a, b)
	x, okX := float(a)
	y, okY := float(b)
	if okX && okY {
		i, okI := integer(a)
		j, okJ := integer(b)
		if okI && okJ {
			return cmp.Compare(i, j)
		}
		if x != x || y != y {
			fail(line, "comparing nan is not supported")
		}
		return cmp.Compare(x, y)
	}
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case *list:
		if b, ok := b.(*list); ok {
			return in.orderItems(line, op, a.items, b.items)
		}
	case *tuple:
		if b, ok := b.(*tuple); ok {
			return in.orderItems(line, op, a.items, b.items)
		}
	}
	fail(line, "'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return 0
}

func (in *interp) orderItems(line int, op string, a, b []any) int {
	for i := range min(len(a), len(b)) {
		if !in.equal(line, a[i], b[i]) {
			return in.order(line, op, a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

// contains is Python's x in v.
func (in *interp) contains(line int, v, x any) bool {
	switch v := v.(type) {
	case string:
		s, ok := x.(string)
		if !ok {
			fail(line, "'in <string>' requires string as left operand, not %s", typeName(x))
		}
		in.spend(line, len(v))
		return strings.Contains(v, s)
	case *dict:
		switch x.(type) {
		case *list, *dict:
			fail(line, "unhashable type: '%s'", typeName(x))
		}
		_, ok := v.get(x)
		return ok
	}
	for _, item := range in.elements(line, v) {
		if in.equal(line, item, x) {
			return true
		}
	}
	return false
}

// compares tells whether a op b.
func (in *interp) compares(line int, op string, a, b any) bool {
	switch op {
	case "==":
		return in.equal(line, a, b)
	case "!=":
		return !in.equal(line, a, b)
	case "in":
		return in.contains(line, b, a)
	case "not in":
		return !in.contains(line, b, a)
	case "<":
		return in.order(line, op, a, b) < 0
	case "<=":
		return in.order(line, op, a, b) <= 0
	case ">":
		return in.order(line, op, a, b) > 0
	}
	return in.order(line, op, a, b) >= 0
}

// defined fails for an undefined value, as using it does.
func defined(line int, v any) {
	if u, ok := v.(undefined); ok {
		fail(line, "%s", u.why)
	}
}

func definedPair(line int, a, b any) {
	defined(line, a)
	defined(line, b)
}
