package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// division is how attention of few tokens is divided among workgroups: into how many parts the cached positions are cut,
// how many heads that share keys a workgroup takes, its threads, and how many positions each of them reads at once.
type division struct {
	parts, queries, lanes, each int
	joins                       bool // the last workgroup joins the parts: ShufflingKernel alone can
}

// consts returns what kernels are told of it. With limbs, heads are stored as limbs.
func (d division) consts(limbs bool) kernels.Consts {
	return kernels.Consts{"QUERIES": d.queries, "LANES": d.lanes, "EACH": d.each, "SPLITS": d.parts, "LIMBS": flag(limbs)}
}

// workgroups reports how many there are for each token.
func (d division) workgroups(at *model.Attention) int { return at.Heads / d.queries * d.parts }

// Attention of a token that sees at most onePart positions, in few steps, is not cut into parts, because joining them would
// take longer than it saves. There are more threads for more than fewPositions of them, and each reads onePartEach at once.
const onePart, fewPositions, onePartSteps, onePartEach = 512, 128, 8, 4

// divide decides how attention of the pass is divided.
func (r *layers) divide(at *model.Attention, kv *Cache) division {
	use, tuned := r.choose.attention(at, r.n)
	d := division{parts: max(1, min(r.parts, r.g.split.parts(r.n, kv.Window))), queries: use["QUERIES"], lanes: use["LANES"], each: use["EACH"]}
	if use["SPLIT"] == 0 || r.n > FewTokens {
		return d
	}
	if lanes := onePartLanes(at.HeadDim, d.parts*use["SPLIT"], r.dev.Limits()); r.n == 1 && !tuned && r.choose.Split == 0 && lanes > 0 {
		return division{parts: 1, queries: 1, lanes: lanes, each: onePartEach}
	}
	if d.parts == 1 {
		d.queries, d.each = 1, 4 // few positions: more workgroups gain more than keys that are read once
	}
	return d
}

// onePartLanes is how many threads attend to a number of positions for one head of this size: as many as find room for their
// sums on a device with these limits; 0 if they are too few, the positions too many, or heads not read eight numbers at a time.
func onePartLanes(dim, positions int, l gpu.Limits) int {
	if dim%8 > 0 {
		return 0
	}
	lanes, octets := powerOfTwo(2*dim), dim/8
	if positions > fewPositions {
		lanes *= 2
	}
	lanes = max(64, min(lanes, 512, l.MaxInvocations))
	for bytes := func() int { return 4*(lanes/octets)*(4*octets+10+dim) + 24*dim + 64 }; lanes > 64 && lanes > octets && bytes() > l.MaxWorkgroupBytes; {
		lanes /= 2
	}
	if positions > min(onePart, lanes/octets*onePartEach*onePartSteps) {
		return 0
	}
	return lanes
}

// turnsInAttention reports whether queries and keys can be rotated where they are used: if nothing but the rotation becomes of
// them first, and the kernel takes the cache.
func turnsInAttention(at *model.Attention, kv *Cache, norm *Vector) bool {
	return AttendsInParts(at, 1, kv.Bits) && norm == nil && at.QKNorm == model.QKNormNone && at.Clip == 0 && at.TemperatureFloor == 0 &&
		at.ValueWidth() == at.HeadDim && !at.ValueNorm && !at.KeyValues && !at.SharedKV
}

// attendAtOnce records the rotation and the attention of a token in one dispatch. If limbs are wanted, it reports whether it
// makes them as well.
func (r *layers) attendAtOnce(at *model.Attention, sinks *Vector, kv *Cache, d division, out Vectors, limbs bool) bool {
	angles, c := r.rotation(at)
	maps.Copy(c, r.g.coreConsts(at, kv, out))
	delete(c, "Q_STRIDE")
	c["SCALE"] = at.Scale
	limbs = limbs && at.HeadDim%32 == 0
	r.attendBy("attention_token", c, d, at, out, limbs, r.g.rows, r.g.act.qkv.Buffer, angles, kv.K, kv.V, r.read(sinks))
	return limbs
}

// attendBy records attention of single tokens by a kernel that is told of its division, with limbs or not, and joins the parts. The
// kernel binds what it reads before what it makes.
func (r *layers) attendBy(kernel string, c kernels.Consts, d division, at *model.Attention, out Vectors, limbs bool, reads ...*arena.Buffer) {
	delete(c, "KV_BITS")
	next, joined := r.unwritten, d.parts > 1
	if limbs {
		next = out.limbs
	}
	maps.Copy(c, d.consts(limbs && !joined))
	makes := []*arena.Buffer{out.Buffer, next}
	if joined {
		makes = []*arena.Buffer{r.g.act.parts, r.unwritten}
	}
	r.Dispatch(kernel, c, d.workgroups(at), r.n, append(reads, makes...)...)
	if joined {
		r.joinParts(at, d, out, limbs)
	}
}

// joinParts records how parts of attention are joined, as limbs, too, if these are wanted.
func (r *layers) joinParts(at *model.Attention, d division, out Vectors, limbs bool) {
	next := r.unwritten
	if limbs {
		next = out.limbs
	}
	r.Dispatch("attention_join", kernels.Consts{"HEADS": at.Heads, "DIM": at.ValueWidth(), "SPLITS": d.parts, "O_STRIDE": out.Stride, "LIMBS": flag(limbs)},
		at.Heads, r.n, r.g.act.parts, out.Buffer, next)
}

// rotation returns the angles by which heads are turned, and what kernels are told of them.
func (r *layers) rotation(at *model.Attention) (*arena.Buffer, kernels.Consts) {
	if at.RoPE < 0 {
		return r.unread, kernels.Consts{"ROT": 0, "INTERLEAVED": 0}
	}
	rope := &r.g.spec.RoPE[at.RoPE]
	return r.g.angles[at.RoPE], kernels.Consts{"ROT": rope.Dim, "INTERLEAVED": flag(rope.Interleaved)}
}
