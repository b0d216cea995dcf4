package cpu

import (
	"context"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// latent are the tensors of attention with a latent vector.
type latent struct {
	qDown, qUp, kvDown, kUp, vUp *matrix
	qDownBias, kvDownBias        []float32
	qDownNorm, kvDownNorm        []float32
}

func (f *tensors) latent(i int) latent {
	return latent{
		qDown: f.matrix(model.RoleQDown, i), qUp: f.matrix(model.RoleQUp, i), kvDown: f.matrix(model.RoleKVDown, i),
		kUp: f.matrix(model.RoleKUp, i), vUp: f.matrix(model.RoleVUp, i),
		qDownBias: f.vector(model.RoleQDownBias, i), kvDownBias: f.vector(model.RoleKVDownBias, i),
		qDownNorm: f.vector(model.RoleQDownNorm, i), kvDownNorm: f.vector(model.RoleKVDownNorm, i),
	}
}

// readLatent returns the outputs [tokens][Heads·ValueDim] of the heads for the normalized stream x, and stores latent
// vectors. As on a GPU, keys and values are not spelled out: model.Attention.Core says what is computed instead.
func (e *Engine) readLatent(ctx context.Context, i int, r *room, c *cache, x []float32, from int, tap tap) ([]float32, error) {
	y := &e.layers[i]
	a, l := &y.Attention, &y.latent
	tokens := len(x) / e.spec.Hidden
	q, down := r.rows(tokens, a.Heads*a.HeadDim), r.rows(tokens, a.KVRank+a.SharedDim)
	first := part{matrix: y.q, rows: a.Heads * a.HeadDim, y: q}
	var low []float32
	if a.QRank > 0 {
		low = r.rows(tokens, a.QRank)
		first = part{matrix: l.qDown, rows: a.QRank, y: low, bias: l.qDownBias}
	}
	if tap.stops(first.role, x) {
		return nil, errTapped
	}
	if err := e.product(ctx, r, x, tokens, first, part{matrix: l.kvDown, rows: a.KVRank + a.SharedDim, y: down, bias: l.kvDownBias}); err != nil {
		return nil, err
	}
	if a.QRank > 0 {
		rms(low, l.qDownNorm, a.QRank, a.LatentEps)
		if tap.stops(model.RoleQUp, low) {
			return nil, errTapped
		}
		if err := e.product(ctx, r, low, tokens, part{matrix: l.qUp, rows: len(q) / tokens, y: q}); err != nil {
			return nil, err
		}
	}
	latents := e.enterLatent(i, r, c, down, from)
	if tap.stops(model.RoleKUp, latents) {
		return nil, errTapped
	}
	absorbed := r.rows(tokens, y.core.Heads*y.core.HeadDim)
	h := latentHeads{e: e, y: y, tokens: tokens, from: from, q: q, absorbed: absorbed}
	if err := h.run(ctx); err != nil {
		return nil, err
	}
	h.read, h.out = r.rows(tokens, a.Heads*a.KVRank), r.rows(tokens, a.Heads*a.ValueDim)
	e.read(y, c, absorbed, h.read, tokens, from)
	return h.out, h.run(ctx)
}

// rms normalizes every n numbers of x by their root mean square.
func rms(x, weight []float32, n int, eps float32) {
	zeros := make([]float32, n)
	for at := 0; at < len(x); at += n {
		simd.RMSNorm(x[at:at+n], x[at:at+n], weight, zeros, eps)
	}
}

// enterLatent stores the latent vectors of tokens, and what the heads' keys share, and returns the former
// [tokens][KVRank].
func (e *Engine) enterLatent(layer int, r *room, c *cache, down []float32, from int) []float32 {
	y := &e.layers[layer]
	a, n := &y.Attention, y.Attention.KVRank+y.Attention.SharedDim
	tokens := len(down) / n
	latents := r.rows(tokens, a.KVRank)
	for t := range tokens {
		key := down[t*n : (t+1)*n]
		rms(key[:a.KVRank], y.latent.kvDownNorm, a.KVRank, a.LatentEps)
		if a.RoPE >= 0 {
			e.ropes[a.RoPE].rotate(key[a.KVRank:], from+t)
		}
		e.watch(layer, key)
		if e.options.KVFloat16 && e.spec.KVBits(layer, 16) == 16 {
			if beyondFloat16(key) {
				e.overflowed.note(layer)
			}
			simd.RoundFloat16(key)
		}
		c.put(from+t, key, key[:a.KVRank])
		copy(latents[t*a.KVRank:], key[:a.KVRank])
	}
	return latents
}

// latentHeads is the task of multiplying each head's vectors by its own matrix: queries by k_up, or, once there is
// something to read, that by v_up.
type latentHeads struct {
	e                      *Engine
	y                      *layer
	tokens, from           int
	q, absorbed, read, out []float32

	mu  sync.Mutex
	err error
}

func (w *latentHeads) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a, threads := &w.y.Attention, w.e.options.Threads
	if a.Heads*a.KVRank*a.HeadDim*w.tokens < sharedWork {
		threads = 1
	}
	everybody.run(threads, a.Heads, w)
	return w.err
}

