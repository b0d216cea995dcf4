package graph

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// Options say what a Graph is made for.
type Options struct {
	MaxSeqLen int // positions that a token may see
	Chunk     int // how many tokens a pass has at most
	MaxBatch  int // sequences that the caches hold
	KVBits    int // bits of a cached value: 16 or 32
	Choice    Choice
}

// Graph records the passes of a model. Its weights may be shared with others; activations and caches are
// its own.
type Graph struct {
	*Kit
	spec   *model.Spec
	w      *Weights
	opts   Options
	act    activations
	caches []Cache
	states []State // of each layer
	angles angles
	rows   *arena.Buffer // [Chunk] (token, position, sequence, 0) u32
	split  splitting
	atOnce int    // rows that the head takes
	places int    // see Places
	raw    []byte // of rows, reused

	duplicating *arena.Buffer // see SetDuplicate
}

// New plans the graph of a model for bindings of at most limit bytes: its buffers are reserved in a. Begin
// makes it ready once they are allocated.
func New(dev *gpu.Device, w *Weights, a *arena.Arena, limit uint64, o Options) (*Graph, error) {
	s := w.spec
	if err := supported(s); err != nil {
		return nil, err
	}
	g := &Graph{Kit: NewKit(dev, a, o.Choice), spec: s, w: w, opts: o}
	g.split = g.choose.splitting(s)
	g.rows = a.Reserve(PurposeActivations, 16*g.tokens(), gpu.Storage)
	var err error
	if g.atOnce, err = headRows(s, limit, o); err != nil {
		return nil, err
	}
	g.act = reserveActivations(s, a, g.tokens(), g.atOnce, o.Choice.Limbs(), extentsOf(s, g.tokens(), &g.split, o.MaxSeqLen))
	if !s.Recurrent() {
		rows := batchRows(o.MaxBatch)
		g.act.logits[1] = Vectors{Buffer: a.Reserve(PurposeActivations, 4*max(rows*s.Vocab, mostSteps*logitStride(s.Vocab)), gpu.Storage), Stride: s.Vocab}
	}
	g.countPlaces()
	g.reserveHalves(g.tokens())
	if g.caches, err = caches(s, a, limit, o); err != nil {
		return nil, err
	}
	if g.states, err = states(s, a, limit, o.MaxBatch); err != nil {
		return nil, err
	}
	g.angles = reserveAngles(s, a)
	g.duplicating = a.Reserve(PurposeActivations, 16, gpu.Uniform)
	return g, nil
}

// supported says what of a Spec the kernels cannot do.
func supported(s *model.Spec) error {
	for i := range s.Kinds {
		a := &s.Kinds[i].Attention
		if m := &s.Kinds[i].Recurrence; m.KeyDim > 512 {
			return fmt.Errorf("memories of keys of %d elements: the runtime takes up to 512", m.KeyDim)
		}
		if d := a.HeadDim; d%2 != 0 || d > 512 {
			return fmt.Errorf("heads of %d elements: the runtime takes even sizes up to 512", d)
		}
		if core := a.Core(); a.KVRank > 0 && (core.HeadDim > 1024 || a.KVRank%2 != 0 || a.SharedDim%2 != 0) {
			return fmt.Errorf("a latent vector of %d elements and %d that keys share: the runtime takes even sizes, up to 1024 together", a.KVRank, a.SharedDim)
		}
	}
	return nil
}

// Begin writes the tables that never change, once the buffers are allocated.
func (g *Graph) Begin() error { return g.angles.fill(g.spec, g.opts.MaxSeqLen) }

// With returns a Graph with another choice of kernels, which shares everything else with g.
func (g *Graph) With(c Choice) *Graph {
	other := *g
	other.Kit, other.opts.Choice, other.raw = g.Kit.With(c), c, nil
	other.split = other.choose.splitting(g.spec)
	return &other
}

// tokens reports for how many tokens there are activations: a chunk, up to whole tiles of matmul.
func (g *Graph) tokens() int { return RoundUp(max(g.opts.Chunk, g.opts.MaxBatch), 64) }

// Options returns what the Graph was made for.
func (g *Graph) Options() Options { return g.opts }

// Weights returns the weights that the Graph reads.
func (g *Graph) Weights() *Weights { return g.w }

// State returns the state of a layer's recurrence.
func (g *Graph) State(layer int) *State { return &g.states[layer] }

// Cache returns the KV cache of a layer.
func (g *Graph) Cache(layer int) *Cache { return &g.caches[layer] }

// Layers reports how many layers there are.
func (g *Graph) Layers() int { return len(g.caches) }

// Residual is the residual stream of the tokens of a pass.
func (g *Graph) Residual() Vectors { return g.act.x }

// Heads are the outputs of the heads of a layer's attention or recurrence.
func (g *Graph) Heads(layer int) Vectors {
	return g.act.of(g.spec.Layer(layer).Mixed())
}

// Queries are the rotated queries of a layer's attention.
func (g *Graph) Queries() Vectors { return g.act.q }

// Final is the head's input, after FinalNorm ran.
func (g *Graph) Final() Vectors { return g.act.final }

// Logits are the results of the head, which stores them in one of the places.
func (g *Graph) Logits(place int) Vectors {
	v := g.act.logits[place%2]
	if place > 1 {
		v.Buffer = v.Buffer.Part(uint64(4*(place/2)*logitStride(v.Stride)), uint64(4*v.Stride))
	}
	return v
}

// Places reports in how many places the head can store logits: one if there are recurrences, else an even number, so that steps
// may run while the logits of the last ones are still needed. All but the first two are for one token: of a step that comes
// after one whose logits are in the place two before.
func (g *Graph) Places() int { return g.places }

