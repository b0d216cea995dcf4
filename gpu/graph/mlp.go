package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// acts are what act.wgsl calls these.
var acts = map[model.Activation]int{model.SiLU: 0, model.GELU: 1, model.GELUTanh: 2, model.ReLU: 3, model.ReLU2: 4, model.XIELU: 5}

// gates are the activations that matvec can compute itself.
var gates = map[model.Activation]*Gate{model.SiLU: {1, 0}, model.GELUTanh: {1.5957691, 1.5957691 * 0.044715}}

// mlp records an MLP, or the expert that all tokens share and then the chosen ones. For a tap the shared one comes
// last, as it is quantized last.
func (r *layers) mlp(w *Layer, m *model.MLP, in, out Vectors, e Epilogue) {
	if m.Apart {
		r.besides(w, m, in, out, e)
		return
	}
	if w.Router != nil {
		r.route(w, m, in)
	}
	last := w.Router != nil && r.tap != nil && !r.tap.Wants(w.GateUp)
	if last {
		r.experts(w, m, in, out, e)
		e.Add = true
	}
	if w.GateUp != nil {
		own := e
		if w.Router != nil {
			own.Next, own.Loose = nil, false // the experts add to it
		}
		r.dense(w, m, in, out, own)
		e.Next, e.Add = own.Next, true
	}
	if w.Router != nil && !last {
		r.experts(w, m, in, out, e)
	}
}

// besides records experts that have norms of their own, beside the one that all tokens share. What each makes takes the place
// of what it was given.
func (r *layers) besides(w *Layer, m *model.MLP, in, out Vectors, e Epilogue) {
	a := &r.g.act
	if r.tap == nil || !r.tap.Wants(w.GateUp) {
		r.norm(a.x, a.normed, w.routerNorm, nil, nil)
		r.route(w, m, a.normed)
		r.norm(a.x, a.normed, w.expertsNorm, nil, nil)
		r.experts(w, m, a.normed, a.normed, e)
	}
	r.dense(w, m, in, in, e)
	r.norm(in, out, w.postShared, nil, nil)
	r.norm(a.normed, out, w.postExperts, nil, kernels.Consts{"ADD": 1})
}

// dense records the MLP that every token passes through.
func (r *layers) dense(w *Layer, m *model.MLP, in, out Vectors, e Epilogue) {
	inner := r.g.act.of(w.Down.Width)
	if g := gates[m.Activation]; g != nil && w.GateUp.paired && r.takesGate(w.GateUp) && m.Clamped == (model.Clamped{}) {
		r.Product(&Product{w.GateUp, w.gateUpBias, in, inner, Epilogue{Scale: 1, Gate: g, HandOn: r.takesLimbs(w.Down) && !m.SharedGated}})
		inner.ready = r.handed
	} else {
		gateUp := Vectors{Buffer: r.g.act.gateUp, Stride: Stride(w.GateUp.Rows)}
		r.plain(w.GateUp, w.gateUpBias, in, gateUp, 1)
		if m.Sparse {
			r.Dispatch("sparse", kernels.Consts{"WIDTH": w.Down.Width, "STRIDE": gateUp.Stride, "STEP": 1 + flag(w.GateUp.paired), "CUTOFF": m.Cutoff},
				r.n, 1, gateUp.Buffer)
		}
		r.activate(m, between{w.Down.Width, r.n, w.GateUp.paired, w.actNumbers}, gateUp, inner)
	}
	if m.SharedGated {
		scores := r.routerLogits(w)
		r.Dispatch("gate", kernels.Consts{"WIDTH": w.Down.Width, "AT": m.Experts, "X_STRIDE": scores.Stride, "Y_STRIDE": inner.Stride},
			(w.Down.Width+63)/64, r.n, scores.Buffer, inner.Buffer)
	}
	r.Product(&Product{w.Down, w.downBias, inner, out, e})
}

// takesGate reports whether the kernels that make products with m can make the activation, too.
func (r *layers) takesGate(m *Matrix) bool {
	return r.n <= FewTokens || r.takesLimbs(m) || r.takesPanels(m) || r.takesMatrices(m)
}

// between are the vectors between the halves of an MLP.
type between struct {
	width, n int
	paired   bool    // gate and up are by turns
	numbers  *Vector // of an activation that has weights, else nil
}

// activate records the function between the halves of an MLP.
func (r *layers) activate(m *model.MLP, b between, x, y Vectors) {
	r.activateBy(m, b, x, y, r.read(b.numbers), kernels.Consts{"GATED": flag(m.Gated)})
}

// activateBeside records y = act(x)·up.
func (r *layers) activateBeside(m *model.MLP, b between, x, y, up Vectors) {
	r.activateBy(m, b, x, y, up.Buffer, kernels.Consts{"GATED": 2, "P_STRIDE": up.Stride, "LIMIT": 0, "UP_OFFSET": 0})
}

// activateBy records an activation that reads p.
func (r *layers) activateBy(m *model.MLP, b between, x, y Vectors, p *arena.Buffer, more kernels.Consts) {
	c := kernels.Consts{
		"WIDTH": b.width, "X_STRIDE": x.Stride, "Y_STRIDE": y.Stride, "PAIRED": flag(b.paired), "ACT": acts[m.Activation],
		"LIMIT": m.Limit, "UP_OFFSET": m.UpOffset,
	}
	if m.Slope != 0 {
		c["SLOPE"] = m.Slope
	}
	lanes := 64
	if !r.dev.OnCPU() {
		lanes = 256 // GPUs start workgroups one after the other
	}
	c["LANES"] = lanes
	maps.Copy(c, more)
	r.Dispatch("act", c, (y.Stride+lanes-1)/lanes, b.n, x.Buffer, y.Buffer, p)
}
