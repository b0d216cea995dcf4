package graph

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// activations are the vectors of a chunk of tokens on their way through a layer, [tokens][stride]
// float32; strides are multiples of 256 and the elements past the width stay zero.
type activations struct {
	x      Vectors // the residual stream
	normed Vectors // attention's input
	mlpIn  Vectors // the MLP's input
	branch Vectors // what a post-norm reads
	next   Vectors // [FewTokens]: the input of the product after a norm, as matvec prepares it
	qkv, q Vectors // projections; queries, rotated, or what a convolution makes

	// inner are the outputs of attention's heads and of the first halves of MLPs, by width: what
	// is between width and stride was never written
	inner  map[int]*arena.Buffer
	limbs  map[int]*arena.Buffer // the same as limbs, [limbsTokens], if there are kernels that read them
	gateUp *arena.Buffer         // both halves, before the function between them
	parts  *arena.Buffer         // of attention that is cut, as attention_split describes them
	joined *arena.Buffer         // the same, as joined.wgsl does: zeros between dispatches

	latents latents
	given   given
	streams streams

	routed routed
	final  Vectors    // the head's input
	logits [2]Vectors // [headRows][Vocab] and, where a step may run ahead of its tokens, [batchRows][Vocab]: see Head
}

// routed are the activations of a mixture of experts.
type routed struct {
	router *arena.Buffer // router logits
	chosen *arena.Buffer // experts and their weights, as route.wgsl describes them
	order  *arena.Buffer // the choices by expert, as group.wgsl describes them
	out    Vectors       // outputs of the chosen experts
	narrow Vectors       // what these are given, where it is not what the router is given
	sum    Vectors       // … and the sum of what they make
}

// of returns the vectors of attention's or an MLP's inner width.
func (a *activations) of(width int) Vectors {
	return Vectors{Buffer: a.inner[width], Stride: Stride(width), limbs: a.limbs[width]}
}

// logitBytes bounds what the logits of several tokens may take.
const logitBytes = 32 << 20

// headRows reports how many tokens the head takes at once.
func headRows(s *model.Spec, limit uint64, o Options) (int, error) {
	most := int(limit / uint64(4*s.Vocab))
	if most == 0 {
		return 0, fmt.Errorf("%w: a vocabulary of %d tokens: its logits are larger than this device's binding limit", ErrTooLarge, s.Vocab)
	}
	step := batchRows(o.MaxBatch)
	rows := max(step, min(logitBytes/(4*s.Vocab), max(o.Chunk, 1), 64))
	if most < step {
		return 0, fmt.Errorf("%w: a batch of %d sequences: its logits are larger than this device's binding limit", ErrTooLarge, o.MaxBatch)
	}
	if rows = min(rows, most); rows >= FewTokens {
		return rows / FewTokens * FewTokens, nil
	}
	return powerOfTwo(rows+1) / 2, nil
}

// batchRows reports how many rows of logits a step of n sequences stores: as many as kernels multiply at a time.
func batchRows(n int) int {
	if step := powerOfTwo(n); step <= FewTokens {
		return step
	}
	return RoundUp(n, FewTokens)
}

// extents are how large activations have to be for every layer of a model.
type extents struct {
	qkv, q  int         // strides
	gateUp  int         // elements, of all tokens
	inner   map[int]int // vectors by width
	parts   int         // elements
	joined  int         // words
	latents latentExtents
	experts int // of a layer, or rows of its router
	narrow  int // elements of what experts are given, where it is not what the router is given
	choices int // of all tokens
	order   int // elements
}

