package transformer

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// sequences are the positions of each sequence's next token, and which one is selected.
type sequences struct {
	positions []int
	selected  int
}

// Sequences reports how many sequences there are.
func (t *Transformer) Sequences() int { return len(t.sequences.positions) }

// Select makes Forward, Top, Position, Rewind and Reset those of the given sequence.
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
// it stays, if a token was ever fed there.
func (t *Transformer) Rewind(position int) error {
	if position < 0 || position >= graph.MaxPositions {
		return fmt.Errorf("position %d: want 0 to %d", position, graph.MaxPositions-1)
	}
	t.sequences.positions[t.sequences.selected] = position
	return nil
}

// Reset forgets the sequence.
func (t *Transformer) Reset() { t.sequences.positions[t.sequences.selected] = 0 }

// CanRewind reports whether the caches still hold all that a token at the given position of the
// selected sequence may see: those of layers with a window forget what lies behind it.
func (t *Transformer) CanRewind(position int) bool {
	if position > t.Position() {
		return false
	}
	for i := range t.graph.Layers() {
		c := t.graph.Cache(i)
		first := max(0, position-c.Window+1) // that such a token sees
		if first+c.Cap < t.Position() {
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
		if t.Position()+n > c.Cap {
			n = min(n, max(c.Cap-c.Window+1, c.Cap-t.Position()))
		}
	}
	return n
}
