package transformer

import (
	"fmt"
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
	if n > matvecTokens || t.splitLengths[n] == 0 {
		return 1
	}
	return min(powerOfTwo((context+t.splitLengths[n]-1)/t.splitLengths[n]), maxSplits)
}

// setSplits decides how many positions a part of each pass is to have: as suits its first layer.
func (t *Transformer) setSplits() {
	for n := 1; n <= matvecTokens && t.dev != nil && len(t.spec.Layers) > 0; n++ {
		t.splitLengths[n] = t.parts(&t.spec.Layer(0).Attention, n)["SPLIT"]
		if t.opts.splitLength > 0 {
			t.splitLengths[n] = t.opts.splitLength
		}
	}
}

// parts returns how attention of n tokens is divided among workgroups: positions of a part (SPLIT, 0: all), heads
// of a workgroup that share keys (QUERIES), its threads, and how many positions each of these reads at once (EACH).
func (t *Transformer) parts(at *model.Attention, n int) Tuned {
	if use, ok := t.opts.Tuning[TuningKey{"attention_split", attentionClass(at, n)}]; ok {
		return use
	}
	use := Tuned{"QUERIES": 1, "LANES": 128, "EACH": 2, "SPLIT": splitLength}
	for q := 2; q <= 4 && q*at.HeadDim <= 1024; q++ {
		if at.Heads/at.KVHeads%q == 0 {
			use["QUERIES"] = q
		}
	}
	if t.dev.OnCPU() {
		use["SPLIT"] = 0
	}
	return use
}

// attentionClass names the attention that one choice is made for.
func attentionClass(at *model.Attention, n int) string {
	return fmt.Sprintf("%d heads of %d on %d, %d tokens", at.Heads, at.HeadDim, at.KVHeads, powerOfTwo(n))
}

// attendsInParts reports whether attention of n tokens can be.
func (t *Transformer) attendsInParts(at *model.Attention, n int) bool {
	return n <= matvecTokens && t.opts.KVBits == 16 && at.HeadDim%8 == 0
}

// attend records attention over the cache.
func (r *recorder) attend(at *model.Attention, kv *cache, out vectors) {
	t, a := r.t, &r.t.act
	c := t.headConsts(at, kv)
	maps.Copy(c, kernels.Consts{"O_STRIDE": out.stride, "WINDOW": kv.window, "CHUNK": at.Chunk, "SOFTCAP": at.Softcap})
	if t.attendsInParts(at, r.n) {
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
	use := t.parts(at, r.n)
	queries, each, splits := use["QUERIES"], use["EACH"], max(1, min(r.splits, t.splits(r.n, kv.window)))
	if splits == 1 && use["SPLIT"] > 0 {
		queries, each = 1, 4 // few positions: more workgroups gain more than keys that are read once
	}
	delete(c, "KV_BITS")
	maps.Copy(c, kernels.Consts{"QUERIES": queries, "LANES": use["LANES"], "EACH": each, "SPLITS": splits})
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
