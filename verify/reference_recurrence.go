package verify

import (
	"context"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// state is what the recurrence of a layer remembers of the sequence. It is never changed, only replaced.
type state struct {
	tail   []float32 // [Taps−1][Channels], what the convolution was given, the latest last
	memory []float32 // [Heads][KeyDim][ValueDim]
}

func newState(m *model.Recurrence) *state {
	return &state{make([]float32, m.Tail()), make([]float32, m.Stored())}
}

// recurrence returns the output [tokens][hidden] of a layer's recurrence for the residual stream x, and keeps its state
// aside until the batch is done.
func (r *Reference) recurrence(ctx context.Context, layer int, x []float32, tokens int) ([]float32, error) {
	y := r.spec.Layer(layer)
	m := &y.Recurrence
	if y.PreNorm {
		x = append([]float32(nil), x...)
		r.norm(x, model.RoleAttnNorm, model.RoleAttnNormBias, layer)
	}
	project := func(weight, bias model.Role, rows int) (p []float32, err error) {
		if p, err = r.multiply(ctx, weight, layer, x, tokens, rows); err == nil && (bias == model.RoleDecayBias || bias != "" && m.Bias) {
			r.bias(p, bias, layer)
		}
		return p, err
	}
	_, _, roleV, roleO := y.StateRoles()
	v, err := project(roleV, model.RoleVBias, m.Width())
	if err != nil {
		return nil, err
	}
	if m.InGate {
		in, err := project(model.RoleInGate, model.RoleInGateBias, m.Width())
		if err != nil {
			return nil, err
		}
		times(v, in)
	}
	gate, err := project(model.RoleOutGate, model.RoleOutGateBias, m.Width())
	if err != nil {
		return nil, err
	}
	if m.SiLU {
		silu(gate)
	}
	before := r.states[layer]
	after := newState(m)
	r.fresh[layer] = after
	if m.KeyDim == 0 {
		v = r.convolve(layer, before.tail, after.tail, v, tokens)
	} else if v, err = r.remember(layer, before, after, v, tokens, project); err != nil {
		return nil, err
	}
	r.gateHeads(layer, v, gate, tokens)
	o, err := r.multiply(ctx, roleO, layer, v, tokens, r.spec.Hidden)
	if m.Bias {
		r.bias(o, model.RoleOBias, layer)
	}
	return o, err
}

// convolve returns the convolution of x [tokens][Channels], which comes after the tail, and sets next to what it
// remembers then.
func (r *Reference) convolve(layer int, tail, next, x []float32, tokens int) []float32 {
	m := &r.spec.Layer(layer).Recurrence
	n := m.Channels()
	all := append(append([]float32(nil), tail...), x...) // [Taps−1+tokens][Channels]
	copy(next, all[tokens*n:])
	out := make([]float32, tokens*n)
	channel := 0
	for _, part := range []struct{ weight, bias model.Role }{
		{model.RoleConvQ, model.RoleConvQBias}, {model.RoleConvK, model.RoleConvKBias}, {model.RoleConvV, model.RoleConvVBias},
	} {
		weights, bias := r.small[key{part.weight, layer}], r.small[key{part.bias, layer}]
		for c := range len(weights) / m.Taps {
			for t := range tokens {
				sum := float32(0)
				for k, w := range weights[c*m.Taps : (c+1)*m.Taps] {
					sum += w * all[(t+k)*n+channel]
				}
				if bias != nil {
					sum += bias[c]
				}
				out[t*n+channel] = sum
			}
			channel++
		}
	}
	if m.SiLU {
		silu(out)
	}
	return out
}

// remember returns what the heads read of their memories, [tokens][Heads·ValueDim], v being the values before the
// convolution.
func (r *Reference) remember(layer int, before, after *state, v []float32, tokens int, project func(weight, bias model.Role, rows int) ([]float32, error)) ([]float32, error) {
	m := &r.spec.Layer(layer).Recurrence
	roleQ, roleK, _, _ := r.spec.Layer(layer).StateRoles()
	q, err := project(roleQ, model.RoleQBias, m.KeyWidth())
	if err != nil {
		return nil, err
	}
	k, err := project(roleK, model.RoleKBias, m.KeyWidth())
	if err != nil {
		return nil, err
	}
	steps, err := project(model.RoleDecay, model.RoleDecayBias, m.Heads)
	if err != nil {
		return nil, err
	}
	var writes []float32
	if m.Delta {
		if writes, err = project(model.RoleWrite, "", m.Heads); err != nil {
			return nil, err
		}
	}
	all := r.convolve(layer, before.tail, after.tail, sideBySide(tokens, q, k, v), tokens)
	copy(after.memory, before.memory)
	out := make([]float32, tokens*m.Width())
	decay, skip := r.small[key{model.RoleDecayLog, layer}], r.small[key{model.RoleSkip, layer}]
	for t := range tokens {
		row := all[t*m.Channels() : (t+1)*m.Channels()]
		for h := range m.Heads {
			of := h / (m.Heads / m.KeyHeads) * m.KeyDim
			c := cell{
				memory: after.memory[h*m.KeyDim*m.ValueDim:][:m.KeyDim*m.ValueDim],
				q:      row[of:][:m.KeyDim], k: row[m.KeyWidth()+of:][:m.KeyDim], v: row[2*m.KeyWidth()+h*m.ValueDim:][:m.ValueDim],
			}
			step := softplus(steps[t*m.Heads+h])
			if step = max(step, m.StepMin); m.StepMax > 0 {
				step = min(step, m.StepMax)
			}
			fade := float32(math.Exp(-math.Exp(float64(decay[h])) * float64(step)))
			read := out[t*m.Width()+h*m.ValueDim:][:m.ValueDim]
			if m.Delta {
				c.correct(fade, sigmoid(writes[t*m.Heads+h]), m.ReadScale, read)
			} else {
				c.write(fade, step, m.ReadScale, read)
			}
			if m.Skip {
				add(read, c.v, skip[h])
			}
		}
	}
	return out, nil
}

// sideBySide joins rows of several matrices.
func sideBySide(rows int, matrices ...[]float32) (all []float32) {
	for t := range rows {
		for _, m := range matrices {
			n := len(m) / rows
			all = append(all, m[t*n:(t+1)*n]...)
		}
	}
	return all
}

// cell is the memory [KeyDim][ValueDim] of a head, and what it is given at a position.
type cell struct{ memory, q, k, v []float32 }

// write fades the memory, adds step·v under the key, and sets read to what the query finds.
func (c *cell) write(fade, step, scale float32, read []float32) {
	for i, k := range c.k {
		row := c.memory[i*len(c.v) : (i+1)*len(c.v)]
		for j, v := range c.v {
			row[j] = row[j]*fade + k*step*v
		}
		add(read, row, c.q[i]*scale)
	}
}

// correct is write of that share of the difference between v and what the memory has under the key. Key and query are
// of length 1.
func (c *cell) correct(fade, share, scale float32, read []float32) {
	kLength, qLength := unit(c.k), unit(c.q)
	held := make([]float32, len(c.v))
	for i, k := range c.k {
		row := c.memory[i*len(c.v) : (i+1)*len(c.v)]
		for j := range row {
			row[j] *= fade
		}
		add(held, row, k*kLength)
	}
	for j, v := range c.v {
		held[j] = share * (v - held[j])
	}
	for i, k := range c.k {
		row := c.memory[i*len(c.v) : (i+1)*len(c.v)]
		add(row, held, k*kLength)
		add(read, row, c.q[i]*qLength*scale)
	}
}

// unit returns what brings x to length 1.
func unit(x []float32) float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return float32(1 / math.Sqrt(sum+1e-6))
}

// gateHeads multiplies y [tokens][Heads·ValueDim] by the gate, and normalizes it before or after.
func (r *Reference) gateHeads(layer int, y, gate []float32, tokens int) {
	m := &r.spec.Layer(layer).Recurrence
	weight := r.small[key{model.RoleHeadsNorm, layer}]
	if m.NormGroups == 0 || m.GateFirst {
		times(y, gate)
	}
	if m.NormGroups == 0 {
		return
	}
	n := m.Width() / m.NormGroups
	for g := range tokens * m.NormGroups {
		w := weight
		if m.GateFirst {
			w = weight[g%m.NormGroups*n:][:n]
		}
		rms(y[g*n:(g+1)*n], w, float64(m.NormEps))
	}
	if !m.GateFirst {
		times(y, gate)
	}
}

// times multiplies x by y, element by element.
func times(x, y []float32) {
	for i, v := range y {
		x[i] *= v
	}
}

// silu replaces x by x·sigmoid(x).
func silu(x []float32) {
	for i, v := range x {
		x[i] = v * sigmoid(v)
	}
}

func softplus(x float32) float32 {
	return float32(math.Log1p(math.Exp(-math.Abs(float64(x)))) + max(float64(x), 0))
}
