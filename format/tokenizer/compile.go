package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// An element is a part of an expression. It matches low to high characters; high may be unbounded.
type element struct {
	low, high int
	set       *runeSet // what one character of the element is, if it is just that
	build     func(next matcher) matcher
}

// compiler reads what translate writes.
type compiler struct {
	in            []rune
	at            int
	fold, dotAll  bool // as the flags i and s say
	loops, groups int  // seen so far
	refers        bool // to what a group has matched
}

// compile makes an expression of what translate writes.
func compile(translated string) (*expression, error) {
	c := &compiler{in: []rune(translated)}
	e, err := c.ways()
	if err == nil && c.at < len(c.in) {
		err = errors.New("a ) closes nothing")
	}
	if err != nil {
		return nil, err
	}
	x := &expression{start: e.build(accept), loops: c.loops}
	if c.refers {
		x.groups = c.groups + 1
	}
	return x, nil
}

// takes reads s, if it comes next.
func (c *compiler) takes(s string) bool {
	if !strings.HasPrefix(string(c.in[c.at:min(len(c.in), c.at+len(s))]), s) {
		return false
	}
	c.at += len(s)
	return true
}

// ways reads alternatives up to a ) or the end.
func (c *compiler) ways() (element, error) {
	first, err := c.sequence()
	list, all := []element{first}, first
	for err == nil && c.takes("|") {
		var e element
		e, err = c.sequence()
		list = append(list, e)
		all.low = min(all.low, e.low)
		if e.high == unbounded || all.high == unbounded {
			all.high = unbounded
		} else {
			all.high = max(all.high, e.high)
		}
	}
	if err != nil || len(list) == 1 {
		return first, err
	}
	all.set = nil
	all.build = func(next matcher) matcher {
		ways := make([]matcher, len(list))
		for i, e := range list {
			ways[i] = e.build(next)
		}
		return either(ways)
	}
	return all, nil
}

