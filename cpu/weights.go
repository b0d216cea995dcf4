package cpu

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// stored are weights whose rows can be used where they lie: a bundle.
type stored interface {
	Stored(i int) (rows []byte, p block.Packing, ok bool)
}

// raw are weights whose values may be there as they are: a checkpoint.
type raw interface {
	Raw(i int) ([]byte, bool)
	SourceType(i int) string
}

// matrix is a matrix of the model, or a stack of those of experts.
type matrix struct {
	index      int
	role       model.Role
	rows, cols int
	packed     *simd.Packed // nil: its rows are decoded by model.Weights
	order      simd.Order   // of vectors that packed rows are multiplied by
	arranged   int          // numbers that such a vector takes
	next       []*matrix    // of the product behind this one, if that is known
	twin       *matrix      // that each row is multiplied by after this one's, if there is one
}

// norm is a normalization.
type norm struct{ weight, bias []float32 }

// layer are the tensors of a layer; what it lacks is nil.
type layer struct {
	*model.Layer
	attnNorm, mlpNorm, postAttn, postMLP *norm
	q, k, v, o                           *matrix
	qBias, kBias, vBias, oBias           []float32
	qNorm, kNorm, vNorm                  *norm
	inputGate, inputOut                  *matrix
	postInput                            *norm
	outScale                             []float32   // [1]
	numbers                              *[4]float32 // of XIELU
	sinks                                []float32   // [Heads]
	latent                               latent
	recurrence                           recurrence
	core                                 model.Attention // what is computed over the cache
	router, sharedRouter                 *matrix
	expertIn, expertOut                  *matrix
	routerBias, selectionBias            []float32
	expertScale                          []float32 // [Experts]
	apart                                apart
	own, shared                          mlp
	streams                              streams
}

// apart are the norms of a layer whose chosen experts have norms of their own.
type apart struct{ router, experts, postExperts, postShared *norm }

// mlp are the matrices of an MLP, of a shared expert, or of all experts.
type mlp struct {
	gate, up, down             *matrix
	gateBias, upBias, downBias []float32
	width                      int // rows of gate and up
	outer                      int // rows of down
}

// tensors finds tensors by role and layer.
type tensors struct {
	e     *Engine
	index map[key]int
	err   error // the first
}

type key struct {
	role  model.Role
	layer int
}

// tensorsOf indexes the tensors of the weights.
func tensorsOf(e *Engine) *tensors {
	find := &tensors{e: e, index: map[key]int{}}
	for i, t := range e.weights.Tensors() {
		find.index[key{t.Role, t.Layer}] = i
	}
	return find
}

// entrance finds what makes the residual stream before the first layer.
func (f *tensors) entrance() {
	e := f.e
	e.embed, e.positions = f.matrix(model.RoleEmbed, model.NoLayer), f.matrix(model.RolePositions, model.NoLayer)
	e.layerEmbed, e.layerProject = f.matrix(model.RoleLayerEmbed, model.NoLayer), f.matrix(model.RoleLayerProject, model.NoLayer)
	e.streamIn = f.matrix(model.RoleStreamIn, model.NoLayer)
	if n := e.spec.LayerInputs.Width; n > 0 {
		e.layerNorm = f.norm(model.RoleLayerNorm, "", model.NoLayer, n)
	}
	if e.spec.EmbedNorm {
		e.embedNorm = f.norm(model.RoleEmbedNorm, model.RoleEmbedNormBias, model.NoLayer, e.spec.Hidden)
	}
}

