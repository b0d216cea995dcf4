package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// qkNorms are what rope.wgsl calls these.
var qkNorms = map[model.QKNorm]int{model.QKNormNone: 0, model.QKNormHead: 1, model.QKNormProjection: 2, model.QKNormUnweighted: 3, model.QKNormHeads: 4, model.QKNormRotated: 5}

// mixer records the attention of a layer, its recurrence, or both.
func (r *layers) mixer(i int, in, out Vectors, e Epilogue) {
	switch y := r.g.spec.Layer(i); {
	case y.Twofold():
		r.twofold(i, in, out, e)
	case y.Attends():
		r.attention(i, in, out, e)
	default:
		r.recurrence(i, in, out, e)
	}
}

// attention records the attention of a layer.
func (r *layers) attention(i int, in, out Vectors, e Epilogue) {
	g := r.g
	a, w, at, kv := &g.act, &g.w.Layers[i], &g.spec.Layer(i).Attention, g.KV(i)
	if at.KVRank > 0 {
		r.latent(i, in, out, e)
		return
	}
	turns := (r.n == 1 || r.order >= Single) && turnsInAttention(at, kv, w.qkNorm)
	shuffles := turns && r.choose.shuffles(at, kv.Bits)
	r.Product(&Product{w.QKV, w.qkvBias, in, a.qkv, Epilogue{Scale: 1, Loose: sliced && shuffles && !at.Gated}})
	heads := a.of(at.Heads * at.HeadDim)
	by := unless(at.Gated || r.tap != nil || !r.recording(), w.O) // that reads heads as they are; taps, and what begins after the heads, want floats
	if shuffles {
		heads.ready = r.attendShuffled(at, w.sinks, kv, true, heads, by)
	} else if d := r.divide(at, kv); turns && r.n == 1 && d.parts == 1 {
		heads.ready = r.attendAtOnce(at, w.sinks, kv, d, heads, r.takesLimbs(by))
	} else {
		r.rope(at, kv, w.qkNorm)
		heads.ready = r.attend(at, w.sinks, kv, heads, by)
	}
	if at.Gated {
		r.gateHeads(heads, at.Heads*at.HeadDim, (at.Heads+2*at.KVHeads)*at.HeadDim, nil, kernels.Consts{}, 0)
	}
	r.reach(AfterHeads)
	r.Product(&Product{w.O, w.oBias, heads, out, e})
}

// rope records what becomes of queries and keys, and brings keys and values to the cache.
func (r *layers) rope(at *model.Attention, kv *Cache, norm *Vector) {
	g := r.g
	angles, c := r.rotation(at)
	maps.Copy(c, g.headConsts(at, kv))
	maps.Copy(c, kernels.Consts{
		"X_STRIDE": g.act.qkv.Stride, "NORM": qkNorms[at.QKNorm], "EPS": g.spec.Norm.Eps,
		"SCALE": at.Scale, "TEMP_FLOOR": at.TemperatureFloor, "TEMP_SCALE": at.TemperatureScale, "TEMP_FROM": flag(!at.TemperatureFromZero),
		"CENTER": flag(g.spec.Norm.Kind == model.LayerNorm), "CLIP": at.Clip, "V_NORM": flag(at.ValueNorm), "OF_KEYS": flag(at.KeyValues),
	})
	heads := at.Heads
	if !at.SharedKV {
		heads += 2 * at.KVHeads
	}
	r.Dispatch("rope", c, heads, r.n,
		g.rows, g.act.qkv.Buffer, angles, r.read(norm), g.act.q.Buffer, kv.K, kv.V)
}

// headConsts returns what the kernels of attention are told of its heads and its cache.
func (g *Graph) headConsts(at *model.Attention, kv *Cache) kernels.Consts {
	return kernels.Consts{
		"HEADS": at.Heads, "KV_HEADS": at.KVHeads, "DIM": at.HeadDim, "Q_STRIDE": g.act.q.Stride, "CAP": kv.Cap, "KV_BITS": kv.Bits,
	}
}

// coreConsts returns what the kernels of attention over a cache are told.
func (g *Graph) coreConsts(at *model.Attention, kv *Cache, out Vectors) kernels.Consts {
	c := g.headConsts(at, kv)
	maps.Copy(c, kernels.Consts{
		"VALUE": at.ValueWidth(), "O_STRIDE": out.Stride, "WINDOW": kv.Window, "CHUNK": at.Chunk, "SOFTCAP": at.Softcap,
		"SINKS": flag(at.Sinks), "ALIBI": at.ALiBi, "ALIBI_SCALE": at.ALiBiScale,
	})
	return c
}