// sequence reads elements one after the other.
func (c *compiler) sequence() (element, error) {
	var list []element
	all := element{}
	for c.at < len(c.in) && c.in[c.at] != '|' && c.in[c.at] != ')' {
		e, err := c.atom()
		if err == nil {
			e, err = c.repeated(e)
		}
		if err != nil {
			return e, err
		}
		list = append(list, e)
		all.low += e.low
		if all.high != unbounded {
			if all.high += e.high; e.high == unbounded {
				all.high = unbounded
			}
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	all.build = func(next matcher) matcher {
		for i := len(list) - 1; i >= 0; i-- {
			next = list[i].build(next)
		}
		return next
	}
	return all, nil
}

// repeated reads a quantifier of e, if there is one.
func (c *compiler) repeated(e element) (element, error) {
	if c.at == len(c.in) || !strings.ContainsRune("*+?{", c.in[c.at]) {
		return e, nil
	}
	q, err := c.quantity()
	if err != nil {
		return e, err
	}
	all := element{low: e.low * q.low, high: unbounded}
	if e.high != unbounded && q.high != unbounded {
		all.high = e.high * q.high
	}
	if e.set != nil {
		all.build = func(next matcher) matcher { return run(e.set, q, next) }
		return all, nil
	}
	number := c.loops
	c.loops++
	all.build = func(next matcher) matcher {
		if q.kind == possessive {
			return atomic(loop(number, q, e.build, accept), next)
		}
		return loop(number, q, e.build, next)
	}
	return all, nil
}

// quantity reads * + ? or an interval, and the ? or + behind it.
func (c *compiler) quantity() (quantity, error) {
	q := quantity{high: unbounded}
	switch {
	case c.takes("*"):
	case c.takes("+"):
		q.low = 1
	case c.takes("?"):
		q.high = 1
	default:
		low, high, n, err := interval(string(c.in[c.at:]))
		if err != nil || n == 0 {
			return q, errors.New("an interval is not understood")
		}
		c.at += n
		q.low, _ = strconv.Atoi(low) // interval has looked at them
		if high != "" {
			q.high, _ = strconv.Atoi(high)
		}
		if c.takes("?") {
			q.kind = lazy
		}
		return q, nil
	}
	if c.takes("?") {
		q.kind = lazy
	} else if c.takes("+") {
		q.kind = possessive
	}
	return q, nil
}

// atom reads a character, a set, a place or a group.
func (c *compiler) atom() (element, error) {
	r := c.in[c.at]
	switch r {
	case '(':
		c.at++
		return c.group()
	case '[':
		c.at++
		return c.class()
	case '^':
		c.at++
		return place(atLineStart), nil
	case '$':
		c.at++
		return place(atLineEnd), nil
	case '.':
		c.at++
		s := &runeSet{negate: true}
		if !c.dotAll {
			s.add('\n', '\n')
		}
		return single(s), nil
	case '\\':
		return c.escape()
	}
	c.at++
	return c.char(r), nil
}

func (c *compiler) char(r rune) element {
	s := &runeSet{}
	c.member(s, r, r)
	return single(s)
}

func (c *compiler) member(s *runeSet, low, high rune) {
	if c.fold {
		s.addFolded(low, high)
		return
	}
	s.add(low, high)
}

func single(s *runeSet) element {
	s.close()
	return element{low: 1, high: 1, set: s, build: func(next matcher) matcher { return one(s, next) }}
}

func place(is func(text []rune, i int) bool) element {
	return element{build: func(next matcher) matcher { return where(is, next) }}
}

func atStart(_ []rune, i int) bool        { return i == 0 }
func atEnd(text []rune, i int) bool       { return i == len(text) }
func atLineStart(text []rune, i int) bool { return i == 0 || text[i-1] == '\n' }
func atLineEnd(text []rune, i int) bool   { return i == len(text) || text[i] == '\n' }
func atLastLineEnd(t []rune, i int) bool  { return i == len(t) || i == len(t)-1 && t[i] == '\n' }

// escape reads what begins with a backslash outside of a class.
func (c *compiler) escape() (element, error) {
	s := &runeSet{}
	if ok, err := c.named(s); ok || err != nil {
		return single(s), err
	}
	if r, ok := c.hexadecimal(); ok {
		return c.char(r), nil
	}
	if c.at+1 == len(c.in) {
		return element{}, errors.New("a backslash escapes nothing")
	}
	r := c.in[c.at+1]
	c.at += 2
	switch r {
	case 'X':
		return element{low: 1, high: unbounded, build: matchCluster}, nil
	case 'A':
		return place(atStart), nil
	case 'z':
		return place(atEnd), nil
	case 'Z':
		return place(atLastLineEnd), nil
	}
	if r < '1' || r > '9' {
		return element{}, fmt.Errorf(`\%c is not supported`, r)
	}
	number, fold := int(r-'0'), c.fold
	if number > c.groups {
		return element{}, fmt.Errorf(`\%c: no such group comes before it`, r)
	}
	c.refers = true
	return element{high: unbounded, build: func(next matcher) matcher { return again(number, fold, next) }}, nil
}

// hexadecimal reads \xHH.
func (c *compiler) hexadecimal() (rune, bool) {
	if c.at+4 > len(c.in) || !strings.HasPrefix(string(c.in[c.at:c.at+2]), `\x`) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(c.in[c.at+2:c.at+4]), 16, 8)
	if err != nil {
		return 0, false
	}
	c.at += 4
	return rune(v), true
}

// named reads \s, \S, \p{…} or \P{…} and adds what it stands for to a set.
func (c *compiler) named(s *runeSet) (bool, error) {
	switch {
	case c.takes(`\s`):
		s.tables = append(s.tables, unicode.White_Space)
		return true, nil
	case c.takes(`\S`):
		s.others = append(s.others, unicode.White_Space)
		return true, nil
	}
	not := c.takes(`\P{`)
	if !not && !c.takes(`\p{`) {
		return false, nil
	}
	name, _, _ := strings.Cut(string(c.in[c.at:]), "}")
	c.at = min(len(c.in), c.at+len([]rune(name))+1)
	t := tableOf(name)
	if t == nil {
		return true, fmt.Errorf(`\p{%s} is not supported`, name)
	}
	if not {
		s.others = append(s.others, t)
	} else {
		s.tables = append(s.tables, t)
	}
	return true, nil
}

// class reads what follows a [.
func (c *compiler) class() (element, error) {
	s := &runeSet{negate: c.takes("^")}
	for !c.takes("]") {
		if c.at == len(c.in) {
			return element{}, errors.New("a [ is not closed")
		}
		if ok, err := c.named(s); err != nil {
			return element{}, err
		} else if ok {
			continue
		}
		low := c.classChar()
		high := low
		if c.takes("-") {
			if c.at == len(c.in) {
				return element{}, errors.New("a [ is not closed")
			}
			high = c.classChar()
		}
		c.member(s, low, high)
	}
	return single(s), nil
}

func (c *compiler) classChar() rune {
	if r, ok := c.hexadecimal(); ok {
		return r
	}
	c.at++
	return c.in[c.at-1]
}

// group reads what follows a (.
func (c *compiler) group() (element, error) {
	fold, dotAll := c.fold, c.dotAll
	kind := ""
	for _, k := range []string{"?:", "?=", "?!", "?<=", "?<!", "?>"} {
		if kind == "" && c.takes(k) {
			kind = k
		}
	}
	if kind == "" && c.takes("?") {
		if kind = c.flags(); kind == ")" { // they hold for what follows
			return element{build: func(next matcher) matcher { return next }}, nil
		}
	}
	number := 0
	if kind == "" {
		c.groups++
		number = c.groups
	}
	e, err := c.ways()
	c.fold, c.dotAll = fold, dotAll
	if err == nil && !c.takes(")") {
		err = errors.New("a ( is not closed")
	}
	if err != nil {
		return e, err
	}
	return c.grouped(kind, number, e), nil
}

// flags reads the flags of a group and the : or ) behind them, which it returns.
func (c *compiler) flags() string {
	on := true
	for ; c.at < len(c.in); c.at++ {
		switch c.in[c.at] {
		case '-':
			on = false
		case 'i':
			c.fold = on
		case 's':
			c.dotAll = on
		default:
			c.at++
			return string(c.in[c.at-1])
		}
	}
	return ":"
}

// grouped is what a group of a kind makes of its content.
func (c *compiler) grouped(kind string, number int, e element) element {
	none := element{}
	switch kind {
	case "?=", "?!":
		none.build = func(next matcher) matcher { return ahead(e.build(accept), kind == "?=", next) }
		return none
	case "?<=", "?<!":
		none.build = func(next matcher) matcher { return behind(e.build(arrived), e.low, e.high, kind == "?<=", next) }
		return none
	case "?>":
		return element{low: e.low, high: e.high, build: func(next matcher) matcher { return atomic(e.build(accept), next) }}
	case "":
		return element{low: e.low, high: e.high, build: func(next matcher) matcher {
			if !c.refers {
				return e.build(next)
			}
			return capture(number, e.build(captureEnd(number, next)))
		}}
	}
	return e
}
