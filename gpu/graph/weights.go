package graph

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// Vector is a tensor kept as float32: a norm or a bias, or several of them one after the other.
type Vector struct {
	tensors []int
	plusOne bool // the weights are stored less one
	paired  bool // elements are by turns those of two tensors
	before  int  // zeros in front of them
	behind  int  // zeros behind them
	n       int
	buffer  *arena.Buffer
}

// NewVector returns a Vector of n elements in memory that the caller fills.
func NewVector(b *arena.Buffer, n int) *Vector { return &Vector{n: n, buffer: b} }

// Weights are a model's tensors, laid out for a device. Several Graphs may share them.
type Weights struct {
	dev   *gpu.Device // nil: they are only planned
	arena *arena.Arena
	spec  *model.Spec

	Layers           []Layer
	Head             *Matrix
	embed, positions *Matrix
	layerEmbed       *Matrix // of what layers are given of each token
	layerProject     *Matrix
	layerNorm        *Vector
	streamIn         []*Matrix // of each residual stream beside the first
	streamOut        []*Matrix
	embedNorm        *Vector
	embedNormBias    *Vector
	final, finalBias *Vector
	headBias         *Vector

	matrices []*Matrix // all of them, in order of use
	vectors  []*Vector
	reloads  atomic.Int64
}

// Layer has the weights of one layer. What a layer does not have is nil.
type Layer struct {
	QKV, O       *Matrix // of a latent vector, QKV is what makes it, and queries or what makes these; gates and what a recurrence needs come behind
	QUp          *Matrix
	KUp, VUp     *Matrix
	GateUp, Down *Matrix // of the MLP, or of the expert that all tokens share
	Router       *Matrix // and, behind it, the row that gates the expert that all tokens share
	ExpertGate   *Matrix // of all experts, one below the other
	ExpertUp     *Matrix
	ExpertDown   *Matrix
	StateQKV     *Matrix // of a recurrence beside attention, in the order of QKV
	StateO       *Matrix
	ExpertIn     *Matrix // makes what experts are given, if that is not what the router is given
	ExpertOut    *Matrix // … and multiplies the sum of what they make
	InputGate    *Matrix // of what the layer is given of each token
	InputOut     *Matrix
	ShortcutIn   *Matrix
	ShortcutOut  *Matrix
	StreamRouter *Matrix

	attnNorm, attnNormBias, postAttnNorm *Vector
	mlpNorm, mlpNormBias, postMLPNorm    *Vector
	qkvBias, oBias, gateUpBias, downBias *Vector
	qkNorm                               *Vector // of queries, then of keys
	actNumbers                           *Vector // of XIELU, in the order of model.ActRoles
	sinks                                *Vector
	outScale                             *Vector // a number
	postInput                            *Vector
	shortcutNorm, streamNorm             *Vector
	streamPredict, streamCorrect         *Vector // coefficients
	streamScale                          *Vector
	routerNorm, expertScale              *Vector
	expertsNorm, postExperts, postShared *Vector // of experts that are apart
	conv, convBias                       *Vector // of a recurrence, [channels][taps] and [channels]
	memory                               *Vector // [3][heads]: decay_log, decay_bias, skip
	headsNorm                            *Vector
	qDownNorm, kvDownNorm                *Vector
	routerBias, selectionBias            *Vector

	expertGateBias, expertUpBias, expertDownBias *Vector // [experts][rows]
}

// Given returns the matrix of the layer that multiplies these inputs. Of experts it is the first of the
// stacks that do.
func (y *Layer) Given(in model.Input) *Matrix {
	switch {
	case in == model.InputAttention:
		return y.QKV
	case in == model.InputQLatent:
		return y.QUp
	case in == model.InputKVLatent:
		return y.KUp
	case in == model.InputHeads:
		return y.O
	case in == model.InputState:
		return y.StateO
	case in == model.InputMLP && y.ExpertGate != nil:
		return y.ExpertGate
	case in == model.InputMLP && y.ExpertUp != nil:
		return y.ExpertUp
	case in == model.InputMLP, in == model.InputShared:
		return y.GateUp
	case in == model.InputInner && y.ExpertDown != nil:
		return y.ExpertDown
	case in == model.InputInner, in == model.InputSharedInner:
		return y.Down
	case in == model.InputShortcut:
		return y.ShortcutOut
	case in == model.InputStream:
		return y.InputGate
	case in == model.InputLayer:
		return y.InputOut
	}
	return nil
}

