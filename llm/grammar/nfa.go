package grammar

import (
	"fmt"
	"unicode/utf8"
)

// node is a state of a nondeterministic automaton: an edge for a byte, an edge for a call, or edges for nothing.
type node struct {
	lo, hi byte
	to     int32   // after the byte or the call, −1: neither
	call   int32   // rule, −1: a byte
	free   []int32 // for nothing
}

// nfa is the automaton of one expression; its end is the only state that accepts.
type nfa struct {
	nodes []node
	left  int    // states that may still be made
	empty []bool // by rule: whether its text may be empty
}

func (a *nfa) add() (int32, error) {
	if a.left--; a.left < 0 {
		return 0, fmt.Errorf("it is too large: its automaton has more than %d states", maxStates)
	}
	a.nodes = append(a.nodes, node{to: -1, call: -1})
	return int32(len(a.nodes) - 1), nil
}

// edge adds a state with an edge for a byte in a range.
func (a *nfa) edge(lo, hi byte, to int32) (int32, error) {
	at, err := a.add()
	if err == nil {
		a.nodes[at].lo, a.nodes[at].hi, a.nodes[at].to = lo, hi, to
	}
	return at, err
}

// build adds the states of an expression that is followed by the state `to`, and returns where it begins.
func (a *nfa) build(e *expr, to int32, depth int) (int32, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("more than %d levels of brackets", maxDepth)
	}
	switch e.op {
	case opEmpty:
		return to, nil
	case opBytes:
		return a.branch(len(e.spans), func(i int) (int32, error) { return a.edge(byte(e.spans[i].lo), byte(e.spans[i].hi), to) })
	case opChars:
		return a.chars(e.spans, to)
	case opSeq:
		for i := len(e.kids) - 1; i >= 0; i-- {
			var err error
			if to, err = a.build(e.kids[i], to, depth+1); err != nil {
				return 0, err
			}
		}
		return to, nil
	case opAlt:
		return a.branch(len(e.kids), func(i int) (int32, error) { return a.build(e.kids[i], to, depth+1) })
	case opRepeat:
		return a.repeated(e, to, depth)
	}
	at, err := a.add()
	if err != nil {
		return 0, err
	}
	a.nodes[at].call, a.nodes[at].to = int32(e.rule), to
	if !a.empty[e.rule] {
		return at, nil
	}
	either, err := a.add()
	if err == nil {
		a.nodes[either].free = []int32{at, to}
	}
	return either, err
}

// branch adds a state from which each of n begins.
func (a *nfa) branch(n int, begin func(i int) (int32, error)) (int32, error) {
	at, err := a.add()
	if err != nil {
		return 0, err
	}
	for i := range n {
		to, err := begin(i)
		if err != nil {
			return 0, err
		}
		a.nodes[at].free = append(a.nodes[at].free, to)
	}
	return at, nil
}

// repeated adds an expression as often as it must come, and then as often as it may.
func (a *nfa) repeated(e *expr, to int32, depth int) (int32, error) {
	if e.min > maxRepeat || e.max > maxRepeat {
		return 0, fmt.Errorf("more than %d repetitions", maxRepeat)
	}
	end := to
	if e.max < 0 {
		loop, err := a.add()
		if err != nil {
			return 0, err
		}
		body, err := a.build(e.kids[0], loop, depth+1)
		if err != nil {
			return 0, err
		}
		a.nodes[loop].free = []int32{body, to}
		to = loop
	}
	for i := max(e.min, e.max); i > 0; i-- {
		body, err := a.build(e.kids[0], to, depth+1)
		if err != nil {
			return 0, err
		}
		if to = body; i <= e.min {
			continue
		}
		if to, err = a.add(); err != nil {
			return 0, err
		}
		a.nodes[to].free = []int32{body, end}
	}
	return to, nil
}

// chars adds the bytes of the UTF-8 of characters. Surrogates have none.
func (a *nfa) chars(spans []span, to int32) (int32, error) {
	at, err := a.add()
	if err != nil {
		return 0, err
	}
	for _, s := range spans {
		for _, part := range utf8Ranges(s) {
			next := to
			for i := len(part) - 1; i >= 0; i-- {
				if next, err = a.edge(part[i].lo, part[i].hi, next); err != nil {
					return 0, err
				}
			}
			a.nodes[at].free = append(a.nodes[at].free, next)
		}
	}
	return at, nil
}

// byteSpan is a range of bytes.
type byteSpan struct{ lo, hi byte }

// utf8Ranges returns sequences of byte ranges that together are the UTF-8 of a range of characters.
func utf8Ranges(s span) (out [][]byteSpan) {
	for _, part := range []span{{0, 0x7f}, {0x80, 0x7ff}, {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, utf8.MaxRune}} {
		if lo, hi := max(s.lo, part.lo), min(s.hi, part.hi); lo <= hi {
			out = splitRange(lo, hi, out)
		}
	}
	return out
}

// splitRange cuts a range of characters with equally long UTF-8 until each byte ranges independently of the others.
func splitRange(lo, hi rune, out [][]byteSpan) [][]byteSpan {
	for low := rune(1)<<6 - 1; low < 1<<18; low = low<<6 | 0x3f { // the lowest bits, of 1, 2 and 3 bytes
		if lo&^low == hi&^low {
			break
		}
		if lo&low != 0 {
			return splitRange((lo|low)+1, hi, splitRange(lo, lo|low, out))
		}
		if hi&low != low {
			return splitRange(hi&^low, hi, splitRange(lo, hi&^low-1, out))
		}
	}
	a, b := string(lo), string(hi)
	part := make([]byteSpan, len(a))
	for i := range part {
		part[i] = byteSpan{a[i], b[i]}
	}
	return append(out, part)
}