// do implements task.
func (w *latentHeads) do(helper, h int) {
	s, work := &w.e.work.scratch[helper], w.absorb
	if w.read != nil {
		work = w.values
	}
	if err := work(s, h); err != nil {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
}

// absorb makes the queries of head h for latents: k_up[h]ᵀ·q, and behind that the rotated end of q, both scaled.
func (w *latentHeads) absorb(s *scratch, h int) error {
	a, own := &w.y.Attention, w.y.Attention.OwnDim()
	wide := a.KVRank + a.SharedDim
	s.decoded = grown(s.decoded, own*a.KVRank)
	rows := s.decoded[:own*a.KVRank]
	if err := w.e.weights.Rows(w.y.latent.kUp.index, h*own, own, rows); err != nil {
		return err
	}
	for t := range w.tokens {
		q, to := w.q[(t*a.Heads+h)*a.HeadDim:][:a.HeadDim], w.absorbed[(t*a.Heads+h)*wide:][:wide]
		clear(to[:a.KVRank])
		for i, v := range q[:own] {
			simd.Add(to[:a.KVRank], rows[i*a.KVRank:(i+1)*a.KVRank], v*a.Scale)
		}
		if a.RoPE >= 0 {
			w.e.ropes[a.RoPE].rotate(q[own:], w.from+t)
		}
		copy(to[a.KVRank:], q[own:])
		simd.Scale(to[a.KVRank:], a.Scale)
	}
	return nil
}

// values makes the values of head h of what it has read.
func (w *latentHeads) values(s *scratch, h int) error {
	a := &w.y.Attention
	stride := simd.Pad(a.KVRank, simd.Lane)
	s.queries = grown(s.queries, simd.Pad(w.tokens, simd.TileTokens)*stride)
	x := simd.Matrix{Data: s.queries[:simd.Pad(w.tokens, simd.TileTokens)*stride], Rows: w.tokens, Cols: a.KVRank, Stride: stride}
	for t := range w.tokens {
		row := x.Data[t*stride:][:stride]
		clear(row[copy(row, w.read[(t*a.Heads+h)*a.KVRank:][:a.KVRank]):])
	}
	for row := 0; row < a.ValueDim; row += panelRows {
		panel, err := w.e.work.product.panel(s, w.y.latent.vUp, h*a.ValueDim+row, min(panelRows, a.ValueDim-row))
		if err != nil {
			return err
		}
		simd.Product(w.out[h*a.ValueDim+row:], a.Heads*a.ValueDim, x, panel, false)
	}
	return nil
}

// latentFloats is how many numbers the activations of such attention take.
func latentFloats(a *model.Attention, tokens int) int {
	core := a.Core()
	n := slabRows(tokens, a.Heads*a.HeadDim) + 2*slabRows(tokens, a.KVRank+a.SharedDim) + slabRows(tokens, core.Heads*core.HeadDim)
	return n + slabRows(tokens, a.Heads*a.KVRank) + slabRows(tokens, a.Heads*a.ValueDim) + slabRows(tokens, max(1, a.QRank))
}
