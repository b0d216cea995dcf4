package verify

import (
	"context"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// mlp returns the output [tokens][hidden] of a layer's MLP or experts for the residual stream x.
func (r *Reference) mlp(ctx context.Context, layer int, x []float32, tokens int) ([]float32, error) {
	y, stream := r.spec.Layer(layer), x
	if y.PreNorm {
		x = append([]float32(nil), x...)
		if y.OneNorm {
			r.norm(x, model.RoleAttnNorm, model.RoleAttnNormBias, layer)
		} else {
			r.norm(x, model.RoleMLPNorm, model.RoleMLPNormBias, layer)
		}
	}
	h := r.spec.Hidden
	if y.MLP.Experts == 0 {
		return r.feed(ctx, layer, half{gate: model.RoleGate, up: model.RoleUp, down: model.RoleDown, width: y.MLP.Intermediate, outer: h}, x, tokens)
	}
	out := make([]float32, tokens*h)
	if y.MLP.Shared > 0 {
		shared, err := r.feed(ctx, layer, half{
			gate: model.RoleSharedGate, up: model.RoleSharedUp, down: model.RoleSharedDown, width: y.MLP.Shared, outer: h, gated: y.MLP.SharedGated,
		}, x, tokens)
		if err != nil {
			return nil, err
		}
		out = shared
	}
	if y.MLP.Apart {
		return out, r.apart(ctx, layer, stream, out)
	}
	chosen, err := r.route(ctx, layer, x)
	if err != nil {
		return nil, err
	}
	if y.MLP.ExpertWidth == 0 {
		return out, r.experts(ctx, layer, chosen, x, out)
	}
	narrow, err := r.multiply(ctx, model.RoleExpertIn, layer, x, tokens, y.MLP.ExpertWidth)
	if err != nil {
		return nil, err
	}
	made := make([]float32, len(narrow))
	if err := r.experts(ctx, layer, chosen, narrow, made); err != nil {
		return nil, err
	}
	wide, err := r.multiply(ctx, model.RoleExpertOut, layer, made, tokens, h)
	add(out, wide, 1)
	return out, err
}

// apart normalizes out [tokens][hidden], which a shared expert has made, and adds what the chosen experts make of the
// residual stream x by norms of their own.
func (r *Reference) apart(ctx context.Context, layer int, x, out []float32) error {
	r.norm(out, model.RolePostShared, "", layer)
	routed, input := slices.Clone(x), slices.Clone(x)
	r.norm(routed, model.RoleRouterNorm, "", layer)
	r.norm(input, model.RoleExpertsNorm, "", layer)
	made := make([]float32, len(x))
	chosen, err := r.route(ctx, layer, routed)
	if err != nil {
		return err
	}
	if err := r.experts(ctx, layer, chosen, input, made); err != nil {
		return err
	}
	r.norm(made, model.RolePostExperts, "", layer)
	add(out, made, 1)
	return nil
}

// half names the matrices of one MLP: of the layer's own, of its shared expert or of one expert.
type half struct {
	gate, up, down model.Role
	width          int // rows of gate and up
	outer          int // rows of down
	expert         int
	gated          bool // what the MLP makes of a token is multiplied by the sigmoid of shared_router·x
}

// feed returns down(act(gate(x))·up(x)), [tokens][outer].
func (r *Reference) feed(ctx context.Context, layer int, m half, x []float32, tokens int) ([]float32, error) {
	spec := &r.spec.Layer(layer).MLP
	up, err := r.multiplyRows(ctx, m.up, layer, m.expert*m.width, x, tokens, m.width)
	if err != nil {
		return nil, err
	}
	r.expertBias(up, model.RoleUpBias, m, layer)
	inner := up
	if spec.Gated {
		inner, err = r.multiplyRows(ctx, m.gate, layer, m.expert*m.width, x, tokens, m.width)
		if err != nil {
			return nil, err
		}
		r.expertBias(inner, model.RoleGateBias, m, layer)
	}
	sparsen(spec, inner, tokens)
	clamp(inner, up, spec)
	if err := r.activate(ctx, layer, inner, tokens); err != nil {
		return nil, err
	}
	if spec.Gated {
		for i, v := range up {
			inner[i] *= v + spec.UpOffset
		}
	}
	if m.gated {
		if err := r.gate(ctx, layer, x, inner, tokens); err != nil {
			return nil, err
		}
	}
	out, err := r.multiplyRows(ctx, m.down, layer, m.expert*m.outer, inner, tokens, m.outer)
	r.expertBias(out, model.RoleDownBias, m, layer)
	return out, err
}

// clamp bounds gates and ups.
func clamp(gates, ups []float32, m *model.MLP) {
	if m.Limit == 0 {
		return
	}
	for i, v := range gates {
		gates[i] = min(v, m.Limit)
	}
	for i, v := range ups {
		ups[i] = max(-m.Limit, min(v, m.Limit))
	}
}

// gate multiplies the vectors inner, one for each token of x, by the sigmoid of shared_router·x.
func (r *Reference) gate(ctx context.Context, layer int, x, inner []float32, tokens int) error {
	scores, err := r.multiply(ctx, model.RoleSharedRouter, layer, x, tokens, 1)
	width := len(inner) / tokens
	for t, v := range scores {
		score := sigmoid(v)
		for i := range width {
			inner[t*width+i] *= score
		}
	}
	return err
}

func sigmoid(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }

// expertBias adds the bias of one expert, or of the only MLP, to every row of x. Shared experts
// have none.
func (r *Reference) expertBias(x []float32, role model.Role, m half, layer int) {
	b := r.small[key{role, layer}]
	if b == nil || m.up == model.RoleSharedUp {
		return
	}
	n := len(b) / max(1, r.spec.Layer(layer).MLP.Experts)
	for ; len(x) > 0; x = x[n:] {
		add(x[:n], b[m.expert*n:][:n], 1)
	}
}

func (r *Reference) activate(ctx context.Context, layer int, x []float32, tokens int) error {
	m, n := &r.spec.Layer(layer).MLP, len(x)/tokens
	var numbers [4]float64
	for i, role := range model.ActRoles {
		if v := r.small[key{role, layer}]; v != nil {
			numbers[i] = float64(v[0])
		}
	}
	return r.parallel(ctx, tokens, func() func(int) error {
		return func(t int) error {
			row := x[t*n : (t+1)*n]
			if m.Slope != 0 {
				for i, v := range row {
					row[i] = v * sigmoid(m.Slope*v)
				}
				return nil
			}
			for i, v := range row {
				if m.Activation == model.XIELU {
					row[i] = xielu(float64(v), numbers)
				} else {
					row[i] = activation(m.Activation, v)
				}
			}
			return nil
		}
	})
}

// xielu computes XIELU by the numbers of model.ActRoles.
func xielu(x float64, numbers [4]float64) float32 {
	positive, negative := math.Log1p(math.Exp(numbers[0])), math.Log1p(math.Exp(numbers[1]))
	beta, eps := numbers[2], numbers[3]
	if x > 0 {
		return float32(positive*x*x + beta*x)
	}
	return float32((math.Expm1(min(x, eps))-x)*(beta+negative) + beta*x)
}

func activation(kind model.Activation, v float32) float32 {
	x := float64(v)
	switch kind {
	case model.SiLU:
		return float32(x / (1 + math.Exp(-x)))
	case model.GELU:
		return float32(x / 2 * (1 + math.Erf(x/math.Sqrt2)))
	case model.GELUTanh:
		return float32(x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
	case model.ReLU2:
		v = max(v, 0)
		return v * v
	default: // ReLU: Validate knows no other
		return max(v, 0)
	}
}

// sent is a token that a router sends to an expert.
type sent struct {
	token  int
	weight float32 // multiplies what the expert is given, or what it makes of it: see model.MLP
}

// factor returns the weight where it multiplies, 1 elsewhere.
func (s sent) factor(here bool) float32 {
	if here {
		return s.weight
	}
	return 1
}

// route returns, for each expert of a layer, the tokens that it is sent, in order, when the router is given
// x [tokens][hidden].
func (r *Reference) route(ctx context.Context, layer int, x []float32) ([][]sent, error) {
	m, tokens := &r.spec.Layer(layer).MLP, len(x)/r.spec.Hidden
	logits, err := r.multiply(ctx, model.RoleRouter, layer, x, tokens, m.Experts)
	if err != nil {
		return nil, err
	}
	r.bias(logits, model.RoleRouterBias, layer)
	if m.RouterScale != 0 {
		scale(logits, m.RouterScale)
	}
	byExpert := r.small[key{model.RoleExpertScale, layer}]
	selection := r.small[key{model.RoleSelectionBias, layer}]
	chosen := make([][]sent, m.Experts)
	for t := range tokens {
		route(&m.Routing, logits[t*m.Experts:(t+1)*m.Experts], selection, func(expert int, weight float32) {
			if byExpert != nil {
				weight *= byExpert[expert]
			}
			chosen[expert] = append(chosen[expert], sent{t, weight})
		})
	}
	return chosen, nil
}

// experts adds to out, as wide as x, what the chosen experts make of x. Experts are visited in
// order, so that a token's sum does not depend on the other tokens.
func (r *Reference) experts(ctx context.Context, layer int, chosen [][]sent, x, out []float32) error {
	for e, sent := range chosen {
		if len(sent) == 0 {
			continue
		}
		if err := r.expert(ctx, layer, e, sent, x, out); err != nil {
			return err
		}
	}
	return nil
}

// expert adds the output of expert e for the tokens that it is sent.
func (r *Reference) expert(ctx context.Context, layer, e int, sent []sent, x, out []float32) error {
	m := &r.spec.Layer(layer).MLP
	h := m.Outer(r.spec.Hidden)
	input := make([]float32, len(sent)*h)
	for i, s := range sent {
		add(input[i*h:(i+1)*h], x[s.token*h:(s.token+1)*h], s.factor(m.WeightInput))
	}
	y, err := r.feed(ctx, layer, half{gate: model.RoleGate, up: model.RoleUp, down: model.RoleDown, width: m.Intermediate, outer: h, expert: e}, input, len(sent))
	if err != nil {
		return err
	}
	for i, s := range sent {
		add(out[s.token*h:(s.token+1)*h], y[i*h:(i+1)*h], s.factor(!m.WeightInput))
	}
	return nil
}
