package cpu

import (
	"context"
	"fmt"
	"math"
)

// readout hands out the logits of tokens first to tokens−1 of x [tokens][hidden], which it normalizes, and calls each with
// their indices plus base.
func (e *Engine) readout(ctx context.Context, r *room, x []float32, first, tokens, base int, each func(int, []float32) error) error {
	if first == tokens && e.trace == nil {
		return nil
	}
	h, vocab := e.spec.Hidden, e.spec.Vocab
	if e.trace == nil {
		x, tokens, base, first = x[first*h:], tokens-first, base+first, 0
	}
	e.normalize(e.finalNorm, x, x, tokens)
	e.show(len(e.spec.Layers)+1, x)
	step := max(1, min(headFloats/vocab, e.batch))
	for ; first < tokens; first += step {
		n := min(step, tokens-first)
		e.logits = grown(e.logits, n*vocab)
		rows := e.logits[:n*vocab]
		m := r.mark()
		err := e.product(ctx, r, x[first*h:(first+n)*h], n, part{matrix: e.head, rows: vocab, y: rows, bias: e.headBias})
		r.release(m)
		if err != nil {
			return fmt.Errorf("head: %w", err)
		}
		for t := range n {
			row := rows[t*vocab : (t+1)*vocab]
			e.bound(row)
			if err := each(base+first+t, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// bound scales logits and squeezes them.
func (e *Engine) bound(row []float32) {
	if e.spec.LogitScale == 1 && e.spec.LogitSoftcap == 0 {
		return
	}
	for i, v := range row {
		row[i] = softcap(v*e.spec.LogitScale, e.spec.LogitSoftcap)
	}
}

// softcap squeezes x into (−c, c); a c of 0 leaves it.
func softcap(x, c float32) float32 {
	if c == 0 {
		return x
	}
	return c * float32(math.Tanh(float64(x/c)))
}

// grown returns a slice of at least n numbers, b itself if it is long enough.
func grown(b []float32, n int) []float32 {
	if cap(b) >= n {
		return b[:cap(b)]
	}
	return make([]float32, n+n/4)
}