// AttendsInParts reports whether there is a kernel that splits the cached positions among workgroups, for attention
// of n tokens over a cache of kvBits bits a value.
func AttendsInParts(at *model.Attention, n, kvBits int) bool {
	return n <= FewTokens && kvBits == 16 && at.HeadDim%8 == 0 && at.ValueWidth()%8 == 0
}

// attend records attention over the cache, as Attention.Core describes it. If the matrix that multiplies heads, if any, takes limbs, it
// reports whether it makes them as well.
func (r *layers) attend(at *model.Attention, sinks *Vector, kv *Cache, out Vectors, by *Matrix) bool {
	a := &r.g.act
	c := r.g.coreConsts(at, kv, out)
	if AttendsInParts(at, r.n, kv.Bits) || r.order != InOrder && AttendsInParts(at, 1, kv.Bits) {
		if r.choose.shuffles(at, kv.Bits) {
			return r.attendShuffled(at, sinks, kv, false, out, by)
		}
		limbs := r.takesLimbs(by) && at.ValueWidth()%32 == 0
		r.attendBy("attention_split", c, r.divide(at, kv), at, out, limbs, r.g.rows, a.q.Buffer, kv.K, kv.V, r.read(sinks))
		return limbs
	}
	if r.attendByMatrices(at, sinks, kv, c, out) {
		return false
	}
	queries := 1 // of a workgroup; several are of one sequence
	if r.n > FewTokens && r.order == InOrder {
		queries = max(1, min(8, 2048/at.HeadDim))
	}
	c["QUERIES"] = queries
	r.Dispatch("attention", c, at.Heads, (r.n+queries-1)/queries,
		r.g.rows, a.q.Buffer, kv.K, kv.V, r.read(sinks), out.Buffer, r.Tokens())
	return false
}

// attentionTiles are how many subgroups of attention_matrix share keys, and how many keys at a time, in order of preference:
// what fits into workgroup memory.
var attentionTiles = []kernels.Consts{{"GROUPS": 4, "KEYS": 64}, {"GROUPS": 2, "KEYS": 32}, {"GROUPS": 1, "KEYS": 16}}

// attendByMatrices records attention of many tokens by subgroup matrices, if products are made by them, and if heads are
// not too wide for a thread's registers.
func (r *layers) attendByMatrices(at *model.Attention, sinks *Vector, kv *Cache, c kernels.Consts, out Vectors) bool {
	const widest = 128
	if len(r.choose.Matrices) == 0 || r.n < leastMatrix || r.order != InOrder || kv.Bits != 16 ||
		at.HeadDim%16 != 0 || at.HeadDim > widest || at.ValueWidth() != at.HeadDim {
		return false
	}
	c = maps.Clone(c)
	delete(c, "KV_BITS")
	delete(c, "VALUE")
	for _, tile := range attentionTiles {
		maps.Copy(c, tile)
		if k, err := r.specialize(attentionMatrixKernel, c); err != nil || r.dev.Fits(k) != nil {
			continue
		}
		queries := 16 * tile["GROUPS"].(int)
		r.Dispatch(attentionMatrixKernel, c, at.Heads, (r.n+queries-1)/queries,
			r.g.rows, r.g.act.q.Buffer, kv.K, kv.V, r.read(sinks), out.Buffer, r.Tokens())
		return true
	}
	return false
}

// AttentionPossible returns an error if the attention of a layer cannot be computed with these constants.
func (g *Graph) AttentionPossible(layer int, with Tuned) error {
	core := g.spec.Layer(layer).Attention.Core()
	return g.choose.attentionPossible(&core, with)
}

// RecordAttention records nothing but the attention of a layer over its cache, at a context of the given length.
func (g *Graph) RecordAttention(r *Recorder, layer, context int) {
	all := layers{Recorder: r, g: g, parts: g.Parts(r.n, context)}
	core := g.spec.Layer(layer).Attention.Core()
	all.attend(&core, g.w.Layers[layer].sinks, g.KV(layer), g.Heads(layer), nil)
}

// AttentionDefaults are the constants of a layer's attention for n tokens without tuning.
func (g *Graph) AttentionDefaults(layer, n int) Tuned {
	c, core := newChooser(g.dev, Choice{}), g.spec.Layer(layer).Attention.Core()
	use, _ := c.attention(&core, n)
	return use
}
