package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// layers records parts of a model.
type layers struct {
	*Recorder
	g     *Graph
	parts int // into which attention of few tokens cuts the cached positions
	order Order
}

// embed records the residual stream of the tokens.
func (r *layers) embed() {
	a, w := &r.g.act, r.g.w
	to := a.x
	if w.embedNorm != nil {
		to = a.branch
	}
	first, by := w.after(-1)
	if !r.preparesFirst(first, by) {
		first = nil
	}
	r.lookUp(w.embed, to, first, kernels.Consts{"SCALE": r.g.spec.EmbedScale})
	if w.positions != nil {
		r.lookUp(w.positions, to, nil, kernels.Consts{"FIELD": 1, "ADD": 1})
	}
	if w.embedNorm != nil {
		r.norm(a.branch, a.x, w.embedNorm, w.embedNormBias, nil)
	}
	r.layerInputs()
	r.openStreams()
}

// preparesFirst reports whether the look-up of the tokens can prepare the input of the first product, with this matrix behind this norm:
// only if it makes the whole residual stream in the order of its columns.
func (r *layers) preparesFirst(norm *Vector, by *Matrix) bool {
	w := r.g.w
	return norm != nil && r.normedAsLimbs(by) && w.embedNorm == nil && w.positions == nil && w.layerEmbed == nil && w.streamIn == nil &&
		len(w.embed.Parts) == 1 && w.embed.Parts[0].inOrder
}

// lookUp records the rows of a table for the tokens, and what the product after a norm takes of them, unless that is nil.
func (r *layers) lookUp(m *Matrix, x Vectors, norm *Vector, more kernels.Consts) {
	next := r.unwritten
	if norm != nil {
		more["NEXT"], next = 1, r.next.limbs
		r.ahead = ahead{norm, InLimbs}
	}
	for _, p := range m.Parts {
		c := p.consts()
		maps.Copy(c, more)
		maps.Copy(c, kernels.Consts{"COLS": p.Cols(m.Width), "WIDTH": m.Width, "ROW0": p.row0, "OUT": p.Rows, "X_STRIDE": x.Stride})
		r.Dispatch("embed", c, r.n, (p.Cols(m.Width)+255)/256, p.codes, r.heads(p), r.g.rows, x.Buffer, r.read(norm), next)
	}
}

// layer records layer i.
func (r *layers) layer(i int) {
	a, w, y := &r.g.act, &r.g.w.Layers[i], r.g.spec.Layer(i)
	next, by := r.g.w.after(i)
	var mlpIn Vectors
	if w.StreamRouter != nil {
		r.mixStreams(w, false)
	}
	if y.Mixes() {
		in := r.normed(a.x, a.normed, w.attnNorm, w.attnNormBias, unless(y.OneNorm || y.Twofold() || y.Shortcut > 0, w.QKV))
		var around Vectors
		if y.Shortcut > 0 {
			around = r.shortcutFrom(w, y, in)
		}
		behind, reader := w.mlpNorm, w.GateUp
		switch {
		case y.OneNorm:
			behind, mlpIn = nil, in
		case y.Parallel:
			behind, mlpIn = nil, r.normed(a.x, a.mlpIn, w.mlpNorm, w.mlpNormBias, nil)
		case !y.Feeds():
			behind, reader = next, by
		}
		r.branch(y, w.postAttnNorm, nil, behind, reader, func(out Vectors, e Epilogue) { r.mixer(i, in, out, e) })
		if y.Shortcut > 0 {
			r.joinShortcut(y, in, around)
		}
	}
	r.reach(AfterAttention)
	if !y.Feeds() {
		return
	}
	if !y.Parallel {
		mlpIn = r.normed(a.x, a.mlpIn, w.mlpNorm, w.mlpNormBias, unless(w.Router != nil, w.GateUp))
	}
	last := w.outScale
	if y.TakesInput {
		last, next = nil, nil
	}
	r.branch(y, w.postMLPNorm, last, next, by, func(out Vectors, e Epilogue) { r.mlp(w, &y.MLP, mlpIn, out, e) })
	if w.StreamRouter != nil {
		r.mixStreams(w, true)
	}
	if y.TakesInput {
		r.takeInput(i, w, y)
	}
	if i == len(r.g.spec.Layers)-1 {
		r.closeStreams()
	}
}

// unless returns m unless others read its input, too.
func unless(others bool, m *Matrix) *Matrix {
	if others {
		return nil
	}
	return m
}

// normed returns x normalized, if there is a norm: by a dispatch of its own, or, if only the product with one matrix reads it,
// as the product before has prepared it or for what splits it.
func (r *layers) normed(x, to Vectors, w, bias *Vector, by *Matrix) Vectors {
	if w == nil {
		return x
	}
	if by != nil && bias == nil && r.ahead.norm == w {
		return r.prepared(r.ahead.squares)
	}
	if by != nil && bias == nil && r.normedInSplit(by) {
		x.norm = w
		return x
	}
	if by != nil && bias == nil && r.normedAsLimbs(by) {
		r.limbs(x, w, r.next.limbs, r.g.spec.Hidden)
		return r.prepared(InLimbs)
	}
	r.norm(x, to, w, bias, nil)
	return to
}

// branch records a branch and its way back into the residual stream: added to it at once, or
// normalized before. scale is the number that the residual stream is then multiplied by, if any, next the norm that comes
// after, if any, and by the matrix that multiplies what it makes.
func (r *layers) branch(y *model.Layer, post, scale, next *Vector, by *Matrix, record func(out Vectors, e Epilogue)) {
	a := &r.g.act
	r.ahead = ahead{}
	if post == nil {
		if r.g.spec.Norm.Kind != model.RMSNorm || r.tap != nil {
			next = nil
		}
		record(a.x, Epilogue{Add: true, Scale: y.ResidualScale, Next: next, By: by, Loose: sliced && next != nil && r.addedUpAhead(y, by)})
		return
	}
	record(a.branch, Epilogue{Scale: 1})
	r.join(post, scale, y.ResidualScale)
}

// norm records y = norm(x), both [n][hidden].
func (r *layers) norm(x, y Vectors, w, b *Vector, more kernels.Consts) {
	c := r.g.normConsts(b)
	maps.Copy(c, more)
	r.Dispatch("norm", c, r.n, 1, x.Buffer, w.buffer, r.read(b), y.Buffer, r.Tokens())
}

// finalNorm records the norm before the head.
func (r *layers) finalNorm() {
	g := r.g
	r.Dispatch("norm", g.normConsts(g.w.finalBias), r.n, 1,
		g.act.x.Buffer, g.w.final.buffer, r.read(g.w.finalBias), g.act.final.Buffer, g.headTokens())
}

func (g *Graph) normConsts(bias *Vector) kernels.Consts {
	s, lanes, stride := g.spec, 128, g.act.x.Stride
	if s.Hidden >= 2048 && !g.dev.OnCPU() {
		lanes = 256 // for each to read few elements one after the other
	}
	return kernels.Consts{
		"LANES": lanes, "WIDTH": s.Hidden, "X_STRIDE": stride, "Y_STRIDE": stride, "EPS": s.Norm.Eps,
		"CENTER": flag(s.Norm.Kind == model.LayerNorm), "BIAS": flag(bias != nil),
	}
}
