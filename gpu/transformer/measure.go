package transformer

import (
	"context"
	"time"
)

// MeasurePrompt times n prompt tokens of an empty sequence, until the last one's logits are made.
func (t *Transformer) MeasurePrompt(ctx context.Context, n int) (time.Duration, error) {
	t.Reset()
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(i*7919) % int32(t.spec.Vocab)
	}
	if err := t.dev.Wait(ctx); err != nil {
		return 0, err
	}
	begun := time.Now()
	if _, _, err := t.Top(ctx, tokens); err != nil {
		return 0, err
	}
	return time.Since(begun), nil
}

// MeasureGeneration times n tokens for each of batch sequences at a context of the given length: each
// token is fed, and the next one chosen from its candidates. What the cache holds of the context is
// whatever it holds.
func (t *Transformer) MeasureGeneration(ctx context.Context, context, n, batch int) (time.Duration, error) {
	for s := range batch {
		t.positions[s] = context
	}
	tokens := make([]int32, batch)
	var begun time.Time
	for i := -1; i < n; i++ { // the first is not counted: it may record programs
		if i == 0 {
			begun = time.Now()
		}
		tops, err := t.TopBatch(ctx, tokens)
		if err != nil {
			return 0, err
		}
		for s, top := range tops {
			tokens[s] = greedy(top)
		}
	}
	return time.Since(begun), nil
}

// greedy returns the token of the largest logit, or the first if there are no candidates.
func greedy(top Top) int32 {
	var best int
	for i, c := range top.Candidates {
		if c.Logit > top.Candidates[best].Logit {
			best = i
		}
	}
	if len(top.Candidates) == 0 {
		return 0
	}
	return top.Candidates[best].ID
}

// TokenBytes reports how many bytes of weights and cache a token reads at a context of the given
// length, in a batch of so many sequences: all of these together read the weights once.
func (t *Transformer) TokenBytes(context, batch int) (weights, cache uint64) {
	add := func(m *matrix, share, of int) {
		if m != nil {
			for _, p := range m.parts {
				weights += p.bytes() / uint64(of) * uint64(share)
			}
		}
	}
	for i := range t.w.layers {
		w, y := &t.w.layers[i], t.spec.Layer(i)
		for _, m := range []*matrix{w.qkv, w.o, w.gateUp, w.down, w.router} {
			add(m, 1, 1)
		}
		for _, m := range []*matrix{w.expertGate, w.expertUp, w.expertDown} {
			add(m, min(batch*y.MLP.TopK, y.MLP.Experts), max(1, y.MLP.Experts))
		}
		seen := min(context+1, t.kv[i].window)
		cache += uint64(batch) * 2 * uint64(seen*y.Attention.KVHeads*y.Attention.HeadDim*t.opts.KVBits/8)
	}
	add(t.w.head, 1, 1)
	return weights, cache
}

// LayerWeights reports how many weights of the layers one token is multiplied with.
func (t *Transformer) LayerWeights() uint64 {
	var n uint64
	for i := range t.w.layers {
		w, m := &t.w.layers[i], &t.spec.Layer(i).MLP
		for _, x := range []*matrix{w.qkv, w.o, w.gateUp, w.down, w.router} {
			if x != nil {
				n += uint64(x.rows) * uint64(x.width)
			}
		}
		for _, x := range []*matrix{w.expertGate, w.expertUp, w.expertDown} {
			if x != nil {
				n += uint64(x.rows/m.Experts*m.TopK) * uint64(x.width)
			}
		}
	}
	return n
}
