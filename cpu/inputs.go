package cpu

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// layerInputs sets to [n][tokens][LayerInputs.Width] to what n layers from the given one on are given of the tokens; x
// [tokens][hidden] is the residual stream before the first layer.
func (e *Engine) layerInputs(ctx context.Context, r *room, tokens []int32, x []float32, first, n int, to []float32) error {
	m := &e.spec.LayerInputs
	w := m.Width
	all := r.rows(len(tokens), n*w)
	if err := e.product(ctx, r, x, len(tokens), part{matrix: e.layerProject, row0: first * w, rows: n * w, y: all}); err != nil {
		return err
	}
	simd.Scale(all, m.ProjectScale)
	e.normalize(e.layerNorm, all, all, len(tokens)*n)
	row := e.work.row(len(e.spec.Layers) * w)
	for t, token := range tokens {
		if int(token) >= m.Tokens {
			token = 0
		}
		if err := e.weights.Rows(e.layerEmbed.index, int(token), 1, row); err != nil {
			return err
		}
		for i := range n {
			sum := to[(i*len(tokens)+t)*w:][:w]
			copy(sum, all[(t*n+i)*w:][:w])
			simd.Add(sum, row[(first+i)*w:][:w], m.EmbedScale)
			simd.Scale(sum, m.SumScale)
		}
	}
	return nil
}

// takeInput adds to the residual stream x [tokens][hidden] what layer i makes of its input [tokens][LayerInputs.Width].
func (e *Engine) takeInput(ctx context.Context, i int, r *room, x []float32, b beside, tap tap) error {
	y, h, w := &e.layers[i], e.spec.Hidden, e.spec.LayerInputs.Width
	tokens := len(x) / h
	reads := x
	if scale := y.streams.scale; scale != nil {
		reads = r.rows(tokens, h)
		copy(reads, x)
		for t := range tokens {
			simd.Multiply(reads[t*h:(t+1)*h], scale)
		}
	}
	if tap.stops(model.RoleInputGate, reads) {
		return errTapped
	}
	gate, out := r.rows(tokens, w), r.rows(tokens, h)
	if err := e.product(ctx, r, reads, tokens, part{matrix: y.inputGate, rows: w, y: gate, between: &y.MLP}); err != nil {
		return err
	}
	simd.Multiply(gate, b.input)
	if tap.stops(model.RoleInputOut, gate) {
		return errTapped
	}
	if err := e.product(ctx, r, gate, tokens, part{matrix: y.inputOut, rows: h, y: out}); err != nil {
		return err
	}
	if b.streams == nil {
		e.join(x, out, y.postInput, 1)
		return nil
	}
	e.normalize(y.postInput, out, out, tokens)
	for _, s := range b.streams {
		simd.Add(s, out, 1)
	}
	return nil
}

// ofBatch returns what layer i is given of the batch of so many tokens that is under way, nil if it takes nothing.
func (e *Engine) ofBatch(i, tokens int) []float32 {
	n := tokens * e.spec.LayerInputs.Width
	return e.inputs[i*n:][:n]
}
