package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// ShufflingKernel is attention of single tokens whose threads add up scores by shuffles, and which can rotate queries and keys
// itself.
const ShufflingKernel = "attention_subgroups"

// Attention by ShufflingKernel is divided into about so many workgroups, with parts of shortPart positions at least.
const shuffledGroups, shortPart = 256, 32

// shuffles reports whether ShufflingKernel attends to a cache.
func (c *chooser) shuffles(at *model.Attention, kvBits int) bool {
	return c.Subgroup >= shuffleSpan(at) && AttendsInParts(at, 1, kvBits) && at.ValueWidth() == at.HeadDim
}

// shuffleSpan is how many threads share a position.
func shuffleSpan(at *model.Attention) int { return powerOfTwo(at.HeadDim / 8) }

// divideShuffled decides how attention of the pass by ShufflingKernel is divided. One workgroup for each head reads up to onePart
// positions of a token, if it can have threads for all of them in two steps; more are read by several workgroups for all heads
// that share keys. Each token of a batch has workgroups of its own.
func (r *layers) divideShuffled(at *model.Attention, kv *Cache) division {
	use, _ := r.choose.attention(at, r.n)
	limits, span, size := r.dev.Limits(), shuffleSpan(at), r.choose.Subgroup
	parts := max(1, min(r.parts, r.g.split.parts(r.n, kv.Window)))
	positions := parts * r.g.split[min(r.n, FewTokens)] // that a token sees, about
	d := division{1, use["QUERIES"], max(128, size), min(4, span)}
	switch lanes, most := powerOfTwo(positions*span/8), min(512, limits.MaxInvocations); {
	case r.n == 1 && lanes <= most && positions <= onePart:
		d.queries, d.lanes = 1, max(lanes, d.lanes)
	case r.order == Long:
		d.lanes = most
	case parts == 1 && at.Heads*r.n <= shuffledGroups:
		d.queries, d.lanes = 1, max(min(256, limits.MaxInvocations), d.lanes)
	case parts == 1:
		for d.queries%2 == 0 && 2*at.Heads/d.queries*r.n <= shuffledGroups {
			d.queries /= 2
		}
	default:
		room := int(r.g.act.parts.Size()) / (4 * r.n * at.Heads * (at.HeadDim + 2))
		for 2*d.parts <= min(positions/shortPart, room, maxSplits) && 2*d.parts*r.n*at.Heads/d.queries <= shuffledGroups {
			d.parts *= 2
		}
		if positions/d.parts >= 8*d.lanes/span {
			d.each = min(8, span)
		}
	}
	for d.lanes > size && d.lanes/size*d.queries*(4*at.HeadDim+8)+4*(d.queries+2)*at.HeadDim > limits.MaxWorkgroupBytes {
		d.lanes /= 2
	}
	return d
}

// attendShuffled records attention of a token, or of one of each of several sequences, by ShufflingKernel, with the rotation if
// turn is set. If the matrix that multiplies heads, if any, takes limbs, it reports whether it makes them as well.
func (r *layers) attendShuffled(at *model.Attention, sinks *Vector, kv *Cache, turn bool, out Vectors, by *Matrix) bool {
	d := r.divideShuffled(at, kv)
	angles, c := r.rotation(at)
	maps.Copy(c, r.g.coreConsts(at, kv, out))
	in := r.g.act.q
	if turn {
		in = r.g.act.qkv
	}
	delete(c, "Q_STRIDE")
	delete(c, "VALUE")
	maps.Copy(c, kernels.Consts{"SCALE": at.Scale, "SPAN": shuffleSpan(at), "SIZE": r.choose.Subgroup, "TURN": flag(turn), "X_STRIDE": in.Stride})
	limbs := r.takesLimbs(by) && at.HeadDim%32 == 0 && r.choose.Subgroup >= 8
	if part := r.takesChunks(by, d, at); part != nil {
		r.attendInChunks(part, c, d, at, out, r.g.rows, in.Buffer, angles, kv.K, kv.V, r.read(sinks))
		return false
	}
	r.attendBy(ShufflingKernel, c, d, at, out, limbs, r.g.rows, in.Buffer, angles, kv.K, kv.V, r.read(sinks))
	return limbs
}

// takesChunks returns the only part of the matrix that multiplies heads if it is multiplied by Int8Kernel, and if workgroups of
// ShufflingKernel make whole chunks of its vectors; else nil.
func (r *layers) takesChunks(m *Matrix, d division, at *model.Attention) *Part {
	if m == nil || len(m.Parts) > 1 || d.parts > 1 {
		return nil
	}
	p := m.Parts[0]
	s := Shape{p.Packing, p.Rows, p.Width, r.n}
	if !r.inInt8(s) || !p.inOrder || p.Cols(p.Width) != at.Heads*at.HeadDim || d.queries*at.HeadDim%int8Chunk(s) != 0 || int8Chunk(s) > 4*d.lanes {
		return nil
	}
	return p
}

// attendInChunks records attention by ShufflingKernel, which stores heads as Int8Kernel multiplies them by a part.
func (r *layers) attendInChunks(p *Part, c kernels.Consts, d division, at *model.Attention, out Vectors, reads ...*arena.Buffer) {
	delete(c, "KV_BITS")
	s := Shape{p.Packing, p.Rows, p.Width, r.n}
	limbs, _ := int8Bytes(s)
	maps.Copy(c, kernels.Consts{
		"QUERIES": d.queries, "LANES": d.lanes, "EACH": d.each, "LIMBS": 2, "BITS": p.Bits, "UNIT_COLS": int8Chunk(s), "UNITS": limbs / 4,
		"PANELS": (r.n + panel - 1) / panel, "BOTH": flag(r.n <= bothInt8),
	})
	r.Dispatch(ShufflingKernel, c, at.Heads/d.queries, r.n, append(reads, out.Buffer, r.halves.both)...)
	if r.recording() {
		r.splitOf = splitInput{from: out.Buffer, packing: p.Packing, inOrder: p.inOrder, kernel: Int8Kernel}
	}
}
