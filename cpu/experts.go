package cpu

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// Sent is a token that a router sends to an expert.
type Sent struct {
	Token  int
	Weight float32 // multiplies what the expert is given, or what it makes of it: see model.MLP
	Share  float32 // of the sum of weights of the token's experts
}

// routing is memory for choosing experts.
type routing struct {
	sent          [][]Sent // by expert
	scores, ranks []float32
	best          []float32 // by group
	order         order
}

// Route returns, for each expert of a layer, the tokens that it is sent, in order, when the MLP is given x
// [tokens][hidden], or the layer's residual stream is x if it has norms for the router and the experts alone.
func (e *Engine) Route(ctx context.Context, layer int, x []float32) ([][]Sent, error) {
	var to routing
	err := e.route(ctx, layer, &room{}, x, &to)
	return to.sent, err
}

func (e *Engine) route(ctx context.Context, layer int, r *room, x []float32, to *routing) error {
	y, tokens := &e.layers[layer], len(x)/e.spec.Hidden
	n := y.MLP.Experts
	if y.MLP.Apart {
		normed := r.rows(tokens, e.spec.Hidden)
		e.normalize(y.apart.router, normed, x, tokens)
		x = normed
	}
	logits := r.rows(tokens, n)
	if err := e.product(ctx, r, x, tokens, part{matrix: y.router, rows: n, y: logits, bias: y.routerBias}); err != nil {
		return err
	}
	for len(to.sent) < n {
		to.sent = append(to.sent, nil)
	}
	to.sent = to.sent[:n]
	for i := range to.sent {
		to.sent[i] = to.sent[i][:0]
	}
	if y.MLP.RouterScale != 0 {
		simd.Scale(logits, y.MLP.RouterScale)
	}
	for t := range tokens {
		to.token(&y.MLP.Routing, t, logits[t*n:(t+1)*n], y.selectionBias, y.expertScale)
	}
	return nil
}

// token sends a token to the TopK experts that rank best; of equals the first wins.
func (to *routing) token(m *model.Routing, t int, logits, selection, byExpert []float32) {
	to.scores = append(to.scores[:0], logits...)
	if m.Sigmoid {
		for i, v := range to.scores {
			to.scores[i] = sigmoid(v)
		}
	} else {
		simd.Softmax(to.scores)
	}
	to.ranks = append(to.ranks[:0], logits...)
	if m.ByScore() {
		copy(to.ranks, to.scores)
	}
	for i, v := range selection {
		to.ranks[i] += v
	}
	if m.Groups > 0 {
		to.limit(m)
	}
	chosen, sum, scale := float32(0), float32(1), float32(1) // chosen: the sum of the scores of the chosen
	order := to.order.descending(to.ranks)[:m.TopK]
	if m.Mixer > 0 {
		to.mix(m, logits, order)
	}
	for _, e := range order {
		chosen += to.scores[e]
	}
	if m.NormalizeTopK {
		sum = chosen
	}
	if m.RouteScale != 0 {
		scale = m.RouteScale
	}
	for _, e := range order {
		s := to.scores[e]
		weight := s / sum * scale
		if byExpert != nil {
			weight *= byExpert[e]
		}
		to.sent[e] = append(to.sent[e], Sent{Token: t, Weight: weight, Share: s / chosen})
	}
}

// mix sets the scores of the chosen by Mixer.
func (to *routing) mix(m *model.Routing, logits []float32, order []int) {
	for i, e := range order {
		sum := 0.0
		for j, l := range logits {
			near := (logits[e]-l)/max(float32(math.Abs(float64(l))), logits[e]) <= m.Mixer
			if near && !slices.Contains(order[:i], j) {
				sum += math.Exp(float64(l - logits[e]))
			}
		}
		to.scores[e] = float32(1 / sum)
	}
}

// limit gives the experts outside the TopGroups best groups the lowest rank.
func (to *routing) limit(m *model.Routing) {
	size := m.Experts / m.Groups
	to.best = to.best[:0]
	for g := range m.Groups {
		group, sum := to.ranks[g*size:(g+1)*size], float32(0)
		for _, e := range to.order.descending(group)[:m.GroupBest] {
			sum += group[e]
		}
		to.best = append(to.best, sum)
	}
	for _, g := range to.order.descending(to.best)[m.TopGroups:] {
		for e := range size {
			to.ranks[g*size+e] = float32(math.Inf(-1))
		}
	}
}

// order is memory for sorting.
type order struct{ indices []int }

// descending returns the indices of x from the largest to the smallest element; of equals the first comes first. The
// next call overwrites them.
func (o *order) descending(x []float32) []int {
	o.indices = o.indices[:0]
	for i := range x {
		o.indices = append(o.indices, i)
	}
	slices.SortStableFunc(o.indices, func(a, b int) int { return cmp.Compare(x[b], x[a]) })
	return o.indices
}

