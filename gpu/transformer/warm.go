package transformer

import (
	"context"
	"fmt"

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

// warmKeys lists the passes of Options.Warm: steps of n sequences, or chunks of n tokens.
func (t *Transformer) warmKeys() []bodyKey {
	var keys []bodyKey
	for _, n := range t.opts.Warm {
		n = min(n, max(t.opts.Chunk, t.opts.MaxBatch))
		if n > t.opts.MaxBatch {
			keys = append(keys, t.passes.key(n, n, graph.InOrder))
			continue
		}
		keys = append(keys, t.stepKeys(n)...)
	}
	return keys
}

// stepKeys lists the passes of a step of n sequences, one for each way in which attention splits a context.
func (t *Transformer) stepKeys(n int) (keys []bodyKey) {
	for context := 1; ; context *= 2 {
		context = min(context, t.opts.MaxSeqLen)
		if key := t.passes.key(n, context, graph.Single); len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
		if context == t.opts.MaxSeqLen {
			return keys
		}
	}
}

// WarmStep returns what compiles the kernels of steps of n sequences that are not compiled yet, one after the other, and
// reports how many these are. Unlike the methods of a Transformer, compile may run beside anything else.
func (t *Transformer) WarmStep(n int) (compile func(ctx context.Context) (compiled int, err error), err error) {
	if n < 1 || n > t.opts.MaxBatch {
		return nil, fmt.Errorf("a step of %d sequences: there are %d", n, t.opts.MaxBatch)
	}
	var all []*graph.Pass
	for _, key := range t.stepKeys(n) {
		passes, err := t.record(key, n)
		if err != nil {
			return nil, err
		}
		all = append(all, passes...)
	}
	missing, dev := graph.Missing(t.dev, all), t.dev
	return func(ctx context.Context) (int, error) {
		for i, k := range missing {
			if err := ctx.Err(); err != nil {
				return i, err
			}
			if _, err := dev.Pipeline(k); err != nil {
				return i, err
			}
		}
		return len(missing), nil
	}, nil
}

// prepare makes the programs of a pass.
func (t *Transformer) prepare(key bodyKey) error {
	if key.n <= t.opts.MaxBatch {
		_, err := t.appendStep(nil, key, finding{key.n, 0, 1})
		return err
	}
	b, err := t.passes.body(key)
	if err != nil {
		return err
	}
	if _, err := t.passes.head(headAt(key.n-1, 1, b.squares, 0)); err != nil {
		return err
	}
	_, err = t.finder.program(finding{1, 0, 1})
	return err
}
