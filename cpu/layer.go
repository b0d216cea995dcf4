package cpu

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// errTapped ends a layer before it is done.
var errTapped = errors.New("ended by a tap")

// tap sees the inputs of matrices, of the first of those that share them, and may end the layer there. It may be nil.
type tap func(role model.Role, inputs []float32) (stop bool)

func (t tap) stops(role model.Role, inputs []float32) bool { return t != nil && t(role, inputs) }

// runLayer passes x [tokens][hidden], the first token of which is at position from, through layer i.
func (e *Engine) runLayer(ctx context.Context, i int, r *room, b beside, x []float32, from int, tap tap) error {
	y, tokens := &e.layers[i], len(x)/e.spec.Hidden
	input := x
	if y.Parallel {
		input = r.rows(tokens, e.spec.Hidden)
		copy(input, x)
	}
	var before []float32
	if b.streams != nil {
		before = r.rows(tokens, e.spec.Hidden)
		m := r.mark()
		if err := e.predict(ctx, r, &y.streams, x, b.streams); err != nil {
			return fmt.Errorf("layer %d: residual streams: %w", i, err)
		}
		copy(before, x)
		r.release(m)
	}
	if y.Mixes() {
		m := r.mark()
		if err := e.mix(ctx, i, r, b.cache, x, from, tap); err != nil {
			return fmt.Errorf("layer %d: attention: %w", i, err)
		}
		r.release(m)
	}
	if !y.Feeds() {
		return nil
	}
	m := r.mark()
	made, err := e.feedForward(ctx, i, r, input, tap)
	if err != nil {
		return fmt.Errorf("layer %d: mlp: %w", i, err)
	}
	e.join(x, made, y.postMLP, y.ResidualScale)
	r.release(m)
	if b.streams != nil {
		if err := e.correct(ctx, r, &y.streams, x, before, b.streams); err != nil {
			return fmt.Errorf("layer %d: residual streams: %w", i, err)
		}
		r.release(m)
	}
	if y.TakesInput {
		if err := e.takeInput(ctx, i, r, x, b, tap); err != nil {
			return fmt.Errorf("layer %d: its input: %w", i, err)
		}
	}
	if y.outScale != nil {
		simd.Scale(x, y.outScale[0])
	}
	if b.streams != nil && i == len(e.layers)-1 {
		r.release(m)
		return e.closeStreams(ctx, r, x, b.streams)
	}
	return nil
}

// mix adds to x what the layer's attention or recurrence makes of it, and the shortcut around that.
func (e *Engine) mix(ctx context.Context, i int, r *room, c *cache, x []float32, from int, tap tap) error {
	y := &e.layers[i]
	var around []float32
	if y.Shortcut > 0 {
		var err error
		if around, err = e.shortcut(ctx, i, r, x, tap); err != nil {
			return err
		}
	}
	a, err := e.attend(ctx, i, r, c, x, from, tap)
	if err != nil {
		return err
	}
	e.join(x, a, y.postAttn, y.ResidualScale)
	if around != nil {
		simd.Add(x, around, 1)
		simd.Scale(x, y.ShortcutScale)
	}
	return nil
}

// join adds what a branch made, normalized if there is a norm, to the residual stream.
func (e *Engine) join(x, branch []float32, n *norm, scale float32) {
	if n != nil {
		e.normalize(n, branch, branch, len(branch)/e.spec.Hidden)
	}
	simd.Add(x, branch, scale)
}

// feedForward returns the output [tokens][hidden] of a layer's MLP or experts for the residual stream x.
func (e *Engine) feedForward(ctx context.Context, i int, r *room, x []float32, tap tap) ([]float32, error) {
	y, h := &e.layers[i], e.spec.Hidden
	tokens := len(x) / h
	if y.MLP.Apart {
		return e.feedApart(ctx, i, r, x, tap)
	}
	if y.mlpNorm != nil {
		normed := r.rows(tokens, h)
		e.normalize(y.mlpNorm, normed, x, tokens)
		x = normed
	}
	out := r.rows(tokens, h)
	switch {
	case y.MLP.Experts == 0:
		return out, e.half(ctx, r, y, &y.own, 0, x, out, tap)
	case y.MLP.Shared > 0:
		if err := e.half(ctx, r, y, &y.shared, 0, x, out, tap); err != nil {
			return nil, err
		}
	default:
		clear(out)
	}
	if tap.stops(model.RoleRouter, x) {
		return nil, errTapped
	}
	return out, e.experts(ctx, i, r, x, out)
}