// countPlaces finds out how many that are.
func (g *Graph) countPlaces() {
	g.places = 1
	if g.act.logits[1].Buffer != nil {
		vocab := g.spec.Vocab
		g.places = 2 * min(mostSteps, (int(g.act.logits[0].Buffer.Size())/4-vocab)/logitStride(vocab)+1)
	}
}

// mostSteps is of how many steps that follow each other the logits are kept.
const mostSteps = 4

// logitStride is how far the logits of such steps are apart: a binding may begin there.
func logitStride(vocab int) int { return RoundUp(vocab, gpu.Align/4) }

// HeadRows reports how many tokens the head takes at once.
func (g *Graph) HeadRows() int { return g.atOnce }

// Parts reports into how many parts attention of n tokens splits a context of the given length. Passes with the same
// number of parts are the same.
func (g *Graph) Parts(n, context int) int { return g.split.parts(n, context) }

// Row is what the kernels know of a token.
type Row struct {
	Token    int32
	Position int
	Sequence int
}

// Feed tells the kernels which tokens the next pass is over.
func (g *Graph) Feed(rows []Row) error {
	g.raw = g.raw[:0]
	for _, r := range rows {
		g.raw = appendWords(g.raw, int(r.Token), r.Position, r.Sequence, 0)
	}
	if err := g.rows.Write(0, g.raw); err != nil {
		return err
	}
	return g.SetTokens(len(rows))
}

// Rows is where the kernels find the tokens of a pass, as Feed has written them.
func (g *Graph) Rows() *arena.Buffer { return g.rows }

// recorder begins a pass of n tokens.
func (g *Graph) recorder(name string, n int) *layers {
	r := g.Recorder(name, n)
	r.SetNorm(g.spec.Norm.Eps, g.act.next)
	return &layers{Recorder: r, g: g}
}

// Body is what a pass does before the head: the embedding, then each layer.
type Body struct {
	Passes []*Pass
	// Squares is how many sums of squares per token the last layer has prepared for the final norm, or InLimbs if it has
	// prepared limbs; 0: the head computes the norm itself.
	Squares int
}

// Order says to which sequences the tokens of a pass belong.
type Order uint8

// The orders of tokens.
const (
	InOrder Order = iota // to one sequence, at consecutive positions
	Apart                // to several, in any order (with states, to as many as there are tokens)
	Single               // each to a sequence of its own
	Long                 // the same, and some of the sequences are long
)

// Order returns the order for which to record a pass of n tokens in this one, at a context of the given length. A pass of few
// tokens is the same for any order, unless it makes a difference that each belongs to another sequence.
func (g *Graph) Order(n, context int, o Order) Order {
	switch shuffles := g.choose.Subgroup > 0; {
	case n == 1 || n <= FewTokens && (o == Apart || !shuffles):
		return InOrder
	case o == Single && !shuffles:
		return Apart
	case o == Single && n > FewTokens && context > onePart:
		return Long
	}
	return o
}

// Body records a pass of n tokens in this order, whose attention splits the cached positions into the given number of parts. Few
// tokens may come in any order but Single without being recorded for it. The residual stream is whole behind the last pass; behind
// the others, the next one may still have to add to it what the layer made.
func (g *Graph) Body(n, parts int, order Order) (Body, error) { return g.body(n, parts, order, false) }

// Traced is Body, but the residual stream is whole behind each pass.
func (g *Graph) Traced(n, parts int, order Order) (Body, error) { return g.body(n, parts, order, true) }

func (g *Graph) body(n, parts int, order Order, whole bool) (Body, error) {
	r := g.recorder("embedding", n)
	r.parts, r.order = parts, order
	var b Body
	take := func() {
		if whole {
			r.settle()
		}
		b.Passes = append(b.Passes, r.pass)
	}
	r.embed()
	take()
	for i := range g.spec.Layers {
		r.pass = &Pass{Name: fmt.Sprintf("layer %d", i)}
		r.layer(i)
		take()
	}
	r.settle()
	b.Squares = r.ahead.squares
	return b, r.err
}

// Head records the logits of n tokens. squares is how many sums of squares the body has prepared for their final norm;
// if it is 0, the head computes the norm itself, or what splits vectors for it does. Of the places for logits, place 1 has room for
// one token of each sequence, and those after it for one token.
func (g *Graph) Head(n, squares, place int) (*Pass, error) {
	r := g.recorder("head", n)
	in := g.act.final
	switch {
	case squares != 0 && g.w.finalBias == nil:
		in = r.prepared(squares)
	case g.spec.Norm.Kind == model.RMSNorm && g.w.finalBias == nil && r.takesInt8(g.w.Head):
		in = g.act.x
		in.norm = g.w.final
	default:
		r.finalNorm()
	}
	r.product(&Product{g.w.Head, g.w.headBias, in, g.Logits(place), Epilogue{Scale: g.spec.LogitScale, Softcap: g.spec.LogitSoftcap}}, g.headTokens())
	return r.Pass()
}

// FinalNorm records the final norm of n tokens.
func (g *Graph) FinalNorm(n int) (*Pass, error) {
	r := g.recorder("final norm", n)
	r.finalNorm()
	return r.Pass()
}

// Layer records a layer for n tokens, beginning at a place whose vectors the caller provides. It ends at the matrix
// that the tap asks for; without a tap, at the end of the layer.
func (g *Graph) Layer(i, n int, from Place, tap Tap) (*Pass, error) {
	r := g.recorder(fmt.Sprintf("layer %d", i), n)
	r.from, r.tap = from, tap
	r.layer(i)
	return r.Pass()
}