// load finds the tensors, and decodes the vectors among them.
func (e *Engine) load() error {
	find := tensorsOf(e)
	for _, t := range e.spec.Tensors() {
		if _, ok := find.index[key{t.Role, t.Layer}]; !ok {
			return fmt.Errorf("the weights have no tensor %s of layer %d", t.Role, t.Layer)
		}
	}
	find.entrance()
	e.streamOut = find.matrix(model.RoleStreamOut, model.NoLayer)
	e.head = find.matrix(model.RoleHead, model.NoLayer)
	if e.spec.TiedHead {
		e.head = e.embed
	}
	e.finalNorm = find.norm(model.RoleFinalNorm, model.RoleFinalNormBias, model.NoLayer, e.spec.Hidden)
	e.headBias = find.vector(model.RoleHeadBias, model.NoLayer)
	for i := range e.spec.Layers {
		e.layers = append(e.layers, find.layer(i))
	}
	e.link()
	return find.err
}

func (f *tensors) layer(i int) layer {
	h := f.e.spec.Hidden
	y := layer{Layer: f.e.spec.Layer(i)}
	f.norms(&y, i)
	if y.TakesInput {
		y.postInput = f.norm(model.RolePostInputNorm, "", i, h)
	}
	y.streams = f.streams(i)
	y.inputGate, y.inputOut = f.matrix(model.RoleInputGate, i), f.matrix(model.RoleInputOut, i)
	y.q, y.k = f.matrix(model.RoleQ, i), f.matrix(model.RoleK, i)
	y.v, y.o = f.matrix(model.RoleV, i), f.matrix(model.RoleO, i)
	y.qBias, y.kBias = f.vector(model.RoleQBias, i), f.vector(model.RoleKBias, i)
	y.vBias, y.oBias = f.vector(model.RoleVBias, i), f.vector(model.RoleOBias, i)
	a := &y.Attention
	y.core, y.latent, y.recurrence = a.Core(), f.latent(i), f.recurrence(i)
	switch a.QKNorm {
	case model.QKNormHead, model.QKNormRotated:
		y.qNorm, y.kNorm = f.norm(model.RoleQNorm, "", i, a.HeadDim), f.norm(model.RoleKNorm, "", i, a.HeadDim)
	case model.QKNormProjection, model.QKNormHeads:
		y.qNorm, y.kNorm = f.norm(model.RoleQNorm, "", i, a.Heads*a.HeadDim), f.norm(model.RoleKNorm, "", i, a.KVHeads*a.HeadDim)
	case model.QKNormUnweighted:
		y.qNorm = newNorm(nil, nil, a.HeadDim, false)
		y.kNorm = y.qNorm
	}
	if a.ValueNorm {
		y.vNorm = newNorm(nil, nil, a.HeadDim, false)
	}
	y.outScale, y.expertScale = f.vector(model.RoleOutScale, i), f.vector(model.RoleExpertScale, i)
	if y.MLP.Apart {
		norm := func(role model.Role) *norm { return f.norm(role, "", i, h) }
		y.apart = apart{norm(model.RoleRouterNorm), norm(model.RoleExpertsNorm), norm(model.RolePostExperts), norm(model.RolePostShared)}
	}
	if y.MLP.Activation == model.XIELU {
		y.numbers = new([4]float32)
		for k, role := range model.ActRoles {
			copy(y.numbers[k:], f.vector(role, i))
		}
	}
	y.sinks = f.vector(model.RoleSinks, i)
	y.router, y.sharedRouter = f.matrix(model.RoleRouter, i), f.matrix(model.RoleSharedRouter, i)
	y.expertIn, y.expertOut = f.matrix(model.RoleExpertIn, i), f.matrix(model.RoleExpertOut, i)
	y.routerBias, y.selectionBias = f.vector(model.RoleRouterBias, i), f.vector(model.RoleSelectionBias, i)
	y.own = mlp{
		gate: f.matrix(model.RoleGate, i), up: f.matrix(model.RoleUp, i), down: f.matrix(model.RoleDown, i),
		gateBias: f.vector(model.RoleGateBias, i), upBias: f.vector(model.RoleUpBias, i), downBias: f.vector(model.RoleDownBias, i),
		width: y.MLP.Intermediate, outer: y.MLP.Outer(h),
	}
	y.shared = mlp{
		gate: f.matrix(model.RoleSharedGate, i), up: f.matrix(model.RoleSharedUp, i), down: f.matrix(model.RoleSharedDown, i),
		width: y.MLP.Shared, outer: h,
	}
	return y
}

