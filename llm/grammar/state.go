package grammar

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// frame is a caller on the stack. Equal stacks are one frame.
type frame struct {
	back  int32 // where it goes on
	below *frame
	id    uint32
	depth int32
}

// maxNesting is how deep calls may nest.
const maxNesting = 2000

// unknown is what lies below a place that is looked at without its callers.
var unknown = &frame{back: -1}

// config is a place and its callers; nil: the grammar's end.
type config struct {
	at    int32
	stack *frame
}

// state is where a text may be, every way of reading it together. Equal states are one, as long as they are cached.
type state struct {
	configs []config // places whose edges and calls count
	left    bool     // the rule looked at without its callers may have come to its end
	done    bool     // the grammar may have come to its end
	next    []*state // by byte, nil: not computed yet; allocated when the first is
	mask    Mask     // nil: not computed yet
}

// dead is where no text is.
var dead = &state{}

// maxConfigs is how many ways of reading a text there may be at a time.
const maxConfigs = 2000

// frameKey and the states' keys make equal ones the same.
type frameKey struct {
	back  int32
	below uint32
}

// machine runs an automaton, and keeps what it has found out. It is not safe for several goroutines.
type machine struct {
	*automaton
	frames map[frameKey]*frame
	states map[string]*state
	serial uint32
	key    []byte
	work   []config
	seen   map[config]bool
}

func newMachine(a *automaton) *machine {
	m := &machine{automaton: a, seen: map[config]bool{}}
	m.forget()
	return m
}

// forget drops everything that is cached; states that are in use stay good.
func (m *machine) forget() {
	m.frames, m.states = map[frameKey]*frame{}, map[string]*state{}
}

// most states and frames that are kept before all are forgotten.
const (
	mostStates = 1 << 16
	mostFrames = 1 << 18
)

// push returns the stack with a caller on top.
func (m *machine) push(back int32, below *frame) (*frame, error) {
	k := frameKey{back: back}
	depth := int32(1)
	if below != nil {
		k.below, depth = below.id+1, below.depth+1
	}
	if depth > maxNesting {
		return nil, fmt.Errorf("grammar: more than %d levels of nesting", maxNesting)
	}
	f, ok := m.frames[k]
	if !ok {
		if m.serial++; len(m.frames) > mostFrames {
			m.forget()
		}
		f = &frame{back: back, below: below, id: m.serial, depth: depth}
		m.frames[k] = f
	}
	return f, nil
}

// start is the state before a text.
func (m *machine) start() (*state, error) { return m.settle([]config{{m.begin, nil}}) }

// settle returns the state of some places: ends of rules go back to their callers.
func (m *machine) settle(configs []config) (*state, error) {
	clear(m.seen)
	s := state{}
	for i := 0; i < len(configs); i++ {
		c := configs[i]
		if m.seen[c] {
			continue
		}
		m.seen[c] = true
		if len(m.seen) > maxConfigs {
			return nil, fmt.Errorf("grammar: it can be read in more than %d ways at this point; make it less ambiguous", maxConfigs)
		}
		if p := &m.places[c.at]; len(p.edges) > 0 || len(p.calls) > 0 {
			s.configs = append(s.configs, c)
		}
		switch {
		case !m.places[c.at].final:
		case c.stack == nil:
			s.done = true
		case c.stack == unknown:
			s.left = true
		default:
			configs = append(configs, config{c.stack.back, c.stack.below})
		}
	}
	if len(s.configs) == 0 && !s.done && !s.left {
		return dead, nil
	}
	return m.intern(s), nil
}

// intern returns the state that is equal to s.
func (m *machine) intern(s state) *state {
	sort.Stable(byPlace(s.configs))
	m.key = m.key[:0]
	for _, c := range s.configs {
		m.key = binary.LittleEndian.AppendUint32(m.key, uint32(c.at))
		m.key = binary.LittleEndian.AppendUint32(m.key, stackID(c.stack))
	}
	m.key = fmt.Append(m.key, s.left, s.done)
	if known, ok := m.states[string(m.key)]; ok {
		return known
	}
	if len(m.states) > mostStates {
		m.forget()
	}
	m.states[string(m.key)] = &s
	return &s
}

// stackID numbers stacks; 0 and 1 are the grammar's end and the unknown one.
func stackID(f *frame) uint32 {
	switch f {
	case nil:
		return 0
	case unknown:
		return 1
	}
	return f.id + 1
}

// step returns the state after a byte.
func (m *machine) step(s *state, b byte) (*state, error) {
	if s.next == nil {
		if len(s.configs) == 0 {
			return dead, nil
		}
		s.next = make([]*state, 256)
	}
	if s.next[b] != nil {
		return s.next[b], nil
	}
	to, err := m.reach(s.configs, b)
	if err != nil {
		return nil, err
	}
	s.next[b] = to
	return to, nil
}

// reach follows a byte from places and from the rules that they call.
func (m *machine) reach(configs []config, b byte) (*state, error) {
	m.work = append(m.work[:0], configs...)
	clear(m.seen)
	var after []config
	for i := 0; i < len(m.work); i++ {
		c := m.work[i]
		if m.seen[c] {
			continue
		}
		m.seen[c] = true
		if len(m.seen) > maxConfigs {
			return nil, fmt.Errorf("grammar: it can be read in more than %d ways at this point; make it less ambiguous", maxConfigs)
		}
		p := &m.places[c.at]
		if to := p.after(b); to >= 0 {
			after = append(after, config{to, c.stack})
		}
		for _, call := range p.calls {
			stack := c.stack
			if !m.idle(call.back) { // a call that is the last thing a rule does needs no way back
				var err error
				if stack, err = m.push(call.back, c.stack); err != nil {
					return nil, err
				}
			}
			m.work = append(m.work, config{m.starts[call.rule], stack})
		}
	}
	return m.settle(after)
}

// idle reports whether a place does nothing but end its rule.
func (m *machine) idle(at int32) bool {
	p := &m.places[at]
	return p.final && len(p.edges) == 0 && len(p.calls) == 0
}
