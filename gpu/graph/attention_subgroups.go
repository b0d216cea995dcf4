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

// Attention by ShufflingKernel is divided into shuffledGroups workgroups at most, with parts of shortPart positions at least. That of a
// token that sees no more than joinedPositions has half as many, the last of which joins the parts; of more positions there are
// more parts, and a dispatch of its own joins them faster.
const shuffledGroups, shortPart, joinedPositions, aboutLanes = 264, 32, 1024, 256

// shuffles reports whether ShufflingKernel attends to a cache.
func (c *chooser) shuffles(at *model.Attention, kvBits int) bool {
	return c.Subgroup >= shuffleSpan(at) && AttendsInParts(at, 1, kvBits) && at.ValueWidth() == at.HeadDim
}

// shuffleSpan is how many threads share a position.
func shuffleSpan(at *model.Attention) int { return powerOfTwo(at.HeadDim / 8) }

// divideShuffled decides how attention of the pass by ShufflingKernel is divided. One workgroup for each head reads up to fewPositions
// of a token, or what aboutLanes threads read in two steps; more are read by several workgroups, for all heads that share keys if there
// are very many. Each token of a batch has workgroups of its own.
func (r *layers) divideShuffled(at *model.Attention, kv *Cache) division {
	use, _ := r.choose.attention(at, r.n)
	limits, span, size := r.dev.Limits(), shuffleSpan(at), r.choose.Subgroup
	parts := max(1, min(r.parts, r.g.split.parts(r.n, kv.Window)))
	positions := parts * r.g.split[min(r.n, FewTokens)] // that a token sees, about
	few, short, single := fewPositions, shortPart, aboutLanes
	if s := r.choose.Split; s > 0 {
		few, short, single = s, s, 0
	}
	d := division{parts: 1, queries: use["QUERIES"], lanes: max(128, size), each: min(4, span)}
	switch lanes, most := powerOfTwo(positions*span/8), min(512, limits.MaxInvocations); {
	case r.n == 1 && lanes <= most && (positions <= few || lanes <= single):
		if at.HeadDim <= 64 {
			lanes = min(2*lanes, most) // for one step to do; larger heads lose more by it than they gain
		}
		d.queries, d.lanes = 1, max(lanes, d.lanes)
	case r.n == 1 && parts > 1 && positions <= joinedPositions:
		r.divideJoined(at, positions, short, &d)
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
		d.parts = max(1, min(positions/short, room, maxSplits, shuffledGroups*d.queries/(r.n*at.Heads)))
		d.widen(positions, span)
	}
	d.fit(at.HeadDim, size, limits.MaxWorkgroupBytes)
	return d
}

// fit leaves a workgroup fewer threads, or else fewer heads of this size, until it needs no more memory than there is.
func (d *division) fit(dim, size, most int) {
	for d.bytes(dim, size) > most {
		switch {
		case d.lanes > size:
			d.lanes /= 2
		case d.queries%2 == 0:
			d.queries /= 2
		case d.queries > 1:
			d.queries = 1
		default:
			return
		}
	}
}

// bytes is how much memory a workgroup of ShufflingKernel takes at most: what it has turned, the sums of each team, and those of the
// parts that it joins. 80 bytes are for what variables are rounded up by.
func (d *division) bytes(dim, size int) int {
	joined := 1
	if d.joins {
		joined = d.parts
	}
	return d.turnedBytes(dim) + d.lanes/size*(d.queries*(4*dim+8)+4) + 16*joined*d.queries + 80
}

// turnedBytes are those of what a workgroup turns.
func (d *division) turnedBytes(dim int) int { return 4 * (d.queries + 2) * dim }

// divideJoined divides a token's attention to a number of positions among workgroups, the last of which joins the parts. A part has short
// positions at least.
func (r *layers) divideJoined(at *model.Attention, positions, short int, d *division) {
	d.joins, d.queries = true, 1
	if positions > onePart && at.Heads/at.KVHeads%2 == 0 {
		d.queries = 2
	}
	d.parts = max(2, min(joinedParts(at)*d.queries/2, positions/short))
	span := shuffleSpan(at)
	d.lanes = max(d.lanes, min(powerOfTwo(positions/d.parts*span/4), aboutLanes, r.dev.Limits().MaxInvocations))
	d.widen(positions, span)
}

