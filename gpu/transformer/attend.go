package transformer

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// bodyKey names the programs of a pass.
type bodyKey struct{ n, splits int }

// A pass of few tokens cuts the cached positions so that a workgroup of attention reads about splitLength of
// them, into maxSplits parts at most: a few workgroups of long loops would leave a GPU idle. A CPU is busy with
// the heads alone.
const splitLength, maxSplits = 128, 64

// splits reports into how many parts, a power of two, a pass of n tokens cuts its cached positions.
func (t *Transformer) splits(n, context int) int {
	length := t.opts.splitLength
	if length == 0 && t.dev != nil && t.dev.Info().Type != "cpu" {
		length = splitLength
	}
	if n > matvecTokens || length == 0 {
		return 1
	}
	return min(powerOfTwo((context+length-1)/length), maxSplits)
}

// attend records attention over the cache. c has what all of its kernels are told.
func (r *recorder) attend(at *model.Attention, kv *cache, c kernels.Consts, out vectors) {
	t, a := r.t, &r.t.act
	if r.n <= matvecTokens && t.opts.KVBits == 16 && at.HeadDim%8 == 0 {
		r.attendInParts(at, kv, c, out)
		return
	}
	queries := 1 // of a workgroup; several are of one sequence
	if r.n > matvecTokens {
		queries = max(1, min(8, 2048/at.HeadDim))
	}
	c["QUERIES"] = queries
	r.dispatch("attention", c, at.Heads, (r.n+queries-1)/queries,
		whole(t.rows), whole(a.q), whole(kv.k), whole(kv.v), whole(out.buffer), t.stepAt(0))
}

// attendInParts records attention of few tokens, each workgroup over a part of the cached positions.
func (r *recorder) attendInParts(at *model.Attention, kv *cache, c kernels.Consts, out vectors) {
	t, a := r.t, &r.t.act
	group, queries := at.Heads/at.KVHeads, 1 // heads that share keys; those of a workgroup
	for q := 2; q <= 4 && q*at.HeadDim <= 1024; q++ {
		if group%q == 0 {
			queries = q
		}
	}
	splits := max(1, min(r.splits, t.splits(r.n, kv.window)))
	if splits == 1 && t.dev.Info().Type != "cpu" {
		queries = 1 // few positions: more workgroups gain more than keys that are read once
	}
	delete(c, "KV_BITS")
	maps.Copy(c, kernels.Consts{"QUERIES": queries, "SPLITS": splits})
	to := out.buffer
	if splits > 1 {
		to = a.parts
	}
	r.dispatch("attention_split", c, at.Heads/queries*splits, r.n, whole(t.rows), whole(a.q), whole(kv.k), whole(kv.v), whole(to))
	if splits > 1 {
		r.dispatch("attention_join", kernels.Consts{"HEADS": at.Heads, "DIM": at.HeadDim, "SPLITS": splits, "O_STRIDE": out.stride},
			at.Heads, r.n, whole(to), whole(out.buffer))
	}
}
