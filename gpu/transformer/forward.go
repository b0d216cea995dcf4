package transformer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// Forward feeds tokens after those already fed, and calls each with the logits [VocabSize] of
// tokens[i] for i ≥ from, in order. The slice is used again. If ctx ends, so does Forward, within a chunk; the
// sequence then has the tokens that Position counts. After any other error it is to be Reset.
func (t *Transformer) Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	if err := t.accept(tokens); err != nil {
		return err
	}
	var logits []float32
	for at := 0; at < len(tokens); {
		n, err := t.feedChunk(ctx, tokens[at:])
		if err != nil {
			return err
		}
		first := min(max(from-at, 0), n) // the first token of the chunk that each is called with
		for r := first; r < n; {
			m := min(n-r, t.act.headRows)
			if err := t.runHead(r, m); err != nil {
				return err
			}
			if err := t.read(ctx, t.act.logits, m*t.spec.Vocab, &logits); err != nil {
				return err
			}
			for j := range m {
				if err := each(at+r+j, logits[j*t.spec.Vocab:(j+1)*t.spec.Vocab]); err != nil {
					return err
				}
			}
			r += m
		}
		at += n
	}
	return nil
}

// accept checks tokens against the vocabulary and the positions there are.
func (t *Transformer) accept(tokens []int32) error {
	for i, id := range tokens {
		if id < 0 || int(id) >= t.spec.Vocab {
			return fmt.Errorf("token %d is %d: the vocabulary has %d", i, id, t.spec.Vocab)
		}
	}
	end, most := t.Position()+len(tokens), maxPositions
	if t.spec.Positions > 0 {
		most = t.spec.Positions
	}
	if end > most {
		return fmt.Errorf("%d tokens: this model has %d positions", end, most)
	}
	return nil
}

// chunk reports how many of the next n tokens may run at once: no cache may overwrite what one
// of them still has to see.
func (t *Transformer) chunk(n int) int {
	n = min(n, t.opts.Chunk)
	for _, c := range t.kv {
		if t.Position()+n > c.cap {
			n = min(n, max(c.cap-c.window+1, c.cap-t.Position()))
		}
	}
	return n
}

// row is what the kernels know of a token that is fed.
type row struct {
	token    int32
	position int
	sequence int
}

// feed runs one chunk of the sequence through the layers.
func (t *Transformer) feed(ctx context.Context, tokens []int32) error {
	rows := make([]row, len(tokens))
	for i, id := range tokens {
		rows[i] = row{id, t.Position() + i, t.sequence}
	}
	if err := t.feedRows(ctx, rows); err != nil {
		return err
	}
	t.positions[t.sequence] += len(tokens)
	return nil
}

// feedRows runs tokens of any sequences through the layers.
func (t *Transformer) feedRows(ctx context.Context, rows []row) error {
	n := len(rows)
	if err := t.writeRows(rows); err != nil {
		return err
	}
	if err := t.setStep(0, n, 0); err != nil {
		return err
	}
	programs, err := t.body(n, longest(rows))
	if err != nil {
		return err
	}
	t.leaves = t.squares[n]
	if t.trace != nil {
		return t.traced(ctx, n, programs)
	}
	return t.run(programs...)
}

// setStep tells the kernels how many tokens the body or the head takes, and from which on. It is written only
// when it changes.
func (t *Transformer) setStep(offset uint64, n, from int) error {
	now := &t.steps[offset/headStep]
	if *now == [2]int{n, from} {
		return nil
	}
	*now = [2]int{n, from}
	return t.step.Write(offset, words32(n, from, 0, 0))
}

// runHead makes the logits of n tokens of the chunk, from the given one on.
func (t *Transformer) runHead(from, n int) error {
	if err := t.setStep(headStep, n, from); err != nil {
		return err
	}
	p, err := t.head(from, n)
	if err != nil {
		return err
	}
	return t.run(p)
}

// traced runs the programs one by one and hands out the residual stream after each.
func (t *Transformer) traced(ctx context.Context, n int, programs []*gpu.Program) error {
	var hidden []float32
	for i, p := range programs {
		if err := t.dev.Run(p); err != nil {
			return err
		}
		if err := t.read(ctx, t.act.x, n*t.act.hidden, &hidden); err != nil {
			return err
		}
		t.trace(i, dense(hidden, n, t.spec.Hidden, t.act.hidden))
	}
	final := make([]float32, 0, n*t.spec.Hidden)
	for r := 0; r < n; r += t.act.headRows {
		m := min(n-r, t.act.headRows)
		if err := t.setStep(headStep, m, r); err != nil {
			return err
		}
		rec := recorder{t: t, n: m, p: new(gpu.Program)}
		rec.finalNorm()
		if rec.err != nil {
			return rec.err
		}
		if err := t.dev.Run(rec.p); err != nil {
			return err
		}
		if err := t.read(ctx, t.act.final, m*t.act.hidden, &hidden); err != nil {
			return err
		}
		final = append(final, dense(hidden, m, t.spec.Hidden, t.act.hidden)...)
	}
	t.trace(len(programs), final)
	return nil
}

// dense moves n vectors of the given width together that lie a stride apart.
func dense(x []float32, n, width, stride int) []float32 {
	for i := range n {
		copy(x[i*width:(i+1)*width], x[i*stride:])
	}
	return x[:n*width]
}

// read waits for the device and reads n float32 from the start of b.
func (t *Transformer) read(ctx context.Context, b *gpu.Buffer, n int, to *[]float32) error {
	raw := make([]byte, 4*n)
	if err := t.dev.Read(ctx, b, 0, raw); err != nil {
		return err
	}
	if cap(*to) < n {
		*to = make([]float32, n)
	}
	*to = (*to)[:n]
	for i := range *to {
		(*to)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}
