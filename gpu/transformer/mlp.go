package transformer

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// acts are what act.wgsl calls these.
var acts = map[model.Activation]int{model.SiLU: 0, model.GELU: 1, model.GELUTanh: 2, model.ReLU: 3}

// gate is an activation v·sigmoid(slope·v + cubic·v³), which matvec can compute itself.
type gate struct{ slope, cubic float32 }

var gates = map[model.Activation]*gate{model.SiLU: {1, 0}, model.GELUTanh: {1.5957691, 1.5957691 * 0.044715}}

// mlp records an MLP, or the expert that all tokens share and then the chosen ones. Calibration has the shared
// one last: it is quantized last.
func (r *recorder) mlp(w *layerWeights, m *model.MLP, in, out vectors, e epilogue) {
	last := w.router != nil && r.gram != nil && r.gram.m != w.gateUp
	if last {
		r.experts(w, m, in, out, e)
		e.add = true
	}
	if a := &r.t.act; w.gateUp != nil {
		inner := a.of(w.down.width)
		if g := gates[m.Activation]; g != nil && w.gateUp.paired && r.n <= matvecTokens {
			r.linear(w.gateUp, w.gateUpBias, in, inner, epilogue{scale: 1, gate: g})
		} else {
			gateUp := vectors{buffer: a.gateUp, stride: stride(w.gateUp.rows)}
			r.linear(w.gateUp, w.gateUpBias, in, gateUp, epilogue{scale: 1})
			r.activate(m, w.down.width, r.n, gateUp, inner, w.gateUp.paired)
		}
		if w.router != nil {
			e.next = nil // the experts add to it
		}
		r.linear(w.down, w.downBias, inner, out, e)
		e.add = true
	}
	if w.router != nil && !last {
		r.experts(w, m, in, out, e)
	}
}

// activate records the function between the halves of an MLP of the given width, for n vectors.
func (r *recorder) activate(m *model.MLP, width, n int, x, y vectors, paired bool) {
	c := kernels.Consts{"WIDTH": width, "X_STRIDE": x.stride, "Y_STRIDE": y.stride, "GATED": flag(m.Gated), "PAIRED": flag(paired), "ACT": acts[m.Activation]}
	r.dispatch("act", c, (y.stride+63)/64, n, whole(x.buffer), whole(y.buffer))
}

// experts records the choice of experts and what they do. The choice stays on the device.
func (r *recorder) experts(w *layerWeights, m *model.MLP, in, out vectors, e epilogue) {
	a := &r.t.act
	logits := vectors{buffer: a.router, stride: stride(m.Experts)}
	r.linear(w.router, nil, in, logits, epilogue{scale: 1})
	r.dispatch("route", kernels.Consts{
		"EXPERTS": m.Experts, "TOP": m.TopK, "X_STRIDE": logits.stride, "SIGMOID": flag(m.Sigmoid), "NORMALIZE": flag(m.NormalizeTopK),
	}, r.n, 1, whole(a.router), whole(a.chosen))

	many := r.n > matvecTokens || r.gram != nil // which wants the choices sorted
	if many {
		r.dispatch("group", kernels.Consts{"EXPERTS": m.Experts, "TOP": m.TopK, "SLOTS": r.t.slots(m)}, 1, 1,
			whole(a.chosen), whole(a.order), r.t.stepAt(0))
	}
	slots := r.n * m.TopK
	halves := m.Intermediate * (1 + flag(m.Gated))
	gateUp, inner := vectors{buffer: a.gateUp, stride: stride(halves)}, a.of(m.Intermediate)
	weigh := flag(m.WeightInput)
	for i, half := range []*matrix{w.expertGate, w.expertUp} {
		if half != nil {
			y0 := i * m.Intermediate * flag(m.Gated)
			r.expertProduct(half, m, many, kernels.Consts{"WEIGH": weigh}, in, gateUp, y0, epilogue{scale: 1})
		}
	}
	r.activate(m, m.Intermediate, slots, gateUp, inner, false)
	if !many {
		r.expertProduct(w.expertDown, m, false, kernels.Consts{"WEIGH": 1 - weigh, "SUM": 1}, inner, out, 0, e)
		return
	}
	slotOut := vectors{buffer: a.slotOut, stride: a.hidden}
	r.expertProduct(w.expertDown, m, true, kernels.Consts{"WEIGH": 1 - weigh, "BY_TOKEN": 0}, inner, slotOut, 0, epilogue{scale: 1})
	r.dispatch("combine", kernels.Consts{
		"WIDTH": r.t.spec.Hidden, "STRIDE": a.hidden, "TOP": m.TopK, "ADD": flag(e.add), "SCALE": e.scale,
	}, (r.t.spec.Hidden+63)/64, r.n, whole(slotOut.buffer), whole(out.buffer))
}

// expertProduct records products with the experts' matrices, of many tokens or of few.
func (r *recorder) expertProduct(m *matrix, mlp *model.MLP, many bool, more kernels.Consts, x, y vectors, y0 int, e epilogue) {
	a := &r.t.act
	if r.gram.ends(r, m) {
		r.gram.recordSorted(r, mlp, x, flag(m != r.t.w.layers[0].expertDown), flag(more["WEIGH"] == 1))
		return
	}
	rows := m.rows / mlp.Experts
	for _, p := range m.parts {
		if r.err != nil {
			return
		}
		sizes, err := r.t.shape(shape{
			cols: p.cols(p.width), rows: rows, xStride: x.stride, yStride: y.stride, y0: y0, epilogue: e,
			first: p.row0 / rows, here: p.rows / rows,
		})
		r.err = err
		used := min(r.n*mlp.TopK, mlp.Experts)
		r.next = cost{p.bytes() / uint64(mlp.Experts) * uint64(used), 2 * uint64(rows) * uint64(p.width) * uint64(r.n*mlp.TopK)}
		c := p.consts()
		maps.Copy(c, more)
		c["TOP"] = mlp.TopK
		if many {
			c["SLOTS"] = r.t.slots(mlp)
			tiles := min(r.n*mlp.TopK, r.n*mlp.TopK/64+mlp.Experts)
			r.dispatch("matmul_experts", c, (rows+63)/64, tiles,
				whole(p.codes), whole(p.heads), whole(x.buffer), whole(a.chosen), whole(a.order), whole(y.buffer), sizes)
			continue
		}
		groups := r.n * mlp.TopK
		if more["SUM"] == 1 {
			groups = r.n
			e.add = true // the parts after the first add to it
		}
		r.dispatch("matvec_experts", c, (rows+3)/4, groups,
			whole(p.codes), whole(p.heads), whole(x.buffer), whole(a.chosen), whole(y.buffer), sizes)
	}
}

// slots reports how many choices the largest pass makes, as group.wgsl and matmul_experts.wgsl
// are told.
func (t *Transformer) slots(m *model.MLP) int { return t.tokens() * m.TopK }
