package verify

import (
	"context"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// mlp returns the output [tokens][hidden] of a layer's MLP or experts for the residual stream x.
func (r *Reference) mlp(ctx context.Context, layer int, x []float32, tokens int) ([]float32, error) {
	y := r.spec.Layer(layer)
	if y.PreNorm {
		x = append([]float32(nil), x...)
		r.norm(x, model.RoleMLPNorm, model.RoleMLPNormBias, layer)
	}
	if y.MLP.Experts == 0 {
		return r.feed(ctx, layer, half{gate: model.RoleGate, up: model.RoleUp, down: model.RoleDown, width: y.MLP.Intermediate}, x, tokens)
	}
	out := make([]float32, tokens*r.spec.Hidden)
	if y.MLP.Shared > 0 {
		shared, err := r.feed(ctx, layer, half{gate: model.RoleSharedGate, up: model.RoleSharedUp, down: model.RoleSharedDown, width: y.MLP.Shared}, x, tokens)
		if err != nil {
			return nil, err
		}
		out = shared
	}
	return out, r.experts(ctx, layer, x, out, tokens)
}

// half names the matrices of one MLP: of the layer's own, of its shared expert or of one expert.
type half struct {
	gate, up, down model.Role
	width          int // rows of gate and up
	expert         int
}

// feed returns down(act(gate(x))·up(x)), [tokens][hidden].
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
	if err := r.activate(ctx, spec.Activation, inner, tokens); err != nil {
		return nil, err
	}
	if spec.Gated {
		for i, v := range up {
			inner[i] *= v
		}
	}
	out, err := r.multiplyRows(ctx, m.down, layer, m.expert*r.spec.Hidden, inner, tokens, r.spec.Hidden)
	r.expertBias(out, model.RoleDownBias, m, layer)
	return out, err
}

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

func (r *Reference) activate(ctx context.Context, kind model.Activation, x []float32, tokens int) error {
	n := len(x) / tokens
	return r.parallel(ctx, tokens, func() func(int) error {
		return func(t int) error {
			row := x[t*n : (t+1)*n]
			if r.options.Vector && activateVector(kind, row) {
				return nil
			}
			for i, v := range row {
				row[i] = activation(kind, v)
			}
			return nil
		}
	})
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
	default: // ReLU: Validate knows no other
		return max(v, 0)
	}
}

// choice is one expert of one token.
type choice struct {
	token  int
	weight float32
}

// experts adds to out [tokens][hidden] what the chosen experts make of x. Experts are visited in
// order, so that a token's sum does not depend on the other tokens.
func (r *Reference) experts(ctx context.Context, layer int, x, out []float32, tokens int) error {
	m := &r.spec.Layer(layer).MLP
	logits, err := r.multiply(ctx, model.RoleRouter, layer, x, tokens, m.Experts)
	if err != nil {
		return err
	}
	chosen := make([][]choice, m.Experts)
	for t := range tokens {
		route(m, logits[t*m.Experts:(t+1)*m.Experts], func(expert int, weight float32) {
			chosen[expert] = append(chosen[expert], choice{t, weight})
		})
	}
	for e, choices := range chosen {
		if len(choices) == 0 {
			continue
		}
		if err := r.expert(ctx, layer, e, choices, x, out); err != nil {
			return err
		}
	}
	return nil
}

// expert adds the output of expert e for the tokens that chose it.
func (r *Reference) expert(ctx context.Context, layer, e int, choices []choice, x, out []float32) error {
	m, h := &r.spec.Layer(layer).MLP, r.spec.Hidden
	input := make([]float32, len(choices)*h)
	for i, c := range choices {
		inputScale := float32(1)
		if m.WeightInput {
			inputScale = c.weight
		}
		add(input[i*h:(i+1)*h], x[c.token*h:(c.token+1)*h], inputScale)
	}
	y, err := r.feed(ctx, layer, half{gate: model.RoleGate, up: model.RoleUp, down: model.RoleDown, width: m.Intermediate, expert: e}, input, len(choices))
	if err != nil {
		return err
	}
	for i, c := range choices {
		outputScale := c.weight
		if m.WeightInput {
			outputScale = 1
		}
		add(out[c.token*h:(c.token+1)*h], y[i*h:(i+1)*h], outputScale)
	}
	return nil
}

// route calls choose with the TopK experts of the largest logits and their weights; of equal
// logits the first wins.
func route(m *model.MLP, logits []float32, choose func(expert int, weight float32)) {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	weights := slices.Clone(logits)
	if m.Sigmoid {
		for i, v := range weights {
			weights[i] = float32(1 / (1 + math.Exp(-float64(v))))
		}
	} else {
		softmax(weights)
	}
	sum := float32(1)
	if m.NormalizeTopK {
		sum = 0
		for _, e := range order[:m.TopK] {
			sum += weights[e]
		}
	}
	for _, e := range order[:m.TopK] {
		choose(e, weights[e]/sum)
	}
}
