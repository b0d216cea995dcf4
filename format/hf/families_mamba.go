package hf

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// mamba names the tensors of a state space layer (Mamba 2) that lie in a module. Its inputs B are keys, C queries, and
// x values.
func mamba(module string) map[model.Role]source {
	at := "{p}layers.{l}." + module + "."
	return merge(
		fused(source{name: at + "in_proj.weight"}, model.RoleOutGate, model.RoleV, model.RoleK, model.RoleQ, model.RoleDecay),
		fused(source{name: at + "conv1d.weight", thin: true}, model.RoleConvV, model.RoleConvK, model.RoleConvQ),
		fused(source{name: at + "conv1d.bias"}, model.RoleConvVBias, model.RoleConvKBias, model.RoleConvQBias),
		named(map[model.Role]string{
			model.RoleDecayBias: at + "dt_bias",
			model.RoleDecayLog:  at + "A_log",
			model.RoleSkip:      at + "D",
			model.RoleHeadsNorm: at + "norm.weight",
			model.RoleO:         at + "out_proj.weight",
		}),
	)
}

// asMLX lets the convolutions have the shape that MLX gives them, with the dimension of one at the end. This is only for
// families of which MLX changes no other weight: it folds multipliers into those of Falcon H1, and adds 1 to norms of others,
// and the shape is what tells such files apart.
func asMLX(m map[model.Role]source) map[model.Role]source {
	for role, s := range m {
		s.thinOrLast = s.thin
		m[role] = s
	}
	return m
}

// mambaKeys are what a family calls the sizes of its state space layers.
type mambaKeys struct{ heads, groups, state, taps, convBias, projectionBias, activation string }

// stateSpace reads the state space layers, whose heads are of the given size.
func (d *draft) stateSpace(k mambaKeys, size int) model.Recurrence {
	if d.bool(k.projectionBias, false) {
		d.fail(k.projectionBias, "true: projections of state space layers with biases are not supported")
	}
	if a := d.activation(k.activation); a != model.SiLU {
		d.fail(k.activation, "%s: state space layers are supported with silu", a)
	}
	heads, groups := d.size(k.heads, 0), d.size(k.groups, 1)
	r := model.Recurrence{
		Taps: d.size(k.taps, 4), ConvBias: d.bool(k.convBias, false), SiLU: true, Heads: heads, ValueDim: size,
		Memory:     model.Memory{KeyHeads: groups, KeyDim: d.size(k.state, 0), Skip: true, ReadScale: 1},
		NormGroups: groups, NormEps: d.spec.Norm.Eps, GateFirst: true,
	}
	if heads%groups != 0 || r.Width()%groups != 0 {
		d.fail(k.heads, "%d of %d elements are no multiple of the %d groups", heads, size, groups)
	}
	return r
}

// stepLimit reads the least and the largest step, 0 if there is no largest.
func (d *draft) stepLimit(key string) (least, most float32) {
	if !d.has(key) {
		return 0, 0
	}
	var list []any
	var limits [2]float64
	ok := d.decode(key, "two numbers", &list) && len(list) == 2
	for i := 0; ok && i < 2; i++ {
		switch v := list[i].(type) {
		case float64:
			limits[i] = v
		case map[string]any:
			limits[i], ok = math.Inf(1), v[floatTag] == "Infinity"
		default:
			ok = false
		}
	}
	if !ok || !(limits[0] >= 0 && limits[0] < limits[1] && limits[0] <= math.MaxFloat32) {
		d.fail(key, "want two numbers, none below 0, the larger one last; have %s", short(d.value(key)))
		return 0, 0
	}
	if limits[1] > math.MaxFloat32 {
		return float32(limits[0]), 0
	}
	return float32(limits[0]), float32(limits[1])
}

// graniteMamba gives state space layers to the layers that have no attention.
func (d *draft) graniteMamba() {
	r := d.mambaOf(d.size("mamba_expand", 2) * d.spec.Hidden)
	d.recurrent(r, "layers_block_type", linearAttention, func(int) bool { return true })
}

// mambaOf reads state space layers with the given number of elements, by the keys that begin with mamba.
func (d *draft) mambaOf(inner int) model.Recurrence {
	heads := d.size("mamba_n_heads", 0)
	size := inner / heads
	if d.has("mamba_d_head") && string(d.value("mamba_d_head")) != `"auto"` {
		size = d.size("mamba_d_head", size)
	}
	if size*heads != inner {
		d.fail("mamba_n_heads", "%d heads of %d are not the %d elements of the state space", heads, size, inner)
	}
	r := d.stateSpace(mambaKeys{
		"mamba_n_heads", "mamba_n_groups", "mamba_d_state", "mamba_d_conv", "mamba_conv_bias", "mamba_proj_bias", "hidden_act",
	}, max(1, size))
	r.StepMin, r.StepMax = d.stepLimit("time_step_limit")
	return r
}
