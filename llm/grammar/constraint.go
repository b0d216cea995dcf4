package grammar

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Constraint holds texts made of the tokens of a vocabulary to a grammar. It keeps what it finds out about them; several
// matchers, in several goroutines, may use it at once.
type Constraint struct {
	v *Vocabulary

	mu     sync.Mutex // guards what follows, and the states of all matchers
	m      *machine
	inside map[int32]*inside // by class of places
	above  map[aboveKey]Mask
	masks  int // that are kept
}

// inside is what a place allows whoever has called its rule.
type inside struct {
	mask   Mask
	leaves []int32 // nodes of the vocabulary after whose bytes the rule may have ended
}

// aboveKey is a place, by its class, in a rule that was called from somewhere.
type aboveKey struct {
	class int32
	stack *frame
}

// maxMaskBytes is how much memory masks may take before they are forgotten.
const maxMaskBytes = 64 << 20

// New compiles a grammar for a vocabulary. The error says which rule has no text, recurses to the left, or is too large.
func New(g *Grammar, v *Vocabulary) (*Constraint, error) {
	a, err := g.compile()
	if err != nil {
		return nil, fmt.Errorf("grammar: %w", err)
	}
	a.classify(v.longest)
	c := &Constraint{v: v, m: newMachine(a)}
	c.forget()
	return c, nil
}

// forget drops masks and states.
func (c *Constraint) forget() {
	c.m.forget()
	c.inside, c.above, c.masks = map[int32]*inside{}, map[aboveKey]Mask{}, 0
}

// newMask returns an empty mask that is going to be kept.
func (c *Constraint) newMask() Mask {
	if c.masks++; c.masks*len(c.v.tokens)/8 > maxMaskBytes {
		c.forget()
	}
	return newMask(len(c.v.tokens))
}

// Start begins a text.
func (c *Constraint) Start() (*Matcher, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.m.start()
	if err != nil {
		return nil, err
	}
	return &Matcher{c: c, at: s}, nil
}

// ErrRefused is the error of a token that the grammar does not allow.
var ErrRefused = errors.New("grammar: the token is not allowed here")

// ErrStuck is the error of a text that no token continues: the grammar wants bytes that the vocabulary lacks.
var ErrStuck = errors.New("grammar: no token of the vocabulary can continue the text")

// Matcher is a text that is held to a grammar. It is for one goroutine at a time.
type Matcher struct {
	c     *Constraint
	at    *state
	ended bool
}

// Allowed returns the tokens that may come next. The mask must not be changed. The error is ErrStuck.
func (m *Matcher) Allowed() (Mask, error) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	mask, err := m.c.allowed(m.at)
	if err == nil && !slices.ContainsFunc(mask, func(bits uint64) bool { return bits != 0 }) {
		err = ErrStuck
	}
	return mask, err
}

// Accept takes the next token. The error is ErrRefused, and the text as it was.
func (m *Matcher) Accept(id int32) error {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	if id < 0 || int(id) >= len(m.c.v.tokens) || m.ended {
		return ErrRefused
	}
	if slices.Contains(m.c.v.ends, id) {
		if !m.at.done {
			return ErrRefused
		}
		m.ended = true
		return nil
	}
	to, err := m.c.read(m.at, m.c.v.tokens[id])
	if err != nil {
		return err
	}
	if to == dead || to == m.at && len(m.c.v.tokens[id]) == 0 {
		return ErrRefused
	}
	m.at = to
	return nil
}

// Done reports whether the text is one of the grammar's, as it stands.
func (m *Matcher) Done() bool { return m.at.done }

// Final reports whether the text is one of the grammar's, and no longer one begins with it.
func (m *Matcher) Final() bool { return m.ended || m.at.done && len(m.at.configs) == 0 }

// read follows bytes.
func (c *Constraint) read(s *state, text []byte) (*state, error) {
	for _, b := range text {
		var err error
		if s, err = c.m.step(s, b); err != nil || s == dead {
			return s, err
		}
	}
	return s, nil
}

// allowed returns the tokens that may follow a state.
func (c *Constraint) allowed(s *state) (Mask, error) {
	if s.mask != nil {
		return s.mask, nil
	}
	mask := c.newMask()
	for _, at := range s.configs {
		in, err := c.within(at.at)
		if err != nil {
			return nil, err
		}
		join(mask, in.mask)
		if at.stack == nil || len(in.leaves) == 0 {
			continue
		}
		up, err := c.beyond(at, in.leaves)
		if err != nil {
			return nil, err
		}
		join(mask, up)
	}
	if s.done {
		for _, id := range c.v.ends {
			add(mask, id)
		}
	}
	s.mask = mask
	return mask, nil
}

// within finds the tokens that stay in a place's rule, and in those that it calls.
func (c *Constraint) within(at int32) (*inside, error) {
	class := c.m.places[at].class
	if in := c.inside[class]; in != nil {
		return in, nil
	}
	in := &inside{mask: c.newMask()}
	s, err := c.m.settle([]config{{at, unknown}})
	if err != nil {
		return nil, err
	}
	if err := c.walk(0, s, in.mask, &in.leaves); err != nil {
		return nil, err
	}
	c.inside[class] = in
	return in, nil
}

// beyond finds the tokens that leave a place's rule after the bytes of some nodes, and go on where it was called.
func (c *Constraint) beyond(at config, leaves []int32) (Mask, error) {
	key := aboveKey{c.m.places[at.at].class, at.stack}
	if mask := c.above[key]; mask != nil {
		return mask, nil
	}
	s, err := c.m.settle([]config{{at.stack.back, at.stack.below}})
	if err != nil {
		return nil, err
	}
	mask := c.newMask()
	for _, leaf := range leaves {
		if err := c.walk(leaf, s, mask, nil); err != nil {
			return nil, err
		}
	}
	c.above[key] = mask
	return mask, nil
}

// walk goes through the nodes below one of the vocabulary's, in step with the grammar, and adds the tokens that it allows.
// leaves, if not nil, gets the nodes at which a rule looked at without its callers may have ended.
func (c *Constraint) walk(root int32, s *state, mask Mask, leaves *[]int32) error {
	nodes := c.v.nodes
	above := nodes[root].depth + 1
	path := []*state{s}
	for i := root + 1; i < nodes[root].end; {
		n := &nodes[i]
		from := path[n.depth-above]
		var to *state
		if from.next != nil {
			to = from.next[n.byte]
		}
		if to == nil {
			var err error
			if to, err = c.m.step(from, n.byte); err != nil {
				return err
			}
		}
		if to == dead {
			i = n.end
			continue
		}
		for _, id := range c.v.ids[n.first:n.last] {
			add(mask, id)
		}
		if to.left && leaves != nil {
			*leaves = append(*leaves, i)
		}
		if len(to.configs) == 0 {
			i = n.end
			continue
		}
		path = append(path[:n.depth-above+1], to)
		i++
	}
	return nil
}
