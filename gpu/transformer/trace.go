package transformer

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// tracing is how chunks and steps run while there is a trace. These are values, so that a program that never traces is linked
// without them.
type tracing struct {
	run  func(ctx context.Context, n int, programs []*gpu.Program) error
	step func(ctx context.Context, rows []graph.Row) ([]Top, error)
}

// SetTrace has f called with the residual stream [tokens][Hidden] of every chunk of tokens after
// the embedding (layer 0), after each layer (1 … N) and after the final norm (N+1). nil ends it.
func (t *Transformer) SetTrace(f func(layer int, hidden []float32)) {
	t.dropLead()
	t.trace = nil
	if f == nil {
		return
	}
	run := func(ctx context.Context, n int, programs []*gpu.Program) error { return t.traced(ctx, n, programs, f) }
	t.trace = &tracing{run, t.advanceTraced}
}

// advanceTraced is advance, piece by piece.
func (t *Transformer) advanceTraced(ctx context.Context, rows []graph.Row) ([]Top, error) {
	left, err := t.feedRows(ctx, rows, graph.Single)
	if err != nil {
		return nil, err
	}
	t.fed(rows)
	if err := t.runHead(left, 0, len(rows)); err != nil {
		return nil, err
	}
	return t.finder.run(ctx, len(rows))
}

// traced runs the programs of n tokens one by one and hands out the residual stream after each.
func (t *Transformer) traced(ctx context.Context, n int, programs []*gpu.Program, trace func(layer int, hidden []float32)) error {
	width := t.Spec().Hidden
	for i, p := range programs {
		if err := t.dev.Run(p); err != nil {
			return err
		}
		hidden, err := t.graph.ReadVectors(ctx, t.graph.Residual(), n, width)
		if err != nil {
			return err
		}
		trace(i, hidden)
	}
	final := make([]float32, 0, n*width)
	for r := 0; r < n; r += t.graph.HeadRows() {
		m := min(n-r, t.graph.HeadRows())
		if err := t.normalize(r, m); err != nil {
			return err
		}
		hidden, err := t.graph.ReadVectors(ctx, t.graph.Final(), m, width)
		if err != nil {
			return err
		}
		final = append(final, hidden...)
	}
	trace(len(programs), final)
	return nil
}

// normalize computes the final norm of n tokens of the chunk, from the given one on.
func (t *Transformer) normalize(from, n int) error {
	if err := t.graph.SetHead(n, from); err != nil {
		return err
	}
	pass, err := t.graph.FinalNorm(n)
	return t.runPass(pass, err)
}

// runPass runs a pass that is not kept, if it could be recorded.
func (t *Transformer) runPass(pass *graph.Pass, err error) error {
	if err != nil {
		return err
	}
	p, err := t.graph.Program(pass)
	if err != nil {
		return err
	}
	return t.dev.Run(p)
}
