package jinja

import "unicode/utf8"

// call is a call of a function, a filter, a test or a method.
type call struct {
	in    *interp
	line  int
	name  string
	self  any // the subject of a filter, a test or a method
	pos   []any
	names []string
	named []any
}

func (c *call) fail(format string, args ...any) { fail(c.line, format, args...) }
func (c *call) str(v any) string                { return c.in.str(c.line, v) }
func (c *call) elements(v any) []any            { return c.in.elements(c.line, v) }

// unset stands for a parameter that was not given.
type unset struct{}

// bind orders the arguments by parameter; those not given are unset.
func (c *call) bind(params ...string) []any {
	if len(c.pos) > len(params) {
		c.fail("%s takes at most %d arguments, got %d", c.name, len(params), len(c.pos))
	}
	out := make([]any, len(params))
	for i := range out {
		out[i] = unset{}
	}
	copy(out, c.pos)
next:
	for i, name := range c.names {
		for j, param := range params {
			if name == param && out[j] == (unset{}) {
				out[j] = c.named[i]
				continue next
			}
		}
		c.fail("%s got an unexpected argument '%s'", c.name, name)
	}
	return out
}

func or[T any](v any, other T) any {
	if v == (unset{}) {
		return other
	}
	return v
}

// text and whole read an argument that has to be a string or an integer.
func (c *call) text(v any) string {
	s, ok := v.(string)
	if !ok {
		c.fail("%s wants a string, got %s", c.name, argType(v))
	}
	return s
}

func (c *call) whole(v any) int {
	n, ok := integer(v)
	if !ok {
		c.fail("%s wants an integer, got %s", c.name, argType(v))
	}
	return n
}

func argType(v any) string {
	if v == (unset{}) {
		return "nothing"
	}
	return typeName(v)
}

func (e *constant) eval(*interp, *scope) any { return e.value }

func (e *nameExpr) eval(in *interp, sc *scope) any {
	in.spend(e.line, workPerStep)
	if v, ok := sc.get(e.name); ok {
		return v
	}
	if f := globals[e.name]; f != nil {
		return &function{e.name, f}
	}
	switch e.name {
	case "cycler", "joiner", "lipsum", "self":
		fail(e.line, "'%s' is not supported", e.name)
	}
	return undefined{"'" + e.name + "' is undefined"}
}

func evalAll(in *interp, sc *scope, exprs []expr) []any {
	out := make([]any, len(exprs))
	for i, e := range exprs {
		out[i] = e.eval(in, sc)
	}
	return out
}

func (e *listExpr) eval(in *interp, sc *scope) any  { return &list{evalAll(in, sc, e.items)} }
func (e *tupleExpr) eval(in *interp, sc *scope) any { return &tuple{evalAll(in, sc, e.items)} }

func (e *dictExpr) eval(in *interp, sc *scope) any {
	in.spendTimes(e.line, len(e.keys), workPerStep)
	d := newDict()
	for i, k := range e.keys {
		key := k.eval(in, sc)
		if !d.set(key, e.vals[i].eval(in, sc)) {
			fail(e.line, "a %s is not supported as a key", typeName(key))
		}
	}
	return d
}

// eval looks for a method or an attribute first, then for an item.
func (e *attrExpr) eval(in *interp, sc *scope) any {
	in.spend(e.line, workPerStep)
	v := e.object.eval(in, sc)
	defined(e.line, v)
	if a, ok := attribute(e.line, v, e.name); ok {
		return a
	}
	if d, ok := v.(*dict); ok {
		if item, ok := d.get(e.name); ok {
			return item
		}
	}
	return missing(v, e.name)
}

// eval looks for an item first, then for a method or an attribute.
func (e *itemExpr) eval(in *interp, sc *scope) any {
	v := e.object.eval(in, sc)
	return in.item(e.line, v, e.key.eval(in, sc))
}

func (in *interp) item(line int, v, key any) any {
	in.spend(line, workPerStep)
	defined(line, v)
	if d, ok := v.(*dict); ok {
		if item, ok := d.get(key); ok {
			return item
		}
	}
	if i, ok := integer(key); ok {
		if s, ok := v.(string); ok {
			in.spend(line, len(s))
			if i < 0 {
				i += utf8.RuneCountInString(s)
			}
			for _, r := range s {
				if i == 0 {
					return string(r)
				}
				i--
			}
			return missing(v, key)
		}
		items := indexed(v)
		if i < 0 {
			i += len(items)
		}
		if i >= 0 && i < len(items) {
			return items[i]
		}
	}
	if name, ok := key.(string); ok {
		if a, ok := attribute(line, v, name); ok {
			return a
		}
	}
	return missing(v, key)
}

// indexed are the items of what has an order and an index.
func indexed(v any) []any {
	switch v := v.(type) {
	case *list:
		return v.items
	case *tuple:
		return v.items
	case *sequence:
		if v.kind == "range" {
			return v.items
		}
	}
	return nil
}

func (e *sliceExpr) eval(in *interp, sc *scope) any {
	v := e.object.eval(in, sc)
	defined(e.line, v)
	bounds := [3]any{}
	for i, x := range []expr{e.low, e.high, e.step} {
		if x != nil {
			bounds[i] = x.eval(in, sc)
			if _, ok := integer(bounds[i]); !ok && bounds[i] != nil {
				fail(e.line, "slice indices must be integers, not %s", typeName(bounds[i]))
			}
		}
	}
	switch v := v.(type) {
	case string:
		runes := []rune(v)
		in.spendTimes(e.line, len(v), workPerStep)
		return string(slice(e.line, runes, bounds))
	case *list:
		in.spendTimes(e.line, len(v.items), workPerStep)
		return &list{slice(e.line, v.items, bounds)}
	case *tuple:
		in.spendTimes(e.line, len(v.items), workPerStep)
		return &tuple{slice(e.line, v.items, bounds)}
	case *sequence:
		if v.kind == "range" {
			in.spendTimes(e.line, len(v.items), workPerStep)
			return &sequence{"range", slice(e.line, v.items, bounds)}
		}
	}
	fail(e.line, "'%s' object cannot be sliced", typeName(v))
	return nil
}