// Dense returns the matrices that every token is multiplied with; some are nil.
func (y *Layer) Dense() []*Matrix {
	return []*Matrix{y.QKV, y.QUp, y.KUp, y.VUp, y.O, y.StateQKV, y.StateO, y.GateUp, y.Down, y.Router, y.ExpertIn, y.ExpertOut, y.InputGate, y.InputOut, y.ShortcutIn, y.ShortcutOut, y.StreamRouter}
}

// Stacked reports whether m holds the matrices of experts.
func (y *Layer) Stacked(m *Matrix) bool {
	return m != nil && (m == y.ExpertGate || m == y.ExpertUp || m == y.ExpertDown)
}

// planner finds the tensors of a source by layer and role.
type planner struct {
	src    Source
	limit  uint64
	choice Choice
	at     map[slot]int
	w      *Weights
	err    error
}

type slot struct {
	layer int
	role  model.Role
}

// Plan lays out all tensors of src for bindings of at most limit bytes, and for the kernels of a choice, and reserves
// memory for them in an arena that they own from then on. With a nil device they are only planned.
func Plan(dev *gpu.Device, src Source, limit uint64, c Choice) (*Weights, error) {
	s := src.Spec()
	p := planner{src: src, limit: limit, choice: c, at: map[slot]int{}, w: &Weights{dev: dev, arena: arena.New(dev), spec: s}}
	for i, t := range src.Tensors() {
		p.at[slot{t.Layer, t.Role}] = i
	}
	out := func(r model.Role) slot { return slot{model.NoLayer, r} }
	p.w.embed = p.matrix(out(model.RoleEmbed))
	p.w.positions = p.matrix(out(model.RolePositions))
	p.w.embedNorm = p.streamNorm(s.EmbedNorm, out(model.RoleEmbedNorm))
	p.w.embedNormBias = p.vector(out(model.RoleEmbedNormBias))
	p.w.layerEmbed, p.w.layerProject = p.matrix(out(model.RoleLayerEmbed)), p.matrix(out(model.RoleLayerProject))
	p.w.layerNorm = p.norm(out(model.RoleLayerNorm))
	p.w.streamIn = p.each(s.Streams.Count-1, out(model.RoleStreamIn))
	for i := range s.Layers {
		p.w.Layers = append(p.w.Layers, p.layer(i, s.Layer(i)))
	}
	p.w.streamOut = p.each(s.Streams.Count-1, out(model.RoleStreamOut))
	p.w.final = p.streamNorm(true, out(model.RoleFinalNorm))
	p.w.finalBias = p.vector(out(model.RoleFinalNormBias))
	p.w.Head, p.w.headBias = p.w.embed, p.vector(out(model.RoleHeadBias))
	if !s.TiedHead {
		p.w.Head = p.matrix(out(model.RoleHead))
	}
	if p.err != nil {
		return nil, p.err
	}
	p.w.reserve()
	p.w.arena.Count(PurposeLoading, p.w.loadingBytes(len(src.Tensors())))
	return p.w, nil
}

// PlanMatrix lays out the given tensors of src as one matrix, and nothing else: weights for trials of single
// products.
func PlanMatrix(dev *gpu.Device, src Source, limit uint64, c Choice, tensors ...int) (*Weights, *Matrix, error) {
	w := &Weights{dev: dev, arena: arena.New(dev), spec: src.Spec()}
	m, err := layOut(src, limit, 1, tensors...)
	if err != nil {
		return nil, nil, err
	}
	m.order(c)
	w.matrices = []*Matrix{m}
	w.reserve()
	return w, m, nil
}

// reserve asks for the memory of all matrices and vectors.
func (w *Weights) reserve() {
	for _, v := range w.vectors {
		v.buffer = w.arena.Reserve(PurposeWeights, 4*Stride(v.n), gpu.Storage)
	}
	for _, m := range w.matrices {
		for _, p := range m.Parts {
			p.reserve(w.arena)
		}
	}
}

// Spec describes the model.
func (w *Weights) Spec() *model.Spec { return w.spec }

// Need reports the bytes of device memory that the weights take, and loading them, by purpose.
func (w *Weights) Need() map[string]uint64 { return w.arena.Need() }

// Close gives the memory back.
func (w *Weights) Close() { w.arena.Close() }

// Packings reports how many bytes the matrices of each packing take.
func (w *Weights) Packings() map[Packing]uint64 {
	bytes := map[Packing]uint64{}
	for _, m := range w.matrices {
		for _, p := range m.Parts {
			bytes[p.Packing] += p.Bytes()
		}
	}
	return bytes
}