// norms finds the norms of layer i around its branches.
func (f *tensors) norms(y *layer, i int) {
	h := f.e.spec.Hidden
	if y.PreNorm && y.Mixes() {
		y.attnNorm = f.norm(model.RoleAttnNorm, model.RoleAttnNormBias, i, h)
	}
	switch {
	case y.OneNorm:
		y.mlpNorm = y.attnNorm
	case y.PreNorm && y.Feeds():
		y.mlpNorm = f.norm(model.RoleMLPNorm, model.RoleMLPNormBias, i, h)
	}
	if y.PostNorm && y.Mixes() {
		y.postAttn = f.norm(model.RolePostAttnNorm, "", i, h)
	}
	if y.PostNorm && y.Feeds() {
		y.postMLP = f.norm(model.RolePostMLPNorm, "", i, h)
	}
}

// matrix returns the matrix of a role, nil if the model has none.
func (f *tensors) matrix(role model.Role, layer int) *matrix {
	i, ok := f.index[key{role, layer}]
	if !ok {
		return nil
	}
	t := f.e.weights.Tensors()[i]
	m := &matrix{index: i, role: role, rows: t.Rows(), cols: t.Cols()}
	if m.packed = packed(f.e.weights, i, m); m.packed != nil {
		m.order, m.arranged = m.packed.Order(), m.packed.Arranged()
	}
	return m
}

// packed returns the rows of a matrix where they lie, nil if they are to be decoded.
func packed(w model.Weights, i int, m *matrix) *simd.Packed {
	p := &simd.Packed{Rows: m.rows, Cols: m.cols}
	switch w := w.(type) {
	case stored:
		rows, packing, ok := w.Stored(i)
		if !ok {
			return nil
		}
		p.Data, p.Packing = rows, packing
	case raw:
		rows, ok := w.Raw(i)
		if !ok {
			return nil
		}
		bits, known := map[string]int{"F16": 16, "BF16": 16, "F32": 32}[w.SourceType(i)]
		if !known {
			return nil
		}
		p.Data, p.Bits, p.Brain = rows, bits, w.SourceType(i) == "BF16"
	default:
		return nil
	}
	return p
}

// vector returns the values of a vector, nil if the model has none.
func (f *tensors) vector(role model.Role, layer int) []float32 {
	i, ok := f.index[key{role, layer}]
	if !ok {
		return nil
	}
	t := f.e.weights.Tensors()[i]
	v := make([]float32, t.Rows()*t.Cols())
	if err := f.e.weights.Rows(i, 0, t.Rows(), v); err != nil && f.err == nil {
		f.err = err
	}
	return v
}

func (f *tensors) norm(weight, bias model.Role, layer, n int) *norm {
	return newNorm(f.vector(weight, layer), f.vector(bias, layer), n, f.e.spec.Norm.PlusOne)
}

// newNorm takes a weight, nil for ones, and a bias, nil for zeros.
func newNorm(weight, bias []float32, n int, plusOne bool) *norm {
	if bias == nil {
		bias = make([]float32, n)
	}
	one := float32(0)
	if weight == nil {
		weight, one = make([]float32, n), 1
	} else if plusOne {
		one = 1
	}
	for i := range weight {
		weight[i] += one
	}
	return &norm{weight, bias}
}

// row normalizes x into y, which may be x.
func (e *Engine) normRow(n *norm, y, x []float32) {
	if e.spec.Norm.Kind == model.LayerNorm {
		simd.LayerNorm(y, x, n.weight, n.bias, e.spec.Norm.Eps)
	} else {
		simd.RMSNorm(y, x, n.weight, n.bias, e.spec.Norm.Eps)
	}
}
