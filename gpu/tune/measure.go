package tune

import (
	"context"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

// MeasurePrompt times n prompt tokens of an empty sequence, until the last one's logits are made.
func MeasurePrompt(ctx context.Context, t *transformer.Transformer, n int) (time.Duration, error) {
	t.Reset()
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(i*7919) % int32(t.VocabSize())
	}
	if err := t.Graph().Device().Wait(ctx); err != nil {
		return 0, err
	}
	begun := time.Now()
	if _, _, err := t.Top(ctx, tokens); err != nil {
		return 0, err
	}
	return time.Since(begun), nil
}

// MeasureGeneration times n tokens for each of batch sequences at a context of the given length: each
// token is fed, and the most likely one chosen from its candidates. What the cache holds of the context is
// whatever it holds.
func MeasureGeneration(ctx context.Context, t *transformer.Transformer, context, n, batch int) (time.Duration, error) {
	sequences, tokens := make([]int, batch), make([]int32, batch)
	for s := range batch {
		sequences[s] = s
		if err := t.Select(s); err != nil {
			return 0, err
		}
		if err := t.Rewind(context); err != nil {
			return 0, err
		}
	}
	defer t.Select(0) // there is one
	take := func(i int, candidates []sample.Candidate, _ float64) error {
		tokens[i] = greedy(candidates)
		return nil
	}
	var begun time.Time
	for i := -1; i < n; i++ { // the first is not counted: it may record programs
		if i == 0 {
			begun = time.Now()
		}
		if err := t.TopOf(ctx, sequences, tokens, take); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

// greedy returns the token of the largest logit, the lowest of equal ones as package sample does, or the first of all if there
// are no candidates.
func greedy(candidates []sample.Candidate) int32 {
	if len(candidates) == 0 {
		return 0
	}
	best := candidates[0]
	for _, c := range candidates {
		if c.Logit > best.Logit || c.Logit == best.Logit && c.ID < best.ID {
			best = c
		}
	}
	return best.ID
}

// TokenBytes reports how many bytes of weights and cache a token reads at a context of the given
// length, in a batch of sequences, which read the weights once for all of them.
func TokenBytes(g *graph.Graph, context, batch int) (weights, cache uint64) {
	w, s := g.Weights(), g.Weights().Spec()
	for i := range w.Layers {
		l, y := &w.Layers[i], s.Layer(i)
		for _, m := range l.Dense() {
			weights += m.Bytes()
		}
		for _, m := range []*graph.Matrix{l.ExpertGate, l.ExpertUp, l.ExpertDown} {
			weights += m.Bytes() / uint64(max(1, y.MLP.Experts)) * uint64(min(batch*y.MLP.TopK, y.MLP.Experts))
		}
		seen := min(context+1, g.KV(i).Window)
		state := 2 * 4 * (y.Recurrence.Tail() + y.Recurrence.Stored()) // read and written
		cache += uint64(batch) * uint64(seen*y.Attention.Cached()*g.Options().KVBits/8+state)
	}
	return weights + w.Head.Bytes(), cache
}

// LayerWeights reports how many weights of the layers one token is multiplied with.
func LayerWeights(w *graph.Weights) uint64 {
	var n uint64
	for i := range w.Layers {
		l, m := &w.Layers[i], &w.Spec().Layer(i).MLP
		for _, x := range l.Dense() {
			if x != nil {
				n += uint64(x.Rows) * uint64(x.Width)
			}
		}
		for _, x := range []*graph.Matrix{l.ExpertGate, l.ExpertUp, l.ExpertDown} {
			if x != nil {
				n += uint64(x.Rows/m.Experts*m.TopK) * uint64(x.Width)
			}
		}
	}
	return n
}