// after returns the norm that reads the residual stream after a layer, and the matrix that multiplies what it makes.
func (w *Weights) after(layer int) (*Vector, *Matrix) {
	if layer+1 == len(w.Layers) {
		return w.final, w.Head
	}
	y := &w.Layers[layer+1]
	switch next := w.spec.Layer(layer + 1); {
	case next.Twofold(): // two matrices do
		return nil, nil
	case next.Mixes():
		return y.attnNorm, y.QKV
	}
	return y.mlpNorm, y.GateUp
}

func (p *planner) layer(i int, y *model.Layer) Layer {
	in := func(roles ...model.Role) []slot {
		s := make([]slot, len(roles))
		for j, r := range roles {
			s[j] = slot{i, r}
		}
		return s
	}
	w := Layer{
		attnNorm: p.streamNorm(y.PreNorm && y.Mixes(), in(model.RoleAttnNorm)...), attnNormBias: p.vector(in(model.RoleAttnNormBias)...),
		QKV:     p.matrix(in(mixerRolesOf(y)...)...),
		qkvBias: p.vector(in(mixerBiases...)...),
		qkNorm:  p.norm(in(model.RoleQNorm, model.RoleKNorm)...),
		O:       p.matrix(in(model.RoleO)...), oBias: p.vector(in(model.RoleOBias)...),
		postAttnNorm: p.norm(in(model.RolePostAttnNorm)...),
		mlpNorm:      p.streamNorm(y.PreNorm && !y.OneNorm && y.Feeds(), in(model.RoleMLPNorm)...), mlpNormBias: p.vector(in(model.RoleMLPNormBias)...),
		postMLPNorm: p.norm(in(model.RolePostMLPNorm)...),
		actNumbers:  p.vector(in(model.ActRoles...)...),
		sinks:       p.vector(in(model.RoleSinks)...),
		outScale:    p.vector(in(model.RoleOutScale)...),
		InputGate:   p.matrix(in(model.RoleInputGate)...),
		InputOut:    p.matrix(in(model.RoleInputOut)...),
		postInput:   p.norm(in(model.RolePostInputNorm)...),

		ShortcutIn: p.matrix(in(model.RoleShortcutIn)...), ShortcutOut: p.matrix(in(model.RoleShortcutOut)...),
		shortcutNorm: p.norm(in(model.RoleShortcutNorm)...),
		StreamRouter: p.matrix(in(model.RoleStreamRouter)...), streamNorm: p.norm(in(model.RoleStreamNorm)...),
		streamPredict: p.vector(in(model.RoleStreamPredict)...), streamCorrect: p.vector(in(model.RoleStreamCorrect)...),
		streamScale: p.vector(in(model.RoleStreamScale)...),
	}
	if w.QKV != nil {
		w.QKV.fine = true
	}
	if a := &y.Attention; a.KVRank > 0 {
		p.latent(&w, a, in)
	}
	if y.Recurrence.Taps > 0 {
		p.recurrence(&w, y, in)
	}
	if y.MLP.Experts == 0 {
		w.GateUp = p.pair(in(model.RoleGate, model.RoleUp)...)
		if w.gateUpBias = p.vector(in(model.RoleGateBias, model.RoleUpBias)...); w.gateUpBias != nil {
			w.gateUpBias.paired = w.GateUp != nil && w.GateUp.paired
		}
		w.Down, w.downBias = p.matrix(in(model.RoleDown)...), p.vector(in(model.RoleDownBias)...)
		return w
	}
	h, n := y.MLP.Outer(p.src.Spec().Hidden), y.MLP.Intermediate
	w.ExpertIn, w.ExpertOut = p.matrix(in(model.RoleExpertIn)...), p.matrix(in(model.RoleExpertOut)...)
	w.Router = p.matrix(in(model.RoleRouter, model.RoleSharedRouter)...)
	w.routerBias, w.selectionBias = p.vector(in(model.RoleRouterBias)...), p.vector(in(model.RoleSelectionBias)...)
	w.routerNorm, w.expertScale = p.norm(in(model.RoleRouterNorm)...), p.vector(in(model.RoleExpertScale)...)
	w.expertsNorm, w.postExperts = p.norm(in(model.RoleExpertsNorm)...), p.norm(in(model.RolePostExperts)...)
	w.postShared = p.norm(in(model.RolePostShared)...)
	w.GateUp = p.pair(in(model.RoleSharedGate, model.RoleSharedUp)...)
	w.Down = p.matrix(in(model.RoleSharedDown)...)
	w.ExpertGate = p.stack(n, in(model.RoleGate)...)
	w.ExpertUp = p.stack(n, in(model.RoleUp)...)
	w.ExpertDown = p.stack(h, in(model.RoleDown)...)
	w.expertGateBias, w.expertUpBias = p.vector(in(model.RoleGateBias)...), p.vector(in(model.RoleUpBias)...)
	w.expertDownBias = p.vector(in(model.RoleDownBias)...)
	return w
}

