package transformer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// sequences are the positions of each sequence's next token, and which one is selected.
type sequences struct {
	positions []int
	kept      []int // where the states of each were kept, −1: nowhere
	reached   []int // how far the caches were written, once a sequence was taken back: what a window overwrote there, going back does not restore
	floors    []int // between 0 and this position, none can be returned to: a shift has lost what tokens there see
	selected  int
}

func newSequences(n int) sequences {
	return sequences{positions: make([]int, n), kept: slices.Repeat([]int{-1}, n), reached: make([]int, n), floors: make([]int, n)}
}

// Sequences reports how many sequences there are.
func (t *Transformer) Sequences() int { return len(t.sequences.positions) }

// Select selects the sequence that Forward, Top, Position, Rewind and Reset are about.
func (t *Transformer) Select(sequence int) error {
	if sequence < 0 || sequence >= t.Sequences() {
		return fmt.Errorf("sequence %d: there are %d", sequence, t.Sequences())
	}
	t.sequences.selected = sequence
	return nil
}

// Position reports how many tokens have been fed to the sequence.
func (t *Transformer) Position() int { return t.sequences.positions[t.sequences.selected] }

// Rewind makes the next token one at the given position. What the cache holds of positions before
// it stays, if a token was ever fed there. States of recurrences go back only to where CanRewind says.
func (t *Transformer) Rewind(position int) error {
	t.dropLead()
	s := &t.sequences
	now, kept := &s.positions[s.selected], &s.kept[s.selected]
	switch {
	case position < 0 || position >= graph.MaxPositions:
		return fmt.Errorf("position %d: want 0 to %d", position, graph.MaxPositions-1)
	case !t.Spec().CanReturn(position, *now, *kept):
		return fmt.Errorf("position %d: %d tokens were fed, and the states of layers without attention are known only there, at 0 and at %d", position, *now, *kept)
	case t.Spec().Recurrent() && position == *kept && position != *now:
		if err := t.copyStates(true); err != nil {
			return err
		}
	}
	s.reached[s.selected] = t.Reached()
	if *now = position; *kept > position {
		*kept = -1
	}
	if position == 0 {
		s.reached[s.selected], s.floors[s.selected] = 0, 0
	}
	return nil
}

// Recurrent reports whether there are layers with recurrences.
func (t *Transformer) Recurrent() bool { return t.Spec().Recurrent() }

// Keep stores the states of the selected sequence at its position, so that Rewind can come back to it whatever is fed
// afterwards. It replaces the position that was kept before. If all layers have attention, there is nothing to keep.
func (t *Transformer) Keep() error {
	s := &t.sequences
	if !t.Spec().Recurrent() || s.kept[s.selected] == s.positions[s.selected] {
		return nil
	}
	s.kept[s.selected] = s.positions[s.selected]
	return t.copyStates(false)
}

// copyStates copies the selected sequence's states to where they are kept, or back.
func (t *Transformer) copyStates(back bool) error {
	pass, err := t.graph.Keep(t.sequences.selected, back)
	return t.runPass(pass, err)
}

// Reached reports how many tokens the selected sequence has had at most since it was empty.
func (t *Transformer) Reached() int {
	return max(t.Position(), t.sequences.reached[t.sequences.selected])
}

// Reset forgets the sequence.
func (t *Transformer) Reset() {
	t.dropLead()
	s := &t.sequences
	s.positions[s.selected], s.kept[s.selected], s.reached[s.selected], s.floors[s.selected] = 0, -1, 0, 0
}

// CanRewind reports whether the caches still hold all that a token at the given position of the selected sequence
// may see: layers with a window forget what is before it, and recurrences have only their current state and the one
// that Keep has stored.
func (t *Transformer) CanRewind(position int) bool {
	s := &t.sequences
	if position > t.Position() || position > 0 && position < s.floors[s.selected] || !t.Spec().CanReturn(position, t.Position(), s.kept[s.selected]) {
		return false
	}
	for i := range t.graph.Layers() {
		c := t.graph.Cache(i)
		if c.K == nil {
			continue
		}
		first := max(0, position-c.Window+1) // that such a token sees
		if first+c.Cap < t.Reached() {
			return false
		}
	}
	return true
}

// accept checks tokens that are to be fed to a sequence against the vocabulary and the positions there are.
func (t *Transformer) accept(sequence int, tokens []int32) error {
	s := t.Spec()
	for i, id := range tokens {
		if id < 0 || int(id) >= s.Vocab {
			return fmt.Errorf("token %d is %d: the vocabulary has %d", i, id, s.Vocab)
		}
	}
	if end := t.sequences.positions[sequence] + len(tokens); end > t.most() {
		return fmt.Errorf("%d tokens: this model has %d positions", end, t.most())
	}
	return nil
}

// acceptBeside returns an error if tokens cannot be fed to a sequence in one pass with others.
func (t *Transformer) acceptBeside(others []int, s int, tokens []int32) error {
	switch {
	case s < 0 || s >= t.Sequences():
		return fmt.Errorf("there are %d", t.Sequences())
	case len(tokens) == 0:
		return errors.New("no tokens")
	case slices.Contains(others, s):
		return errors.New("it is named twice")
	}
	return t.accept(s, tokens)
}

// most reports how many positions a sequence has: as many as the model has, or as the tables of angles hold.
func (t *Transformer) most() int {
	if n := t.Spec().Most(); n > 0 {
		return n
	}
	return graph.MaxPositions
}

// Room reports how many more tokens the selected sequence can take before it no longer sees its first one.
func (t *Transformer) Room() int { return max(0, min(t.most(), t.opts.MaxSeqLen)-t.Position()) }

// chunk reports how many of the next n tokens may run at once: no cache may overwrite what one
// of them still has to see.
func (t *Transformer) chunk(n int) int {
	n = min(n, t.opts.Chunk)
	for i := range t.graph.Layers() {
		c := t.graph.Cache(i)
		if c.K != nil && t.Position()+n > c.Cap {
			n = min(n, max(c.Cap-c.Window+1, c.Cap-t.Position()))
		}
	}
	return n
}
