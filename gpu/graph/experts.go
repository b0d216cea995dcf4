package graph

import (
	"cmp"
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// experts records what the chosen experts do, with what leads to them and back if they work on narrower vectors.
func (r *layers) experts(w *Layer, m *model.MLP, in, out Vectors, e Epilogue) {
	if w.ExpertIn == nil {
		r.chosen(w, m, in, out, e)
		return
	}
	narrow, sum := r.g.act.routed.narrow, r.g.act.routed.sum
	narrow.Stride, sum.Stride = Stride(m.ExpertWidth), Stride(m.ExpertWidth)
	r.Product(&Product{Matrix: w.ExpertIn, In: in, Out: narrow, Epilogue: Epilogue{Scale: 1}})
	r.chosen(w, m, narrow, sum, Epilogue{Scale: 1})
	r.Product(&Product{Matrix: w.ExpertOut, In: sum, Out: out, Epilogue: e})
}

// chosen records the choice of experts and what they do. The choice stays on the device.
func (r *layers) chosen(w *Layer, m *model.MLP, in, out Vectors, e Epilogue) {
	a := &r.g.act
	x := mixture{layers: r, w: w, m: m, sorted: r.n > FewTokens || r.tap != nil} // which wants the choices sorted
	if x.sorted {
		r.Dispatch("group", kernels.Consts{"EXPERTS": m.Experts, "TOP": m.TopK, "SLOTS": r.g.Slots(m)}, 1, 1,
			a.routed.chosen, a.routed.order, r.Tokens())
	}
	inner := x.firstHalves(w, m, in)
	down := &expertProduct{Product: Product{Matrix: w.ExpertDown, Bias: w.expertDownBias, In: inner, Out: out, Epilogue: e}, weigh: !m.WeightInput}
	if !x.sorted {
		down.sum = true
		x.product(down)
		return
	}
	down.Out, down.Epilogue = Vectors{Buffer: a.routed.out.Buffer, Stride: out.Stride}, Epilogue{Scale: 1}
	x.product(down)
	width := m.Outer(r.g.spec.Hidden)
	r.Dispatch("combine", kernels.Consts{
		"WIDTH": width, "STRIDE": out.Stride, "TOP": m.TopK, "ADD": flag(e.Add), "SCALE": e.Scale,
	}, (width+63)/64, r.n, down.Out.Buffer, out.Buffer)
}

// firstHalves records what the chosen experts' first halves make, and the function between the halves.
func (x *mixture) firstHalves(w *Layer, m *model.MLP, in Vectors) Vectors {
	a := &x.g.act
	gateUp, inner := Vectors{Buffer: a.gateUp, Stride: Stride(m.Intermediate * (1 + flag(m.Gated)))}, a.of(m.Intermediate)
	gate := &expertProduct{Product: Product{Matrix: w.ExpertGate, Bias: w.expertGateBias, In: in, Out: gateUp, Epilogue: Epilogue{Scale: 1}}, byToken: true, weigh: m.WeightInput}
	up := *gate
	up.Matrix, up.Bias, up.y0 = w.ExpertUp, w.expertUpBias, m.Intermediate*flag(m.Gated)
	beside := x.takesBeside(w, m)
	if beside { // up's product finds the gates where its results go
		gate.Out, up.Out, up.y0, up.Gate = inner, inner, 0, gates[m.Activation]
	}
	for _, p := range []*expertProduct{gate, &up} {
		if p.Matrix != nil {
			x.product(p)
		}
	}
	if !beside {
		x.activate(m, between{width: m.Intermediate, n: x.n * m.TopK}, gateUp, inner)
	}
	return inner
}

// takesBeside reports whether the kernel that makes products with the second of the chosen experts' first halves can make the
// activation, too.
func (x *mixture) takesBeside(w *Layer, m *model.MLP) bool {
	if !x.sorted || x.tap != nil || gates[m.Activation] == nil || m.Clamped != (model.Clamped{}) || w.ExpertGate == nil || w.ExpertUp == nil {
		return false
	}
	for _, p := range w.ExpertUp.Parts {
		if !x.byMatrices(Shape{p.Packing, w.ExpertUp.Rows / m.Experts, p.Width, x.n}) {
			return false
		}
	}
	return true
}

// route records which experts each token is sent to.
func (r *layers) route(w *Layer, m *model.MLP, in Vectors) {
	a, logits := &r.g.act, r.routerLogits(w)
	scale, byExpert := cmp.Or(m.RouterScale, 1), w.selectionBias
	if m.ExpertScale {
		byExpert = w.expertScale
	}
	r.Product(&Product{Matrix: w.Router, Bias: w.routerBias, In: in, Out: logits, Epilogue: Epilogue{Scale: scale}})
	c := kernels.Consts{
		"EXPERTS": m.Experts, "TOP": m.TopK, "X_STRIDE": logits.Stride, "SIGMOID": flag(m.Sigmoid), "NORMALIZE": flag(m.NormalizeTopK),
		"WEIGHED": flag(m.ExpertScale),
	}
	if m.ByScore() {
		c["BY_SCORE"], c["BIASED"] = 1, flag(m.SelectionBias)
	}
	if m.Mixer != 0 {
		c["MIXER"] = m.Mixer
	}
	if m.RouteScale != 0 {
		c["SCALE"] = m.RouteScale
	}
	if m.Groups > 0 {
		maps.Copy(c, kernels.Consts{"GROUPS": m.Groups, "TOP_GROUPS": m.TopGroups, "BEST": m.GroupBest})
	}
	r.Dispatch("route", c, r.n, 1, a.routed.router, r.read(byExpert), a.routed.chosen)
}

// routerLogits are the results of a layer's router, and of what gates its shared expert.
func (r *layers) routerLogits(w *Layer) Vectors {
	return Vectors{Buffer: r.g.act.routed.router, Stride: Stride(w.Router.Rows)}
}

// mixture records products with the experts' matrices of a layer.
type mixture struct {
	*layers
	w      *Layer
	m      *model.MLP
	sorted bool // tokens are sorted by expert first, as suits many; else each choice is taken as it comes
}

// expertProduct is a product with a stack of experts' matrices.
type expertProduct struct {
	Product
	y0      int  // where in Out its rows begin
	byToken bool // it reads one vector for each token; else one for each choice
	weigh   bool // it multiplies with the routing weight
	sum     bool // it adds up what the experts of a token make
}

// product records products with the experts' matrices, of many tokens or of few.
func (x *mixture) product(p *expertProduct) {
	g, m := x.g, x.m
	routing := Routing{Chosen: g.act.routed.chosen, Order: g.act.routed.order, Slots: g.Slots(m)}
	if x.tapped(p.Matrix, Inputs{Vectors: p.In, Experts: m, ByToken: p.byToken, Weighted: p.weigh, Routing: routing}) {
		return
	}
	rows := p.Matrix.Rows / m.Experts
	used := min(x.n*m.TopK, m.Experts)
	for _, part := range p.Matrix.Parts {
		if x.err != nil {
			return
		}
		at := x.uniform(sizes{
			cols: part.Cols(part.Width), rows: rows, xStride: p.In.Stride, yStride: p.Out.Stride, y0: p.y0, Epilogue: p.Epilogue,
			bias: p.Bias != nil, first: part.row0 / rows, here: part.Rows / rows,
		})
		x.cost = Cost{part.Bytes() / uint64(m.Experts) * uint64(used), 2 * uint64(rows) * uint64(part.Width) * uint64(x.n*m.TopK)}
		c := part.consts()
		maps.Copy(c, kernels.Consts{"WEIGH": flag(p.weigh), "TOP": m.TopK})
		if x.sorted {
			c["SLOTS"] = routing.Slots
			if !p.byToken {
				c["BY_TOKEN"] = 0
			}
			tiles := min(x.n*m.TopK, x.n*m.TopK/64+m.Experts)
			if x.byMatrices(Shape{part.Packing, rows, part.Width, x.n}) {
				x.sortedMatrixProduct(p, part, tiles, c, at)
				continue
			}
			x.Dispatch("matmul_experts", c, (rows+63)/64, tiles,
				part.codes, x.heads(part), p.In.Buffer, routing.Chosen, routing.Order, x.read(p.Bias), p.Out.Buffer, at)
			continue
		}
		groups := x.n * m.TopK
		if p.sum {
			c["SUM"], groups = 1, x.n
			p.Add = true // the parts after the first add to it
		}
		x.Dispatch("matvec_experts", c, (rows+3)/4, groups,
			part.codes, x.heads(part), p.In.Buffer, routing.Chosen, x.read(p.Bias), p.Out.Buffer, at)
	}
}

// sortedMatrixProduct records a product of a part with tiles of sorted choices by subgroup matrices.
func (x *mixture) sortedMatrixProduct(p *expertProduct, part *Part, tiles int, c kernels.Consts, at *arena.Buffer) {
	g, vectors := x.g, x.n
	if !p.byToken {
		vectors *= x.m.TopK
	}
	x.split(p.In, part, vectors, at)
	delete(c, "WOVEN")
	maps.Copy(c, kernels.Consts{"HIGH": 4, "WIDE": 2, "DOWN": 2, "ACROSS": 2}) // 128 rows of 64 slots, which is what a tile has
	p.Gate.add(c, "BESIDE")
	rows := p.Matrix.Rows / x.m.Experts
	x.Dispatch(expertMatrixKernel, c, (rows+127)/128, tiles,
		part.codes, x.heads(part), x.halves.both, x.halves.units, g.act.routed.chosen, g.act.routed.order, x.read(p.Bias), p.Out.Buffer, at)
}

// Slots reports how many choices the largest pass makes, as group.wgsl and matmul_experts.wgsl
// are told.
func (g *Graph) Slots(m *model.MLP) int { return g.tokens() * m.TopK }
