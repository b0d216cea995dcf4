package grammar

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
)

// place is a state of a rule's automaton, numbered over all rules. At most one place follows it for each byte; beside
// that it may call other rules.
type place struct {
	edges []edge // sorted by byte, without overlaps
	calls []callEdge
	final bool  // the rule's text may end here
	class int32 // places of one class behave alike for as long as the longest token
}

type edge struct {
	lo, hi byte
	to     int32
}

// callEdge is a rule's text in the middle of another's.
type callEdge struct {
	rule int32
	back int32 // where the caller goes on
}

// after returns the place that follows a byte, −1: none.
func (p *place) after(b byte) int32 {
	for _, e := range p.edges {
		if b <= e.hi {
			if b >= e.lo {
				return e.to
			}
			return -1
		}
	}
	return -1
}

// automaton is a compiled grammar.
type automaton struct {
	places []place
	starts []int32 // of each rule, without its empty text: a place that calls a rule which may be empty goes on without it, too
	begin  int32   // of the whole text, which may be empty
}

// compile makes the automaton of a grammar. The error says which rule has no text, or calls itself before anything else.
func (g *Grammar) compile() (*automaton, error) {
	a := &automaton{}
	left, empty := maxStates, g.mayBeEmpty()
	for i, r := range g.rules {
		n := nfa{left: left, empty: empty}
		end, err := n.add()
		if err != nil {
			return nil, err
		}
		begin, err := n.build(r.expr, end, 0)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.name, err)
		}
		d := determinizer{nfa: &n, end: end, to: a, ids: map[string]int32{}, mark: make([]bool, len(n.nodes))}
		start, err := d.run(begin)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.name, err)
		}
		if i == 0 {
			a.begin = start
		}
		if empty[i] {
			again := a.places[start]
			again.final = false
			start = int32(len(a.places))
			a.places = append(a.places, again)
		}
		a.starts = append(a.starts, start)
		left = maxStates - len(a.places)
	}
	return a, a.prune(g)
}

// determinizer is the subset construction for one rule.
type determinizer struct {
	nfa  *nfa
	end  int32
	to   *automaton
	ids  map[string]int32
	sets [][]int32 // by place, from the rule's first one on
	mark []bool
}

func (d *determinizer) run(begin int32) (start int32, err error) {
	base := int32(len(d.to.places))
	start = d.place([]int32{begin})
	for i := 0; i < len(d.sets); i++ {
		if len(d.to.places) > maxStates {
			return 0, fmt.Errorf("it is too large: its automaton has more than %d states", maxStates)
		}
		if most := leastStates + 4*len(d.nfa.nodes); boundsGrowth && i > most {
			return 0, fmt.Errorf("it is too large: its automaton has more than %d states: begin a pattern with ^, or repeat less", most)
		}
		d.fill(base+int32(i), d.sets[i])
	}
	return start, nil
}

// place returns the number of the place that a set of states is.
func (d *determinizer) place(states []int32) int32 {
	set := d.closure(states)
	key := make([]byte, 0, 4*len(set))
	for _, s := range set {
		key = binary.LittleEndian.AppendUint32(key, uint32(s))
	}
	id, ok := d.ids[string(key)]
	if !ok {
		id = int32(len(d.to.places))
		d.ids[string(key)] = id
		d.sets = append(d.sets, set)
		d.to.places = append(d.to.places, place{final: slices.Contains(set, d.end)})
	}
	return id
}

// closure returns the states that do something which are reached for nothing, sorted.
func (d *determinizer) closure(states []int32) (set []int32) {
	todo, seen := slices.Clone(states), []int32(nil)
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if d.mark[s] {
			continue
		}
		d.mark[s] = true
		seen = append(seen, s)
		if n := &d.nfa.nodes[s]; n.to >= 0 || s == d.end {
			set = append(set, s)
		}
		todo = append(todo, d.nfa.nodes[s].free...)
	}
	for _, s := range seen {
		d.mark[s] = false
	}
	sort.Stable(places(set))
	return set
}

// fill finds what follows a place.
func (d *determinizer) fill(id int32, set []int32) {
	cuts := []int{0, 256}
	calls := map[int32][]int32{}
	for _, s := range set {
		switch n := &d.nfa.nodes[s]; {
		case n.to < 0:
		case n.call >= 0:
			calls[n.call] = append(calls[n.call], n.to)
		default:
			cuts = append(cuts, int(n.lo), int(n.hi)+1)
		}
	}
	sort.Stable(sort.IntSlice(cuts))
	cuts = slices.Compact(cuts)
	var edges []edge
	for i := 0; i+1 < len(cuts); i++ {
		var to []int32
		for _, s := range set {
			if n := &d.nfa.nodes[s]; n.to >= 0 && n.call < 0 && int(n.lo) <= cuts[i] && cuts[i] <= int(n.hi) {
				to = append(to, n.to)
			}
		}
		if to == nil {
			continue
		}
		e := edge{byte(cuts[i]), byte(cuts[i+1] - 1), d.place(to)}
		if last := len(edges) - 1; last >= 0 && edges[last].to == e.to && int(edges[last].hi)+1 == int(e.lo) {
			edges[last].hi = e.hi
			continue
		}
		edges = append(edges, e)
	}
	var out []callEdge
	for rule, back := range calls {
		out = append(out, callEdge{rule, d.place(back)})
	}
	sort.Stable(byRule(out))
	d.to.places[id].edges, d.to.places[id].calls = edges, out
}

// leastStates is how many states a rule's automaton may have that grows faster than the rule: those of a.{20} double with each
// repetition.
const leastStates = 1 << 15