// feedApart is feedForward where the chosen experts have norms of their own. A tap is given the residual stream for the
// router, and finds the shared expert after the chosen ones, as they are quantized.
func (e *Engine) feedApart(ctx context.Context, i int, r *room, x []float32, tap tap) ([]float32, error) {
	y, h := &e.layers[i], e.spec.Hidden
	tokens := len(x) / h
	out, shared := r.rows(tokens, h), r.rows(tokens, h)
	clear(out)
	if tap.stops(model.RoleRouter, x) {
		return nil, errTapped
	}
	if err := e.experts(ctx, i, r, x, out); err != nil {
		return nil, err
	}
	e.normalize(y.apart.postExperts, out, out, tokens)
	m := r.mark()
	normed := r.rows(tokens, h)
	e.normalize(y.mlpNorm, normed, x, tokens)
	if err := e.half(ctx, r, y, &y.shared, 0, normed, shared, tap); err != nil {
		return nil, err
	}
	r.release(m)
	e.normalize(y.apart.postShared, shared, shared, tokens)
	simd.Add(out, shared, 1)
	return out, nil
}

// half sets out [tokens][outer] to down(act(gate(x))·up(x)), of an expert if the matrices are those of several.
func (e *Engine) half(ctx context.Context, r *room, y *layer, m *mlp, expert int, x, out []float32, tap tap) error {
	h := m.outer
	tokens := len(x) / h
	if tap.stops(m.up.role, x) {
		return errTapped
	}
	mark := r.mark()
	defer r.release(mark)
	inner, err := e.inner(ctx, r, y, m, expert, x)
	if err != nil {
		return err
	}
	if m == &y.shared && y.MLP.SharedGated {
		if err := e.weigh(ctx, r, y, x, inner); err != nil {
			return err
		}
	}
	if tap.stops(m.down.role, inner) {
		return errTapped
	}
	return e.product(ctx, r, inner, tokens, part{matrix: m.down, row0: expert * h, rows: h, y: out, bias: biasOf(m.downBias, expert, h)})
}

// weigh multiplies the vectors inner, one for each token of x, by the sigmoid of shared_router·x.
func (e *Engine) weigh(ctx context.Context, r *room, y *layer, x, inner []float32) error {
	tokens := len(x) / e.spec.Hidden
	scores := r.rows(tokens, 1)
	err := e.product(ctx, r, x, tokens, part{matrix: y.sharedRouter, rows: 1, y: scores})
	width := len(inner) / tokens
	for t, v := range scores {
		simd.Scale(inner[t*width:(t+1)*width], sigmoid(v))
	}
	return err
}

// inner returns act(gate(x))·up(x), [tokens][width].
func (e *Engine) inner(ctx context.Context, r *room, y *layer, m *mlp, expert int, x []float32) ([]float32, error) {
	tokens, w := len(x)/m.outer, m.width
	inner := r.rows(tokens, w)
	p := part{matrix: m.up, row0: expert * w, rows: w, y: inner, bias: biasOf(m.upBias, expert, w), between: &y.MLP, numbers: y.numbers}
	if y.MLP.Sparse {
		return inner, e.sparseInner(ctx, r, y, m, x, inner)
	}
	if y.MLP.Gated {
		p.times, p.timesBias = p.matrix, p.bias
		p.matrix, p.bias = m.gate, biasOf(m.gateBias, expert, w)
	}
	return inner, e.product(ctx, r, x, tokens, p)
}

// sparseInner is inner where gates are compared with each other before they count.
func (e *Engine) sparseInner(ctx context.Context, r *room, y *layer, m *mlp, x, inner []float32) error {
	tokens, w := len(x)/m.outer, m.width
	ups := r.rows(tokens, w)
	err := e.product(ctx, r, x, tokens,
		part{matrix: m.gate, rows: w, y: inner, bias: m.gateBias}, part{matrix: m.up, rows: w, y: ups, bias: m.upBias})
	sparsen(inner, w, y.MLP.Cutoff)
	gate(&y.MLP, inner, ups)
	return err
}

// biasOf returns an expert's share of a bias, nil if there is none.
func biasOf(b []float32, expert, n int) []float32 {
	if b == nil {
		return nil
	}
	return b[expert*n : (expert+1)*n]
}
