package tokenizer

import (
	"slices"
	"unicode"
)

// A matcher matches text from i on, and then whatever follows in the expression: the rest is
// part of the matcher. So a search is one call, and backtracking is returning false.
type matcher func(m *machine, i int) bool

// machine is the state of one search.
type machine struct {
	text   []rune
	steps  int         // taken so far
	limit  int         // of steps; beyond it nothing matches
	depth  int         // rounds of loops in progress
	end    int         // the end of the last accepted match
	target int         // where a lookbehind must end
	loops  []iteration // by number of the loop
	groups []span      // by number of the group, in runes; from is −1 for none
	begun  []int       // where the groups in progress begin
}

// iteration is how many rounds a loop has made, and where the last one began.
type iteration struct{ count, from int }

// expression is a compiled regular expression.
type expression struct {
	start         matcher
	loops, groups int
}

// The number of steps that a search may take: more than any expression of a published tokenizer needs. Expressions
// that backtrack exponentially reach it, which is an error.
const (
	freeSteps = 20_000_000
	charSteps = 20_000 // per character of the text
)

// maxRounds is how many rounds of loops may be in progress: each keeps a stack frame until those after it return. A
// search that needs more has failed, as one that takes too many steps.
const maxRounds = 500_000

// find calls each with the matches in text, from left to right and not overlapping. After an empty one
// the search goes on at the next character. It reports whether the limit on steps was enough.
func (e *expression) find(text []rune, each func(from, to int)) bool {
	return e.search(text, freeSteps+charSteps*len(text), each)
}

// search is find with a limit on steps. It reports whether the limit was enough.
func (e *expression) search(text []rune, limit int, each func(from, to int)) bool {
	m := &machine{text: text, limit: limit, loops: make([]iteration, e.loops), groups: make([]span, e.groups), begun: make([]int, e.groups)}
	for i := 0; i <= len(text); {
		for g := range m.groups {
			m.groups[g] = span{-1, -1}
		}
		ok := e.start(m, i)
		if m.steps > m.limit {
			return false
		}
		if !ok {
			i++
			continue
		}
		each(i, m.end)
		i = max(m.end, i+1)
	}
	return true
}

// step counts a step and reports whether it is within the limit.
func (m *machine) step() bool {
	m.steps++
	return m.steps <= m.limit
}

func accept(m *machine, i int) bool {
	m.end = i
	return true
}

// one matches a character of a set.
func one(s *runeSet, next matcher) matcher {
	return func(m *machine, i int) bool {
		return i < len(m.text) && s.has(m.text[i]) && next(m, i+1)
	}
}

// quantity is how often something repeats.
type quantity struct {
	low, high int // high may be unbounded
	kind      byte
}

const unbounded = -1

// The kinds of repetition: as often as possible, as rarely as possible, as often as possible without backtracking.
const (
	greedy     = 0
	lazy       = '?'
	possessive = '+'
)

// run matches characters of a set, most characters first unless lazy. A possessive run does not backtrack.
func run(s *runeSet, q quantity, next matcher) matcher {
	if q.kind == lazy {
		return func(m *machine, i int) bool {
			for n := 0; ; n++ {
				if n >= q.low && next(m, i+n) {
					return true
				}
				if !m.step() || n == q.high || i+n == len(m.text) || !s.has(m.text[i+n]) {
					return false
				}
			}
		}
	}
	return func(m *machine, i int) bool {
		n := 0
		for n != q.high && i+n < len(m.text) && s.has(m.text[i+n]) {
			n++
		}
		if n < q.low {
			return false
		}
		if q.kind == possessive {
			return next(m, i+n)
		}
		for ; n >= q.low && m.step(); n-- {
			if next(m, i+n) {
				return true
			}
		}
		return false
	}
}