// latent lays out what attention with a latent vector has besides.
func (p *planner) latent(w *Layer, a *model.Attention, in func(...model.Role) []slot) {
	w.QUp, w.KUp, w.VUp = p.matrix(in(model.RoleQUp)...), p.stack(a.OwnDim(), in(model.RoleKUp)...), p.stack(a.ValueDim, in(model.RoleVUp)...)
	w.qDownNorm, w.kvDownNorm = p.vector(in(model.RoleQDownNorm)...), p.vector(in(model.RoleKVDownNorm)...)
	if w.qkvBias != nil && a.QRank == 0 { // queries have none
		w.qkvBias.before = a.Heads * a.HeadDim
		w.qkvBias.n += w.qkvBias.before
	}
}

// tensors returns those of the slots that the source has.
func (p *planner) tensors(slots []slot) []int {
	var found []int
	for _, s := range slots {
		if i, ok := p.at[s]; ok {
			found = append(found, i)
		}
	}
	return found
}

// matrix lays out the tensors of the slots one below the other.
func (p *planner) matrix(slots ...slot) *Matrix { return p.stack(1, slots...).order(p.choice) }

// stack lays out the tensors of the slots one below the other, cut between runs of unit rows only.
func (p *planner) stack(unit int, slots ...slot) *Matrix {
	found := p.tensors(slots)
	if len(found) == 0 || p.err != nil {
		return nil
	}
	return p.keep(layOut(p.src, p.limit, unit, found...))
}

// each lays out a tensor of n matrices as so many.
func (p *planner) each(n int, at slot) (all []*Matrix) {
	found := p.tensors([]slot{at})
	for i := 0; i < n && len(found) > 0 && p.err == nil; i++ {
		rows := p.src.Tensors()[found[0]].Rows() / n
		all = append(all, p.keep(layOutRows(p.src, p.limit, found[0], i*rows, rows)).order(p.choice))
	}
	return all
}

// pair lays out the tensors of two slots row by row.
func (p *planner) pair(slots ...slot) *Matrix {
	found := p.tensors(slots)
	if len(found) != 2 || p.err != nil {
		return p.matrix(slots...)
	}
	return p.keep(layOutPair(p.src, p.limit, found[0], found[1])).order(p.choice)
}

func (p *planner) keep(m *Matrix, err error) *Matrix {
	if err != nil {
		p.err = err
		return nil
	}
	p.w.matrices = append(p.w.matrices, m)
	return m
}

func (p *planner) vector(slots ...slot) *Vector {
	found := p.tensors(slots)
	if len(found) == 0 {
		return nil
	}
	v := &Vector{tensors: found}
	for _, i := range found {
		t := p.src.Tensors()[i]
		v.n += t.Rows() * t.Cols()
	}
	p.w.vectors = append(p.w.vectors, v)
	return v
}

func (p *planner) norm(slots ...slot) *Vector {
	v := p.vector(slots...)
	if v != nil {
		v.plusOne = p.src.Spec().Norm.PlusOne
	}
	return v
}

// streamNorm is norm of one that reads the residual stream if ok; without weights, these are ones.
func (p *planner) streamNorm(ok bool, slots ...slot) *Vector {
	if !ok || !p.src.Spec().Norm.Unweighted {
		return p.norm(slots...)
	}
	v := &Vector{n: p.src.Spec().Hidden}
	p.w.vectors = append(p.w.vectors, v)
	return v
}

// values reads the vector; without tensors, it is ones.
func (v *Vector) values(src Source) ([]float32, error) {
	all := make([]float32, v.before, v.n)
	if len(v.tensors) == 0 {
		return slices.Repeat([]float32{1}, v.n), nil
	}
	for _, i := range v.tensors {
		t := src.Tensors()[i]
		n := t.Rows() * t.Cols()
		all = slices.Grow(all, n)[:len(all)+n]
		if err := src.Rows(i, 0, t.Rows(), all[len(all)-n:]); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	all = append(all, make([]float32, v.behind)...)
	if v.plusOne {
		for i := range all {
			all[i]++
		}
	}
	if !v.paired {
		return all, nil
	}
	turns := make([]float32, len(all))
	for i := range all {
		turns[i] = all[i%2*len(all)/2+i/2]
	}
	return turns, nil
}
