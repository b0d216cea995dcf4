package jinja

// loop is the variable of that name: a running loop and where it stands. The loop's test sees an
// item when the loop gets there, or when an attribute looks ahead, as in Jinja.
type loop struct {
	in      *interp
	stmt    *forStmt
	scope   *scope
	items   []any // those that passed the test
	rest    []any // those not tested yet
	at      int   // the item of this turn
	depth   int   // from 0
	changed []any // what loop.changed saw last; nil before
}

func (s *forStmt) exec(in *interp, sc *scope) flow {
	return s.over(in, sc, s.iter.eval(in, sc), 0)
}

// over runs the loop over a value.
func (s *forStmt) over(in *interp, sc *scope, v any, depth int) flow {
	l := &loop{in: in, stmt: s, scope: sc, rest: in.elements(s.line, v), depth: depth}
	for l.at = 0; l.has(l.at); l.at++ {
		inner := sc.inner()
		inner.vars["loop"] = l
		in.assign(inner, s.target, l.items[l.at])
		if in.run(s.body, inner) == flowBreak {
			break
		}
	}
	if len(l.items) == 0 {
		return in.run(s.other, sc.inner())
	}
	return flowOn
}

// has tells whether there is an item i.
func (l *loop) has(i int) bool {
	for i >= len(l.items) && len(l.rest) > 0 {
		item := l.rest[0]
		l.rest = l.rest[1:]
		if l.passes(item) {
			l.items = append(l.items, item)
		}
	}
	return i < len(l.items)
}

func (l *loop) passes(item any) bool {
	if l.stmt.test == nil {
		return true
	}
	inner := l.scope.inner()
	l.in.assign(inner, l.stmt.target, item)
	return truth(l.stmt.test.eval(l.in, inner))
}

// length is the number of all items.
func (l *loop) length() int {
	for l.has(len(l.items)) {
	}
	return len(l.items)
}

// attribute is an attribute of the loop.
func (l *loop) attribute(name string) (any, bool) {
	switch name {
	case "index":
		return l.at + 1, true
	case "index0":
		return l.at, true
	case "revindex":
		return l.length() - l.at, true
	case "revindex0":
		return l.length() - l.at - 1, true
	case "first":
		return l.at == 0, true
	case "last":
		return !l.has(l.at + 1), true
	case "length":
		return l.length(), true
	case "depth":
		return l.depth + 1, true
	case "depth0":
		return l.depth, true
	case "previtem":
		if l.at == 0 {
			return undefined{"there is no previous item"}, true
		}
		return l.items[l.at-1], true
	case "nextitem":
		if !l.has(l.at + 1) {
			return undefined{"there is no next item"}, true
		}
		return l.items[l.at+1], true
	case "cycle":
		return &function{name, l.cycle}, true
	case "changed":
		return &function{name, l.hasChanged}, true
	}
	return nil, false
}

func (l *loop) cycle(c *call) any {
	if len(c.pos) == 0 {
		c.fail("no items for cycling given")
	}
	return c.pos[l.at%len(c.pos)]
}

func (l *loop) hasChanged(c *call) any {
	same := l.changed != nil && l.in.equalItems(c.line, l.changed, c.pos)
	l.changed = append([]any{}, c.pos...)
	return !same
}

// recurse is loop(items) in a recursive loop.
func (l *loop) recurse(c *call) any {
	if !l.stmt.recursive {
		c.fail("The loop must have the 'recursive' marker to be called recursively.")
	}
	l.in.enter(c.line)
	defer func() { l.in.calls-- }()
	items := c.bind("iterable")[0]
	text, _ := l.in.capture([]stmt{&recursion{l, items}}, l.scope)
	return text
}

// recursion runs a recursive loop once more, one level deeper.
type recursion struct {
	loop  *loop
	items any
}

func (r *recursion) exec(in *interp, sc *scope) flow {
	return r.loop.stmt.over(in, sc, r.items, r.loop.depth+1)
}
