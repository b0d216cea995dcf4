package transformer

import (
	"context"
	"runtime"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// warm makes the programs of Options.Ready. Their kernels are compiled by several goroutines at once.
func (t *Transformer) warm(ctx context.Context) error {
	list, err := t.kernels()
	if err != nil {
		return err
	}
	next := make(chan kernels.Kernel, len(list))
	for _, k := range list {
		next <- k
	}
	close(next)
	compile := func(ctx context.Context) error {
		for k := range next {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := t.dev.Pipeline(k); err != nil {
				return err
			}
		}
		return nil
	}
	work := make([]func(context.Context) error, min(runtime.GOMAXPROCS(0), len(list)))
	for i := range work {
		work[i] = compile
	}
	if err := together(ctx, work...); err != nil {
		return err
	}
	return t.recordReady()
}

// kernels returns the kernels of the programs of Options.Ready, each once.
func (t *Transformer) kernels() ([]kernels.Kernel, error) {
	var list []kernels.Kernel
	seen := map[string]bool{}
	t.collect = func(k kernels.Kernel) {
		if !seen[k.Key] {
			seen[k.Key] = true
			list = append(list, k)
		}
	}
	err := t.recordReady()
	t.collect = nil
	clear(t.bodies) // programs without a dispatch
	clear(t.heads)
	clear(t.tops)
	clear(t.sequel)
	clear(t.costs)
	return list, err
}

// recordReady records the programs of Options.Ready: of passes of so many tokens of one sequence, or one
// token of each of so many sequences, at every context that asks for other ones.
func (t *Transformer) recordReady() error {
	for _, n := range t.opts.Ready {
		n = min(n, max(t.opts.Chunk, t.opts.MaxBatch))
		if n <= t.opts.MaxBatch {
			if err := t.recordSteps(n); err != nil {
				return err
			}
			continue
		}
		if _, err := t.body(n, n); err != nil {
			return err
		}
		t.leaves = t.squares[n]
		if _, err := t.head(n-1, 1); err != nil {
			return err
		}
		if _, err := t.topProgram(1); err != nil {
			return err
		}
	}
	return nil
}

// recordSteps records the steps of n sequences.
func (t *Transformer) recordSteps(n int) error {
	for context := 1; ; context *= 2 {
		context = min(context, t.opts.MaxSeqLen)
		if _, err := t.stepPrograms(bodyKey{n, t.splits(n, context)}, context); err != nil {
			return err
		}
		if context == t.opts.MaxSeqLen {
			return nil
		}
	}
}