// slice is Python's items[low:high:step].
func slice[T any](line int, items []T, bounds [3]any) []T {
	n, step := len(items), 1
	if s, ok := integer(bounds[2]); ok {
		step = min(max(s, -n-1), n+1) // a longer step takes the same single item
	}
	if b, ok := integer(bounds[2]); ok && b == 0 {
		fail(line, "slice step cannot be zero")
	}
	least, most := 0, n // where a bound may lie
	low, high := 0, n
	if step < 0 {
		least, most = -1, n-1
		low, high = n-1, -1
	}
	place := func(v any, other int) int {
		i, ok := integer(v)
		if !ok {
			return other
		}
		if i < 0 {
			i += n
		}
		return min(max(i, least), most)
	}
	low, high = place(bounds[0], low), place(bounds[1], high)
	out := []T{}
	for i := low; step > 0 && i < high || step < 0 && i > high; i += step {
		out = append(out, items[i])
	}
	return out
}

func (e *callExpr) eval(in *interp, sc *scope) any {
	fn := e.fn.eval(in, sc)
	c := &call{in: in, line: e.line}
	e.args.eval(c, sc)
	return c.invoke(fn)
}

// invoke calls a value.
func (c *call) invoke(fn any) any {
	c.in.spend(c.line, workPerStep)
	defined(c.line, fn)
	switch f := fn.(type) {
	case *function:
		c.name = f.name
		return f.call(c)
	case *loop:
		c.name = "loop"
		return f.recurse(c)
	}
	c.fail("'%s' object is not callable", typeName(fn))
	return nil
}

func (a *arguments) eval(c *call, sc *scope) {
	c.pos = append(c.pos, evalAll(c.in, sc, a.pos)...)
	if a.star != nil {
		c.pos = append(c.pos, c.elements(a.star.eval(c.in, sc))...)
	}
	c.names = append(c.names, a.names...)
	c.named = evalAll(c.in, sc, a.named)
	if a.starStar == nil {
		return
	}
	d, ok := a.starStar.eval(c.in, sc).(*dict)
	if !ok {
		c.fail("the argument after ** must be a mapping")
	}
	for i, key := range d.keys {
		c.names, c.named = append(c.names, c.text(key)), append(c.named, d.vals[i])
	}
}

func (e *filterExpr) eval(in *interp, sc *scope) any {
	return e.apply(in, sc, e.subject.eval(in, sc))
}

func (e *filterExpr) apply(in *interp, sc *scope, subject any) any {
	in.spend(e.line, workPerStep)
	f := filterTable[e.name]
	if f == nil {
		fail(e.line, "the filter '%s' is supported only as the last one of an output", e.name)
	}
	c := &call{in: in, line: e.line, name: e.name, self: subject}
	e.args.eval(c, sc)
	return f(c)
}

// applyAll applies a chain of filters whose innermost subject is nil.
func (e *filterExpr) applyAll(in *interp, sc *scope, subject any) any {
	if inner, ok := e.subject.(*filterExpr); ok {
		subject = inner.applyAll(in, sc, subject)
	}
	return e.apply(in, sc, subject)
}

func (e *testExpr) eval(in *interp, sc *scope) any {
	in.spend(e.line, workPerStep)
	c := &call{in: in, line: e.line, name: e.name, self: e.subject.eval(in, sc)}
	e.args.eval(c, sc)
	return testTable[e.name](c)
}

func (e *unaryExpr) eval(in *interp, sc *scope) any {
	v := e.x.eval(in, sc)
	defined(e.line, v)
	if f, ok := v.(float64); ok {
		if e.op == "-" {
			return -f
		}
		return f
	}
	n, ok := integer(v)
	if !ok {
		fail(e.line, "bad operand type for unary %s: '%s'", e.op, typeName(v))
	}
	if e.op == "-" {
		return intOp(e.line, "-", 0, n)
	}
	return n
}

func (e *notExpr) eval(in *interp, sc *scope) any { return !truth(e.x.eval(in, sc)) }

func (e *binaryExpr) eval(in *interp, sc *scope) any {
	x := e.x.eval(in, sc)
	return in.binary(e.line, e.op, x, e.y.eval(in, sc))
}

func (e *logicExpr) eval(in *interp, sc *scope) any {
	if x := e.x.eval(in, sc); truth(x) != e.and {
		return x
	}
	return e.y.eval(in, sc)
}

func (e *compareExpr) eval(in *interp, sc *scope) any {
	x := e.first.eval(in, sc)
	for i, op := range e.ops {
		y := e.rest[i].eval(in, sc)
		if !in.compares(e.line, op, x, y) {
			return false
		}
		x = y
	}
	return true
}

func (e *condExpr) eval(in *interp, sc *scope) any {
	if truth(e.test.eval(in, sc)) {
		return e.then.eval(in, sc)
	}
	if e.other == nil {
		return undefined{"the inline if-expression is false and has no else"}
	}
	return e.other.eval(in, sc)
}
