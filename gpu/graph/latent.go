package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// latent records attention whose keys and values come from a latent vector. It is computed over the latents themselves:
// instead of making every cached position's keys and values, queries are multiplied by k_up before, and what is read by
// v_up after.
func (r *layers) latent(i int, in, out Vectors, e Epilogue) {
	g := r.g
	a, w, at, kv := &g.act, &g.w.Layers[i], &g.spec.Layer(i).Attention, &g.caches[i]
	core := at.Core()
	r.plain(w.QKV, w.qkvBias, in, a.qkv, 1)
	q, behind := a.qkv, at.Heads*at.HeadDim
	if at.QRank > 0 {
		low := a.of(at.QRank)
		r.Dispatch("norm", kernels.Consts{
			"LANES": 128, "WIDTH": at.QRank, "X_STRIDE": a.qkv.Stride, "Y_STRIDE": low.Stride, "EPS": at.LatentEps,
		}, r.n, 1, a.qkv.Buffer, w.qDownNorm.buffer, r.unread, low.Buffer, r.Tokens())
		q, behind = Vectors{Buffer: a.latents.queries, Stride: Stride(behind)}, at.QRank
		r.plain(w.QUp, nil, low, q, 1)
	}
	compressed := Vectors{Buffer: a.latents.compressed, Stride: Stride(at.KVRank)}
	r.Dispatch("latent", kernels.Consts{
		"DIM": at.HeadDim, "RANK": at.KVRank, "ROT": at.SharedDim, "INTERLEAVED": flag(g.spec.RoPE[at.RoPE].Interleaved),
		"X_STRIDE": a.qkv.Stride, "X0": behind, "Q_STRIDE": q.Stride, "C_STRIDE": compressed.Stride, "Y_STRIDE": a.q.Stride,
		"CAP": kv.Cap, "KV_BITS": kv.Bits, "EPS": at.LatentEps, "SCALE": at.Scale,
	}, 1+at.Heads, r.n, g.rows, a.qkv.Buffer, q.Buffer, g.angles[at.RoPE], w.kvDownNorm.buffer, compressed.Buffer, a.q.Buffer, kv.K)
	r.byHead("heads_absorb", w.KUp, at.Heads, q, a.q, compressed, at.Scale, kernels.Consts{
		"ROWS": at.OwnDim(), "DIM": at.HeadDim, "DIM_OUT": core.HeadDim,
	})
	read, heads := Vectors{Buffer: a.latents.read, Stride: Stride(at.Heads * at.KVRank)}, a.of(at.Heads*at.ValueDim)
	r.attend(&core, w.sinks, kv, read, nil)
	r.byHead("heads_values", w.VUp, at.Heads, read, heads, compressed, 1, kernels.Consts{})
	r.reach(AfterHeads)
	r.Product(&Product{w.O, w.oBias, heads, out, e})
}

// byHead records a kernel that multiplies each head's vector by its own rows of m. What m itself is given, in the
// model's own terms, are the latents.
func (r *layers) byHead(kernel string, m *Matrix, heads int, x, y, latents Vectors, scale float32, c kernels.Consts) {
	if r.tapped(m, Inputs{Vectors: latents}) {
		return
	}
	rows, tokens := m.Rows/heads, 1
	if r.n > FewTokens {
		tokens = 4
	}
	for _, part := range m.Parts {
		if r.err != nil {
			return
		}
		here := part.Rows / rows
		at := r.uniform(sizes{
			cols: part.Cols(part.Width), rows: rows, xStride: x.Stride, yStride: y.Stride, width: part.Width,
			first: part.row0 / rows, here: here, Epilogue: Epilogue{Scale: scale},
		})
		r.cost = Cost{part.Bytes(), 2 * uint64(part.Rows) * uint64(part.Width) * uint64(r.n)}
		consts := part.consts()
		maps.Copy(consts, c)
		consts["TOKENS"] = tokens
		across := (rows + 3) / 4
		if kernel == "heads_absorb" {
			across = (part.Cols(part.Width)/4 + 31) / 32
		}
		r.Dispatch(kernel, consts, across, here*((r.n+tokens-1)/tokens),
			part.codes, r.heads(part), x.Buffer, y.Buffer, at, r.Tokens())
	}
}

// latents are the activations of attention with latent vectors.
type latents struct {
	queries    *arena.Buffer // [n][Heads·HeadDim], before k_up
	compressed *arena.Buffer // [n][KVRank], normalized
	read       *arena.Buffer // [n][Heads·KVRank], what attention reads
}

// latentExtents are how large they have to be, in elements.
type latentExtents struct{ queries, compressed, read int }

// grow makes room for attention of passes of n tokens.
func (e *latentExtents) grow(at *model.Attention, n int) {
	if at.KVRank == 0 {
		return
	}
	e.queries = max(e.queries, n*Stride(at.Heads*at.HeadDim))
	e.compressed = max(e.compressed, n*Stride(at.KVRank))
	e.read = max(e.read, n*Stride(at.Heads*at.KVRank))
}

// reserve asks for their memory, if there is such attention.
func (e *latentExtents) reserve(floats func(int) *arena.Buffer) latents {
	if e.read == 0 {
		return latents{}
	}
	return latents{queries: floats(e.queries), compressed: floats(e.compressed), read: floats(e.read)}
}