func sigmoid(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }

// experts adds to out [tokens][hidden] what the chosen experts make of x. Experts are visited in order: each multiplies
// all tokens that it is sent together.
func (e *Engine) experts(ctx context.Context, layer int, r *room, x, out []float32) error {
	mark := r.mark()
	defer r.release(mark)
	if err := e.route(ctx, layer, r, x, &e.routing); err != nil {
		return err
	}
	narrow, err := e.narrow(ctx, layer, r, x)
	if err != nil {
		return err
	}
	y := &e.layers[layer]
	if y.expertOut == nil {
		return e.chosen(ctx, layer, r, narrow, out)
	}
	made, wide := r.rows(len(x)/e.spec.Hidden, y.MLP.ExpertWidth), r.rows(len(x)/e.spec.Hidden, e.spec.Hidden)
	clear(made)
	if err := e.chosen(ctx, layer, r, narrow, made); err != nil {
		return err
	}
	err = e.product(ctx, r, made, len(x)/e.spec.Hidden, part{matrix: y.expertOut, rows: e.spec.Hidden, y: wide})
	simd.Add(out, wide, 1)
	return err
}

// narrow returns what the experts of a layer are sent of x [tokens][hidden]: expert_in·x, or x itself.
func (e *Engine) narrow(ctx context.Context, layer int, r *room, x []float32) ([]float32, error) {
	y, tokens := &e.layers[layer], len(x)/e.spec.Hidden
	if y.expertIn == nil {
		return x, nil
	}
	narrow := r.rows(tokens, y.MLP.ExpertWidth)
	return narrow, e.product(ctx, r, x, tokens, part{matrix: y.expertIn, rows: y.MLP.ExpertWidth, y: narrow})
}

// chosen adds to out, as wide as x, what the experts that tokens were sent to make of x.
func (e *Engine) chosen(ctx context.Context, layer int, r *room, x, out []float32) error {
	for expert, sent := range e.routing.sent {
		if len(sent) == 0 {
			continue
		}
		m := r.mark()
		if err := e.expert(ctx, layer, r, expert, sent, x, out); err != nil {
			return err
		}
		r.release(m)
	}
	return nil
}

// Experts returns what the experts of a layer make together of x [tokens][hidden], as Route is given it, shared ones left
// out.
func (e *Engine) Experts(ctx context.Context, layer int, x []float32) ([]float32, error) {
	out := make([]float32, len(x))
	return out, e.experts(ctx, layer, &room{}, x, out)
}

// ExpertInputs returns what an expert's gate and up projections are given of inputs x [tokens][hidden] of the router:
// [sent][MLP.Outer].
func (e *Engine) ExpertInputs(ctx context.Context, layer int, sent []Sent, x []float32) ([]float32, error) {
	r := &room{}
	narrow, err := e.narrow(ctx, layer, r, x)
	if err != nil {
		return nil, err
	}
	return e.expertInputs(layer, r, sent, narrow), nil
}

func (e *Engine) expertInputs(layer int, r *room, sent []Sent, x []float32) []float32 {
	h := e.layers[layer].own.outer
	input := r.rows(len(sent), h)
	for i, s := range sent {
		row := input[i*h : (i+1)*h]
		copy(row, x[s.Token*h:(s.Token+1)*h])
		if e.layers[layer].MLP.WeightInput {
			simd.Scale(row, s.Weight)
		}
	}
	if n := e.layers[layer].apart.experts; n != nil {
		e.normalize(n, input, input, len(sent))
	}
	return input
}

// ExpertInner returns what an expert's down projection is given for these, [sent][Intermediate], before weights.
func (e *Engine) ExpertInner(ctx context.Context, layer, expert int, input []float32) ([]float32, error) {
	y := &e.layers[layer]
	return e.inner(ctx, &room{}, y, &y.own, expert, input)
}

// expert adds the output of an expert for the tokens that it is sent.
func (e *Engine) expert(ctx context.Context, layer int, r *room, expert int, sent []Sent, x, out []float32) error {
	y := &e.layers[layer]
	h := y.own.outer
	made := r.rows(len(sent), h)
	if err := e.half(ctx, r, y, &y.own, expert, e.expertInputs(layer, r, sent, x), made, nil); err != nil {
		return err
	}
	for i, s := range sent {
		scale := s.Weight
		if y.MLP.WeightInput {
			scale = 1
		}
		simd.Add(out[s.Token*h:(s.Token+1)*h], made[i*h:(i+1)*h], scale)
	}
	return nil
}
