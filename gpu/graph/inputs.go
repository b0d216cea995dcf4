package graph

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// given are the activations of what layers are given of each token beside the residual stream.
type given struct {
	rows Vectors // of the table of embeddings, [n][layers·Width]
	all  Vectors // [n][layers][stride of Width]
}

// reserveGiven asks for their memory, if layers are given anything.
func reserveGiven(s *model.Spec, n int, vectors func(tokens, stride int) Vectors) given {
	m, layers := &s.LayerInputs, len(s.Layers)
	if m.Width == 0 {
		return given{}
	}
	return given{vectors(n, Stride(layers*m.Width)), vectors(n, layers*Stride(m.Width))}
}

// LayerInputs is where a layer finds its additional inputs for the tokens of a pass.
func (g *Graph) LayerInputs(layer int) Vectors {
	all := g.act.given.all
	if layer == 0 {
		return all
	}
	at := uint64(4 * layer * Stride(g.spec.LayerInputs.Width))
	return Vectors{Buffer: all.Buffer.Part(at, all.Buffer.Size()-at), Stride: all.Stride}
}

// layerInputs records what layers are given of the tokens, once the residual stream before the first layer is there.
func (r *layers) layerInputs() {
	a, w, s := &r.g.act, r.g.w, r.g.spec
	m, layers := &s.LayerInputs, len(s.Layers)
	if w.layerEmbed == nil {
		return
	}
	r.lookUp(w.layerEmbed, a.given.rows, nil, kernels.Consts{"SCALE": m.EmbedScale * m.SumScale, "KNOWN": m.Tokens})
	projected := Vectors{Buffer: a.gateUp, Stride: a.given.rows.Stride}
	r.plain(w.layerProject, nil, a.x, projected, m.ProjectScale)
	r.Dispatch("layer_inputs", kernels.Consts{
		"WIDTH": m.Width, "STRIDE": projected.Stride, "LAYERS": layers, "Y_STRIDE": Stride(m.Width), "SCALE": m.SumScale, "EPS": s.Norm.Eps,
	}, layers, r.n, projected.Buffer, a.given.rows.Buffer, w.layerNorm.buffer, a.given.all.Buffer)
}

// takeInput records what layer i adds to the residual stream of what it is given, and the end of the layer.
func (r *layers) takeInput(i int, w *Layer, y *model.Layer) {
	a, width, from := &r.g.act, r.g.spec.LayerInputs.Width, r.g.LayerInputs(i)
	gate, inner := Vectors{Buffer: a.gateUp, Stride: Stride(width)}, a.of(width)
	reads := a.x
	if w.streamScale != nil {
		reads = a.streams.before
		reads.limbs = a.mlpIn.limbs
	}
	r.plain(w.InputGate, nil, reads, gate, 1)
	r.activateBeside(&y.MLP, between{width: width, n: r.n}, gate, inner, from)
	r.plain(w.InputOut, nil, inner, a.branch, 1)
	if w.StreamRouter != nil {
		r.norm(a.branch, a.mlpIn, w.postInput, nil, nil)
		r.streams(kernels.Consts{"MODE": 2}, nil, nil, a.mlpIn)
		return
	}
	r.join(w.postInput, w.outScale, 1)
}

// join records that the branch is added to the residual stream, normalized and times scale; then this is multiplied by a
// number, unless that is nil.
func (r *layers) join(post, number *Vector, scale float32) {
	c := kernels.Consts{"ADD": 1, "SCALE": scale}
	if number != nil {
		c["OUT_SCALE"], c["BIAS"] = 1, 0
	}
	r.norm(r.g.act.branch, r.g.act.x, post, number, c)
}
