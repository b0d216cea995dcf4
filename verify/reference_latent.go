package verify

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// projectLatent is project for keys and values that come from a latent vector. That vector, and what the heads' keys
// share, are rounded as the cache stores them. Keys and values are spelled out: what is cached here is longer than what
// has to be.
func (r *Reference) projectLatent(ctx context.Context, layer int, x []float32, tokens int) (q, k, v []float32, err error) {
	a := &r.spec.Layer(layer).Attention
	qLatent := x
	if a.QRank > 0 {
		if qLatent, err = r.multiply(ctx, model.RoleQDown, layer, x, tokens, a.QRank); err != nil {
			return nil, nil, nil, err
		}
		r.bias(qLatent, model.RoleQDownBias, layer)
		r.latentNorm(layer, model.RoleQDownNorm, qLatent)
	} else if q, err = r.multiply(ctx, model.RoleQ, layer, x, tokens, a.Heads*a.HeadDim); err != nil {
		return nil, nil, nil, err
	}
	down, err := r.multiply(ctx, model.RoleKVDown, layer, x, tokens, a.KVRank+a.SharedDim)
	if err != nil {
		return nil, nil, nil, err
	}
	r.bias(down, model.RoleKVDownBias, layer)
	latent, shared := r.compress(layer, down, tokens)
	if a.QRank > 0 {
		if q, err = r.multiply(ctx, model.RoleQUp, layer, qLatent, tokens, a.Heads*a.HeadDim); err != nil {
			return nil, nil, nil, err
		}
	}
	r.rotateEnds(a, q, tokens)
	own, err := r.multiply(ctx, model.RoleKUp, layer, latent, tokens, a.Heads*a.OwnDim())
	if err != nil {
		return nil, nil, nil, err
	}
	for h := range tokens * a.Heads {
		k = append(k, own[h*a.OwnDim():(h+1)*a.OwnDim()]...)
		k = append(k, shared[h/a.Heads*a.SharedDim:][:a.SharedDim]...)
	}
	v, err = r.multiply(ctx, model.RoleVUp, layer, latent, tokens, a.Heads*a.ValueDim)
	return q, k, v, err
}

// compress takes apart what kv_down makes, [tokens][KVRank+SharedDim]: the normalized latents [tokens][KVRank], and what
// the heads' keys share, rotated, [tokens][SharedDim].
func (r *Reference) compress(layer int, down []float32, tokens int) (latent, shared []float32) {
	a := &r.spec.Layer(layer).Attention
	for t := range tokens {
		row := down[t*(a.KVRank+a.SharedDim):][:a.KVRank+a.SharedDim]
		latent = append(latent, row[:a.KVRank]...)
		shared = append(shared, row[a.KVRank:]...)
		r.rotate(a.RoPE, shared[t*a.SharedDim:], t)
	}
	r.latentNorm(layer, model.RoleKVDownNorm, latent)
	r.store(layer, latent)
	r.store(layer, shared)
	return latent, shared
}

// rotateEnds rotates the last elements of each query.
func (r *Reference) rotateEnds(a *model.Attention, q []float32, tokens int) {
	for h := range tokens * a.Heads {
		r.rotate(a.RoPE, q[h*a.HeadDim+a.OwnDim():(h+1)*a.HeadDim], h/a.Heads)
	}
}

// latentNorm normalizes every row of x that is as long as the weight.
func (r *Reference) latentNorm(layer int, weight model.Role, x []float32) {
	w := r.small[key{weight, layer}]
	for ; len(x) > 0; x = x[len(w):] {
		rms(x[:len(w)], w, float64(r.spec.Layer(layer).Attention.LatentEps))
	}
}