// extentsOf looks at all kinds of layers, for passes of n tokens.
func extentsOf(s *model.Spec, n int, split *splitting, context int) extents {
	e := extents{inner: map[int]int{}}
	for i := range s.Kinds {
		at, m := &s.Kinds[i].Attention, &s.Kinds[i].MLP
		core := at.Core()
		e.qkv = max(e.qkv, Stride(projected(&s.Kinds[i])))
		e.q = max(e.q, Stride(core.Heads*core.HeadDim), Stride(s.Kinds[i].Recurrence.Channels()))
		for b := 1; b <= FewTokens; b++ {
			e.parts = max(e.parts, b*split.parts(b, context)*core.Heads*(core.ValueWidth()+2))
		}
		if core.Heads > 0 {
			e.joined = max(e.joined, joinedWords(&core))
		}
		e.latents.grow(at, n)
		k := max(1, m.TopK)
		e.gateUp = max(e.gateUp, n*k*Stride(2*m.Intermediate), n*Stride(2*m.Shared))
		for _, width := range []int{s.Kinds[i].Mixed(), s.Kinds[i].Recurrence.Width(), at.QRank, m.Intermediate, m.Shared, s.LayerInputs.Width, s.Kinds[i].Shortcut} {
			if width > 0 {
				e.inner[width] = max(e.inner[width], n*k)
			}
		}
		if m.Experts > 0 {
			e.experts, e.choices = max(e.experts, m.Experts+flag(m.SharedGated)), max(e.choices, n*k)
			e.narrow = max(e.narrow, m.ExpertWidth)
			e.order = max(e.order, n*k+4*(n*k/64+m.Experts))
		}
	}
	e.gateUp = max(e.gateUp, n*Stride(len(s.Layers)*s.LayerInputs.Width))
	return e
}

// projected reports how many elements are made of the residual stream for attention or a recurrence.
func projected(y *model.Layer) int {
	at := &y.Attention
	switch {
	case !y.Attends():
		return y.Recurrence.Projected()
	case at.KVRank == 0:
		return max(y.Recurrence.Projected(), (at.Heads*(1+flag(at.Gated))+2*at.KVHeads)*at.HeadDim)
	case at.QRank == 0:
		return at.Heads*at.HeadDim + at.KVRank + at.SharedDim
	}
	return at.QRank + at.KVRank + at.SharedDim
}

// reserveActivations asks for the activations of passes of n tokens, of which the head takes rows at once; with limbs for
// those that products read, if so wanted.
func reserveActivations(s *model.Spec, a *arena.Arena, n, rows int, limbs bool, e extents) activations {
	floats := func(count int) *arena.Buffer { return a.Reserve(PurposeActivations, 4*count, gpu.Storage) }
	vectors := func(tokens, stride int) Vectors { return Vectors{Buffer: floats(tokens * stride), Stride: stride} }
	hidden := Stride(s.Hidden)
	act := activations{
		x: vectors(n, hidden), normed: vectors(n, hidden), mlpIn: vectors(n, hidden), branch: vectors(n, hidden),
		next: vectors(FewTokens, hidden+Stride(s.Hidden/2+4)), // a workgroup of matvec makes two rows at least
		qkv:  vectors(n, e.qkv), q: vectors(n, e.q), latents: e.latents.reserve(floats), given: reserveGiven(s, n, vectors), streams: reserveStreams(s, n, vectors),
		inner: map[int]*arena.Buffer{}, limbs: map[int]*arena.Buffer{}, gateUp: floats(max(e.gateUp, 64)), parts: floats(max(e.parts, 64)),
		joined: floats(max(e.joined, 64)),
		final:  vectors(64, hidden), logits: [2]Vectors{vectors(rows, s.Vocab)},
	}
	if e.experts > 0 {
		act.routed = routed{
			router: floats(n * Stride(e.experts)), chosen: floats(2 * e.choices), order: floats(e.order),
			out: vectors(e.choices, max(hidden, Stride(e.narrow))),
		}
		if e.narrow > 0 {
			act.routed.narrow, act.routed.sum = vectors(n, Stride(e.narrow)), vectors(n, Stride(e.narrow))
		}
	}
	for width, count := range e.inner {
		act.inner[width] = floats(count * Stride(width))
		if limbs {
			act.limbs[width] = ReserveLimbs(a, PurposeActivations, width)
		}
	}
	if limbs {
		for _, v := range []*Vectors{&act.x, &act.normed, &act.mlpIn, &act.next, &act.final} {
			v.limbs = ReserveLimbs(a, PurposeActivations, s.Hidden)
		}
	}
	return act
}
