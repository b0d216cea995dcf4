package grammar

import (
	"fmt"
	"slices"
	"strings"
)

// prune takes out what can never come to an end, so that every text that is allowed can be finished, and refuses rules that
// have no text at all, or call themselves before they read a byte.
func (a *automaton) prune(g *Grammar) error {
	finishes := a.finishing()
	if !finishes[a.begin] {
		return fmt.Errorf("it allows no text: rule %q never comes to an end", g.rules[0].name)
	}
	for i := range a.places {
		p := &a.places[i]
		p.edges = slices.DeleteFunc(p.edges, func(e edge) bool { return !finishes[e.to] })
		p.calls = slices.DeleteFunc(p.calls, func(c callEdge) bool { return !finishes[a.starts[c.rule]] || !finishes[c.back] })
	}
	return a.checkLeft(g)
}

// finishing reports from which places the end of the rule can be reached.
func (a *automaton) finishing() []bool {
	before := make([][]int32, len(a.places)) // places whose finishing may follow from this one's
	for i := range a.places {
		for _, e := range a.places[i].edges {
			before[e.to] = append(before[e.to], int32(i))
		}
		for _, c := range a.places[i].calls {
			before[c.back] = append(before[c.back], int32(i))
			before[a.starts[c.rule]] = append(before[a.starts[c.rule]], int32(i))
		}
	}
	finishes := make([]bool, len(a.places))
	var todo []int32
	for i := range a.places {
		if a.places[i].final {
			finishes[i] = true
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, b := range before[at] {
			if !finishes[b] && a.follows(b, finishes) {
				finishes[b] = true
				todo = append(todo, b)
			}
		}
	}
	return finishes
}

// follows reports whether a place comes to an end, as far as is known.
func (a *automaton) follows(at int32, finishes []bool) bool {
	p := &a.places[at]
	return slices.ContainsFunc(p.edges, func(e edge) bool { return finishes[e.to] }) ||
		slices.ContainsFunc(p.calls, func(c callEdge) bool { return finishes[c.back] && finishes[a.starts[c.rule]] })
}

// checkLeft refuses left recursion, with which a stack would grow without an end.
func (a *automaton) checkLeft(g *Grammar) error {
	const open, done = 1, 2
	state := make([]uint8, len(a.starts))
	var path []string
	var visit func(rule int32) error
	visit = func(rule int32) error {
		path = append(path, g.rules[rule].name)
		if state[rule] == open {
			return fmt.Errorf("left recursion, which does not end: %s; let a rule begin with something else", strings.Join(path, " → "))
		}
		if state[rule] != done {
			state[rule] = open
			for _, c := range a.places[a.starts[rule]].calls {
				if err := visit(c.rule); err != nil {
					return err
				}
			}
			state[rule] = done
		}
		path = path[:len(path)-1]
		return nil
	}
	for r := range a.starts {
		if err := visit(int32(r)); err != nil {
			return err
		}
	}
	return nil
}

// classify numbers the classes of places that behave alike for n bytes: the same bytes, calls (which read
// one at least) and ends lead to the same.
func (a *automaton) classify(n int) int {
	classes := 1
	for range n {
		ids := map[string]int32{}
		next := make([]int32, len(a.places))
		var key []byte
		for i := range a.places {
			key = a.signature(key[:0], &a.places[i])
			id, ok := ids[string(key)]
			if !ok {
				id = int32(len(ids))
				ids[string(key)] = id
			}
			next[i] = id
		}
		for i := range a.places {
			a.places[i].class = next[i]
		}
		if len(ids) == classes {
			break // nothing more is told apart
		}
		classes = len(ids)
	}
	return classes
}

// signature says what a place does, with the classes of what follows.
func (a *automaton) signature(key []byte, p *place) []byte {
	key = fmt.Appendf(key, "%t", p.final)
	for _, e := range p.edges {
		key = fmt.Appendf(key, " %d-%d>%d", e.lo, e.hi, a.places[e.to].class)
	}
	for _, c := range p.calls {
		key = fmt.Appendf(key, " %d@%d", c.rule, a.places[c.back].class)
	}
	return key
}
