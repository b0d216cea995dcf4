package transformer

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// Forward feeds tokens after those already fed, and calls each with the logits [VocabSize] of
// tokens[i] for i ≥ from, in order. The slice is reused. If ctx ends, Forward returns within a chunk; the
// sequence then has as many tokens as Position says. After any other error, Reset the sequence.
func (t *Transformer) Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	if err := t.accept(t.sequences.selected, tokens); err != nil {
		return err
	}
	vocab := t.VocabSize()
	var logits []float32
	for at := 0; at < len(tokens); {
		left, err := t.feedChunk(ctx, tokens[at:])
		if err != nil {
			return err
		}
		for r := min(max(from-at, 0), left.n); r < left.n; {
			m := min(left.n-r, t.graph.HeadRows())
			if err := t.runHead(left, r, m); err != nil {
				return err
			}
			logits = slices.Grow(logits[:0], m*vocab)[:m*vocab]
			if err := t.graph.ReadFloats(ctx, t.graph.Logits().Buffer, 0, logits); err != nil {
				return err
			}
			for j := range m {
				if err := each(at+r+j, logits[j*vocab:(j+1)*vocab]); err != nil {
					return err
				}
			}
			r += m
		}
		at += left.n
	}
	return nil
}

// leaving is what the body of a pass leaves for the head.
type leaving struct {
	n       int // tokens
	squares int // see graph.Body
}

// rowsOf returns the rows of tokens of the selected sequence. The slice is reused.
func (t *Transformer) rowsOf(tokens []int32) []graph.Row {
	t.rows = t.rows[:0]
	for i, id := range tokens {
		t.rows = append(t.rows, graph.Row{Token: id, Position: t.Position() + i, Sequence: t.sequences.selected})
	}
	return t.rows
}

// feed runs one chunk of the sequence through the layers.
func (t *Transformer) feed(ctx context.Context, tokens []int32) (leaving, error) {
	left, err := t.feedRows(ctx, t.rowsOf(tokens))
	if err == nil {
		t.sequences.positions[t.sequences.selected] += len(tokens)
	}
	return left, err
}

// feedRows runs tokens of any sequences through the layers.
func (t *Transformer) feedRows(ctx context.Context, rows []graph.Row) (leaving, error) {
	if err := t.graph.Feed(rows); err != nil {
		return leaving{}, err
	}
	b, err := t.passes.body(t.passes.key(len(rows), longest(rows), rows[0].Sequence != rows[len(rows)-1].Sequence))
	if err != nil {
		return leaving{}, err
	}
	left := leaving{len(rows), b.squares}
	if t.trace != nil {
		return left, t.traced(ctx, len(rows), b.programs)
	}
	return left, t.dev.Run(b.programs...)
}

// runHead makes the logits of n tokens of the chunk, from the given one on.
func (t *Transformer) runHead(left leaving, from, n int) error {
	if err := t.graph.SetHead(n, from); err != nil {
		return err
	}
	p, err := t.passes.head(headAt(from, n, left.squares))
	if err != nil {
		return err
	}
	return t.dev.Run(p)
}