// loop matches body as often as the quantity says; number identifies the loop. A round that matches
// nothing is the last one.
func loop(number int, q quantity, body func(next matcher) matcher, next matcher) matcher {
	var round matcher
	once := func(m *machine, i int) bool {
		was := m.loops[number]
		if was.count == q.high || !m.step() {
			return false
		}
		if m.depth == maxRounds {
			m.steps = m.limit + 1
			return false
		}
		m.loops[number] = iteration{was.count + 1, i}
		m.depth++
		ok := round(m, i)
		m.depth--
		m.loops[number] = was
		return ok
	}
	step := func(m *machine, i int) bool {
		at := m.loops[number]
		switch {
		case at.count < q.low && at.from != i:
			return once(m, i)
		case at.from == i:
			return next(m, i)
		case q.kind == lazy:
			return next(m, i) || once(m, i)
		}
		return once(m, i) || next(m, i)
	}
	round = body(step)
	return func(m *machine, i int) bool {
		was := m.loops[number]
		m.loops[number] = iteration{from: -1}
		ok := step(m, i)
		m.loops[number] = was
		return ok
	}
}

// either matches the first alternative that leads to a match.
func either(ways []matcher) matcher {
	return func(m *machine, i int) bool {
		for _, w := range ways {
			if !m.step() {
				return false
			}
			if w(m, i) {
				return true
			}
		}
		return false
	}
}

// atomic matches body, which ends in accept, without backtracking into it.
func atomic(body, next matcher) matcher {
	return func(m *machine, i int) bool {
		groups := m.captured()
		return m.keep(body(m, i) && next(m, m.end), groups)
	}
}

// ahead matches nothing, if body, which ends in accept, matches here, or if it does not.
func ahead(body matcher, want bool, next matcher) matcher {
	return func(m *machine, i int) bool {
		groups := m.captured()
		return m.keep(body(m, i) == want && next(m, i), groups)
	}
}

// behind matches nothing, if body, which ends in arrived, matches low to high characters up to here, or if it does
// not. high may be unbounded.
func behind(body matcher, low, high int, want bool, next matcher) matcher {
	return func(m *machine, i int) bool {
		was, groups := m.target, m.captured()
		m.target = i
		found := false
		for n := low; n <= i && (n <= high || high == unbounded) && !found && m.step(); n++ {
			found = body(m, i-n)
		}
		m.target = was
		return m.keep(found == want && next(m, i), groups)
	}
}

func arrived(m *machine, i int) bool { return i == m.target }

// capture remembers as a group what body, which ends in captureEnd, matches.
func capture(number int, body matcher) matcher {
	return func(m *machine, i int) bool {
		was := m.begun[number]
		m.begun[number] = i
		ok := body(m, i)
		m.begun[number] = was
		return ok
	}
}

func captureEnd(number int, next matcher) matcher {
	return func(m *machine, i int) bool {
		was := m.groups[number]
		m.groups[number] = span{m.begun[number], i}
		return next(m, i) || m.forget(number, was)
	}
}

func (m *machine) forget(number int, to span) bool {
	m.groups[number] = to
	return false
}

// captured saves the groups before a part without backtracking, and keep restores them unless ok.
func (m *machine) captured() []span {
	if len(m.groups) == 0 {
		return nil
	}
	return slices.Clone(m.groups)
}

func (m *machine) keep(ok bool, groups []span) bool {
	if !ok {
		copy(m.groups, groups)
	}
	return ok
}

// again matches what a group has matched.
func again(number int, fold bool, next matcher) matcher {
	return func(m *machine, i int) bool {
		g := m.groups[number]
		if g.from < 0 || i+g.to-g.from > len(m.text) {
			return false
		}
		for n := range g.to - g.from {
			a, b := m.text[g.from+n], m.text[i+n]
			if a != b && !(fold && sameFolded(a, b)) {
				return false
			}
		}
		return next(m, i+g.to-g.from)
	}
}

func sameFolded(a, b rune) bool {
	for f := unicode.SimpleFold(a); f != a; f = unicode.SimpleFold(f) {
		if f == b {
			return true
		}
	}
	return false
}

// where matches nothing, at places where is holds.
func where(is func(text []rune, i int) bool, next matcher) matcher {
	return func(m *machine, i int) bool { return is(m.text, i) && next(m, i) }
}
