package transformer

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// warm makes the programs of Options.Warm. Their kernels are compiled by several goroutines at once.
func (t *Transformer) warm(ctx context.Context) error {
	var all []*graph.Pass
	keys := t.warmKeys()
	for _, key := range keys {
		passes, err := t.record(key, t.rowsRead(key.n))
		if err != nil {
			return err
		}
		all = append(all, passes...)
	}
	if err := graph.Compile(ctx, t.dev, all); err != nil {
		return err
	}
	for _, key := range keys {
		if err := t.prepare(key); err != nil {
			return err
		}
	}
	return nil
}

// rowsRead reports of how many of a pass's n tokens the candidates are wanted: of a step all, of a chunk the last.
func (t *Transformer) rowsRead(n int) int {
	if n <= t.opts.MaxBatch {
		return n
	}
	return 1
}

// warmKeys lists the passes of Options.Warm: steps of n sequences, once for each way in which attention splits a
// context, or chunks of n tokens.
func (t *Transformer) warmKeys() []bodyKey {
	var keys []bodyKey
	for _, n := range t.opts.Warm {
		n = min(n, max(t.opts.Chunk, t.opts.MaxBatch))
		if n > t.opts.MaxBatch {
			keys = append(keys, t.passes.key(n, n, graph.InOrder))
			continue
		}
		for context := 1; ; context *= 2 {
			context = min(context, t.opts.MaxSeqLen)
			if key := t.passes.key(n, context, graph.Single); len(keys) == 0 || keys[len(keys)-1] != key {
				keys = append(keys, key)
			}
			if context == t.opts.MaxSeqLen {
				break
			}
		}
	}
	return keys
}

// prepare makes the programs of a pass.
func (t *Transformer) prepare(key bodyKey) error {
	if key.n <= t.opts.MaxBatch {
		_, err := t.step(0, key)
		return err
	}
	b, err := t.passes.body(key)
	if err != nil {
		return err
	}
	if _, err := t.passes.head(headAt(key.n-1, 1, b.squares, 0)); err != nil {
		return err
	}
	_, err = t.finder.program(1, 0)
	return err
}
