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
	vocab := t.VocabSize()
	var logits []float32
	return t.forward(ctx, tokens, from, func(left leaving, at, n int) ([]float32, error) {
		if err := t.runHead(left, at, n); err != nil {
			return nil, err
		}
		logits = slices.Grow(logits[:0], n*vocab)[:n*vocab]
		return logits, t.graph.ReadFloats(ctx, t.graph.Logits(0).Buffer, 0, logits)
	}, each)
}

// Hidden is Forward for what the head multiplies: the hidden states [Hidden] after the final norm.
func (t *Transformer) Hidden(ctx context.Context, tokens []int32, from int, each func(i int, hidden []float32) error) error {
	return t.forward(ctx, tokens, from, func(_ leaving, at, n int) ([]float32, error) {
		if err := t.normalize(at, n); err != nil {
			return nil, err
		}
		return t.graph.ReadVectors(ctx, t.graph.Final(), n, t.Spec().Hidden)
	}, each)
}

// forward feeds tokens, and calls each with one of the vectors that read makes of n tokens of a chunk, for tokens[i] with
// i ≥ from.
func (t *Transformer) forward(ctx context.Context, tokens []int32, from int, read func(left leaving, at, n int) ([]float32, error), each func(i int, vector []float32) error) error {
	if err := t.accept(t.sequences.selected, tokens); err != nil {
		return err
	}
	for at := 0; at < len(tokens); {
		left, err := t.feedChunk(ctx, tokens[at:])
		if err != nil {
			return err
		}
		for r := min(max(from-at, 0), left.n); r < left.n; {
			n := min(left.n-r, t.graph.HeadRows())
			vectors, err := read(left, r, n)
			if err != nil {
				return err
			}
			width := len(vectors) / n
			for j := range n {
				if err := each(at+r+j, vectors[j*width:(j+1)*width]); err != nil {
					return err
				}
			}
			r += n
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
	left, err := t.feedRows(ctx, t.rowsOf(tokens), graph.InOrder)
	if err == nil {
		t.sequences.positions[t.sequences.selected] += len(tokens)
	}
	return left, err
}

// feedRows runs tokens through the layers.
func (t *Transformer) feedRows(ctx context.Context, rows []graph.Row, order graph.Order) (leaving, error) {
	t.dropLead()
	if err := t.graph.Feed(rows); err != nil {
		return leaving{}, err
	}
	key := t.passes.key(len(rows), longest(rows), order)
	key.traced = t.trace != nil
	b, err := t.passes.body(key)
	if err != nil {
		return leaving{}, err
	}
	left := leaving{len(rows), b.squares}
	if t.trace != nil {
		return left, t.trace.run(ctx, len(rows), b.programs)
	}
	return left, t.dev.Run(b.programs...)
}

// runHead makes the logits of n tokens of the chunk, from the given one on.
func (t *Transformer) runHead(left leaving, from, n int) error {
	t.lead.place, t.lead.at = 0, 0
	if err := t.graph.SetHead(n, from); err != nil {
		return err
	}
	p, err := t.passes.head(headAt(from, n, left.squares, 0))
	if err != nil {
		return err
	}
	return t.dev.Run(p)
}