// widen has a thread read eight positions at once if a part has more than steps of four.
func (d *division) widen(positions, span int) {
	if positions/d.parts > 4*d.lanes/span {
		d.each = min(8, span)
	}
}

// joinedParts is how many parts of two heads the last workgroup of a token joins at most.
func joinedParts(at *model.Attention) int { return max(2, min(shuffledGroups/at.Heads, 16)) }

// joinedWords is how many words such parts take, as joined.wgsl describes them.
func joinedWords(at *model.Attention) int { return at.Heads * (joinedParts(at)*(at.HeadDim+2) + 1) }

// attendShuffled records attention of a token, or of one of each of several sequences, by ShufflingKernel, with the rotation if
// turn is set. If the matrix that multiplies heads, if any, takes limbs, these are made instead of floats if that is possible: it
// reports whether they are.
func (r *layers) attendShuffled(at *model.Attention, sinks *Vector, kv *Cache, turn bool, out Vectors, by *Matrix) bool {
	d := r.divideShuffled(at, kv)
	limbs := r.takesLimbs(by) && at.HeadDim%32 == 0 && r.choose.Subgroup >= 8
	angles, c := r.rotation(at)
	maps.Copy(c, r.g.coreConsts(at, kv, out))
	in := r.g.act.q
	if turn {
		in = r.g.act.qkv
	}
	for _, name := range []string{"Q_STRIDE", "VALUE", "KV_BITS"} {
		delete(c, name)
	}
	maps.Copy(c, kernels.Consts{"SCALE": at.Scale, "SPAN": shuffleSpan(at), "SIZE": r.choose.Subgroup, "TURN": flag(turn), "X_STRIDE": in.Stride, "JOIN": flag(d.joins)})
	from, bias := in.Buffer, r.unread
	if sliced && turn {
		if o := r.owedTo(at, d); o != nil {
			from, bias = r.take(o, c)
			c["X_STRIDE"], c["PANELS"] = o.part.Rows, (r.n+panel-1)/panel
		}
	}
	inputs := []*arena.Buffer{r.g.rows, from, bias, angles, kv.K, kv.V, r.read(sinks)}
	if part := r.takesChunks(by, d, at); part != nil {
		r.attendInChunks(part, c, d, at, out, inputs)
		return false
	}
	apart := d.parts > 1 && !d.joins
	maps.Copy(c, d.consts(limbs && !apart))
	parts, made := r.unwritten, out.Buffer
	if limbs {
		made = out.limbs
	}
	switch {
	case apart:
		made = r.g.act.parts
	case d.joins:
		parts = r.g.act.joined
	}
	r.Dispatch(ShufflingKernel, c, d.workgroups(at), r.n, append(inputs, parts, made)...)
	if apart {
		r.joinParts(at, d, out, limbs)
	}
	return limbs
}

// owedTo returns the addends of queries, keys and values, if nothing else reads these and a workgroup of ShufflingKernel has the memory to
// add them up; else nil.
func (r *layers) owedTo(at *model.Attention, d division) *addends {
	o := r.owes(r.g.act.qkv, (at.Heads+2*at.KVHeads)*at.HeadDim, r.Tokens())
	if o == nil || at.Gated || o.product.Add || o.product.Scale != 1 || d.bytes(at.HeadDim, r.choose.Subgroup)+d.turnedBytes(at.HeadDim) > r.dev.Limits().MaxWorkgroupBytes {
		return nil
	}
	return o
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

// attendInChunks records attention by ShufflingKernel, which stores heads as Int8Kernel multiplies them by a part, and not as floats.
func (r *layers) attendInChunks(p *Part, c kernels.Consts, d division, at *model.Attention, out Vectors, inputs []*arena.Buffer) {
	s := Shape{p.Packing, p.Rows, p.Width, r.n}
	limbs, _ := int8Bytes(s)
	maps.Copy(c, d.consts(false))
	maps.Copy(c, kernels.Consts{
		"LIMBS": 2, "BITS": p.Bits, "UNIT_COLS": int8Chunk(s), "UNITS": limbs / 4, "PANELS": (r.n + panel - 1) / panel, "BOTH": flag(r.n <= bothInt8),
	})
	r.Dispatch(ShufflingKernel, c, d.workgroups(at), r.n, append(inputs, r.unwritten, r.halves.both)...)
	if r.recording() {
		r.splitOf = splitInput{from: out.Buffer, packing: p.Packing, inOrder: p.inOrder, kernel: Int8Kernel}
	}
}
