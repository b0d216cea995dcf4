package transformer

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// ahead is a step, the pass of one token for each of several sequences from the embedding to the candidates, that
// is encoded before its tokens are known.
type ahead struct {
	key        bodyKey // of what is encoded; zero: nothing
	submission gpu.Submission
	steps      map[bodyKey][]*gpu.Program
}

// advance feeds one token to each of several sequences and returns the candidates for what follows. While the
// device computes, the step after that is encoded: all it then waits for are its tokens.
func (t *Transformer) advance(ctx context.Context, rows []graph.Row) ([]Top, error) {
	n := len(rows)
	if t.trace != nil {
		return t.advanceTraced(ctx, rows)
	}
	if err := t.graph.Feed(rows); err != nil {
		return nil, err
	}
	if err := t.graph.SetHead(n, 0); err != nil {
		return nil, err
	}
	context := longest(rows)
	if err := t.encode(t.passes.key(n, context, true)); err != nil {
		return nil, err
	}
	if err := t.ahead.submission.Send(); err != nil {
		return nil, err
	}
	t.ahead.key = bodyKey{}
	t.fed(rows)
	if err := t.encode(t.passes.key(n, context+1, true)); err != nil {
		return nil, err
	}
	return t.finder.read(ctx, n)
}

// advanceTraced does it piece by piece.
func (t *Transformer) advanceTraced(ctx context.Context, rows []graph.Row) ([]Top, error) {
	left, err := t.feedRows(ctx, rows, true)
	if err != nil {
		return nil, err
	}
	t.fed(rows)
	if err := t.runHead(left, 0, len(rows)); err != nil {
		return nil, err
	}
	return t.finder.run(ctx, len(rows))
}

// fed moves the sequences of rows one token on.
func (t *Transformer) fed(rows []graph.Row) {
	for _, r := range rows {
		t.sequences.positions[r.Sequence]++
	}
}

// encode makes sure that a step is encoded.
func (t *Transformer) encode(key bodyKey) error {
	if t.ahead.key == key {
		return nil
	}
	t.ahead.submission.Release()
	t.ahead.key = bodyKey{}
	programs, err := t.step(key)
	if err != nil {
		return err
	}
	if err := t.dev.Encode(&t.ahead.submission, programs); err != nil {
		return err
	}
	t.ahead.key = key
	return nil
}

// step returns the programs of a step.
func (t *Transformer) step(key bodyKey) ([]*gpu.Program, error) {
	if p := t.ahead.steps[key]; p != nil {
		return p, nil
	}
	b, err := t.passes.body(key)
	if err != nil {
		return nil, err
	}
	head, err := t.passes.head(headAt(0, key.n, b.squares))
	if err != nil {
		return nil, err
	}
	top, err := t.finder.program(key.n)
	if err != nil {
		return nil, err
	}
	if t.ahead.steps == nil {
		t.ahead.steps = map[bodyKey][]*gpu.Program{}
	}
	t.ahead.steps[key] = append(slices.Clone(b.programs), head, top)
	return t.ahead.steps[key], nil
}

// longest returns the context that the longest of the rows' sequences has then.
func longest(rows []graph.Row) int {
	n := 0
	for _, r := range rows {
		n = max(n, r.Position+1)
	}
	return n
}
