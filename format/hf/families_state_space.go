package hf

import (
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// stateSpaceFamilies have layers that are a state space (Mamba 2).
var stateSpaceFamilies = map[string]*family{
	"nemotron_h": {
		class:     "NemotronHForCausalLM",
		read:      readNemotronH,
		tensors:   nemotronHTensors,
		experts:   nemotronHExperts,
		recurrent: asMLX(mamba("mixer")),
		prefixes:  backbonePrefixes,
		aliases:   map[string]string{"layers_block_type": "layer_types", "n_routed_experts": "num_local_experts"},
		defaults: `{"vocab_size": 131072, "hidden_size": 4096, "intermediate_size": 21504, "num_hidden_layers": 4,
			"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 4096,
			"tie_word_embeddings": false, "mlp_hidden_act": "relu2", "mlp_bias": false, "ssm_state_size": 128, "mamba_num_heads": 128,
			"mamba_head_dim": 64, "mamba_hidden_act": "silu", "n_groups": 8, "conv_kernel": 4, "time_step_min": 0.001,
			"use_conv_bias": true, "use_bias": false, "n_routed_experts": 8, "moe_intermediate_size": 7688,
			"moe_shared_expert_intermediate_size": 7688, "num_experts_per_tok": 2, "routed_scaling_factor": 1.0, "n_group": 1,
			"topk_group": 1, "norm_topk_prob": true, "layer_norm_epsilon": 1e-05}`,
	},
	"mamba2": {
		class: "Mamba2ForCausalLM",
		read:  readMamba2,
		tensors: named(map[model.Role]string{
			model.RoleEmbed:     "{p}embeddings.weight",
			model.RoleAttnNorm:  "{p}layers.{l}.norm.weight",
			model.RoleFinalNorm: "{p}norm_f.weight",
			model.RoleHead:      "{h}lm_head.weight",
		}),
		recurrent: asMLX(mamba("mixer")),
		prefixes:  backbonePrefixes,
		defaults: `{"vocab_size": 32768, "hidden_size": 4096, "num_hidden_layers": 64, "num_attention_heads": 1, "num_heads": 128, "head_dim": 64, "state_size": 128,
			"layer_norm_epsilon": 1e-05, "expand": 2, "conv_kernel": 4, "n_groups": 8, "use_bias": false, "use_conv_bias": true,
			"hidden_act": "silu", "tie_word_embeddings": false}`,
	},
	"falcon_h1": {
		class:     "FalconH1ForCausalLM",
		read:      readFalconH1,
		tensors:   feedForwardTensors,
		recurrent: besideAttention(mamba("mamba")),
		prefixes:  modelPrefix,
		defaults: `{"vocab_size": 128000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 8192,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "mamba_d_ssm": 1024,
			"mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_head": "auto", "mamba_d_conv": 4,
			"mamba_expand": 2, "mamba_conv_bias": true, "mamba_proj_bias": false, "mamba_norm_before_gate": true,
			"mamba_rms_norm": false, "projectors_bias": false, "lm_head_multiplier": 1.0, "embedding_multiplier": 1.0,
			"key_multiplier": 1.0, "attention_out_multiplier": 1.0, "attention_in_multiplier": 1.0, "ssm_in_multiplier": 1.0,
			"ssm_out_multiplier": 1.0, "rope_theta": 10000}`,
	},
	"bamba": {
		class:     "BambaForCausalLM",
		read:      readBamba,
		tensors:   feedForwardTensors,
		recurrent: mamba("mamba"),
		prefixes:  modelPrefix,
		defaults: `{"vocab_size": 128000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 262144,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "mamba_n_heads": 128,
			"mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_head": "auto", "mamba_d_conv": 4, "mamba_expand": 2,
			"mamba_conv_bias": true, "mamba_proj_bias": false, "rope_theta": 10000}`,
	},
}

// besideAttention gives the tensors of a recurrence the roles that they have beside attention.
func besideAttention(m map[model.Role]source) map[model.Role]source {
	beside := map[model.Role]model.Role{
		model.RoleQ: model.RoleStateQ, model.RoleK: model.RoleStateK, model.RoleV: model.RoleStateV, model.RoleO: model.RoleStateO,
	}
	to := map[model.Role]source{}
	for role, s := range m {
		s.fused = slices.Clone(s.fused)
		for i, r := range s.fused {
			if other, ok := beside[r]; ok {
				s.fused[i] = other
			}
		}
		if other, ok := beside[role]; ok {
			role = other
		}
		to[role] = s
	}
	return to
}

// backbonePrefixes: the layers are in backbone, or where most families have them.
var backbonePrefixes = []prefix{{"backbone.", ""}, {"model.", ""}, {"", ""}}

// feedForwardTensors are a Llama's but for the MLP, which is called feed_forward, and norms.
var feedForwardTensors = with(llamaTensors, named(map[model.Role]string{
	model.RoleMLPNorm:   "{p}layers.{l}.pre_ff_layernorm.weight",
	model.RoleGate:      "{p}layers.{l}.feed_forward.gate_proj.weight",
	model.RoleGateBias:  "{p}layers.{l}.feed_forward.gate_proj.bias",
	model.RoleUp:        "{p}layers.{l}.feed_forward.up_proj.weight",
	model.RoleUpBias:    "{p}layers.{l}.feed_forward.up_proj.bias",
	model.RoleDown:      "{p}layers.{l}.feed_forward.down_proj.weight",
	model.RoleDownBias:  "{p}layers.{l}.feed_forward.down_proj.bias",
	model.RoleFinalNorm: "{p}final_layernorm.weight",
}))

// nemotronHTensors: each layer is one branch, behind the same norm.
var nemotronHTensors = named(map[model.Role]string{
	model.RoleEmbed:     "{p}embeddings.weight",
	model.RoleAttnNorm:  "{p}layers.{l}.norm.weight",
	model.RoleQ:         "{p}layers.{l}.mixer.q_proj.weight",
	model.RoleK:         "{p}layers.{l}.mixer.k_proj.weight",
	model.RoleV:         "{p}layers.{l}.mixer.v_proj.weight",
	model.RoleO:         "{p}layers.{l}.mixer.o_proj.weight",
	model.RoleMLPNorm:   "{p}layers.{l}.norm.weight",
	model.RoleUp:        "{p}layers.{l}.mixer.up_proj.weight",
	model.RoleUpBias:    "{p}layers.{l}.mixer.up_proj.bias",
	model.RoleDown:      "{p}layers.{l}.mixer.down_proj.weight",
	model.RoleDownBias:  "{p}layers.{l}.mixer.down_proj.bias",
	model.RoleFinalNorm: "{p}norm_f.weight",
	model.RoleHead:      "{h}lm_head.weight",
})

var nemotronHExperts = merge(
	either(
		named(map[model.Role]string{
			model.RoleUp:   "{p}layers.{l}.mixer.experts.{e}.up_proj.weight",
			model.RoleDown: "{p}layers.{l}.mixer.experts.{e}.down_proj.weight",
		}),
		named(map[model.Role]string{
			model.RoleUp:   "{p}layers.{l}.mixer.experts.up_proj",
			model.RoleDown: "{p}layers.{l}.mixer.experts.down_proj",
		}),
		named(map[model.Role]string{ // as MLX stacks them
			model.RoleUp:   "{p}layers.{l}.mixer.switch_mlp.fc1.weight",
			model.RoleDown: "{p}layers.{l}.mixer.switch_mlp.fc2.weight",
		}),
	),
	named(map[model.Role]string{
		model.RoleRouter:        "{p}layers.{l}.mixer.gate.weight",
		model.RoleSelectionBias: "{p}layers.{l}.mixer.gate.e_score_correction_bias",
		model.RoleExpertIn:      "{p}layers.{l}.mixer.fc1_latent_proj.weight",
		model.RoleExpertOut:     "{p}layers.{l}.mixer.fc2_latent_proj.weight",
		model.RoleSharedUp:      "{p}layers.{l}.mixer.shared_experts.up_proj.weight",
		model.RoleSharedDown:    "{p}layers.{l}.mixer.shared_experts.down_proj.weight",
	}),
)

// readNemotronH: a layer is a state space, attention without RoPE, an MLP or experts.
func readNemotronH(d *draft) {
	for _, names := range [][2]string{
		{"n_groups", "mamba_n_groups"}, {"conv_kernel", "mamba_d_conv"}, {"time_step_min", "mamba_dt_min"}, {"use_conv_bias", "mamba_conv_bias"},
	} {
		if d.has(names[1]) {
			d.replace(names[0], names[1])
		}
	}
	kinds := d.branches()
	d.repeat(len(kinds))
	d.heads()
	d.spec.Norm = model.Norm{Kind: model.RMSNorm, Eps: d.epsilon("layer_norm_epsilon", 1e-5)}
	var mlp, experts model.MLP
	var mixer model.Recurrence
	if slices.Contains(kinds, "mlp") {
		mlp = model.MLP{Activation: d.activation("mlp_hidden_act"), Intermediate: d.size("intermediate_size", 0), Bias: d.bool("mlp_bias", false)}
	}
	if slices.Contains(kinds, "moe") {
		experts = d.nemotronExperts()
	}
	if slices.Contains(kinds, linearAttention) {
		mixer = d.stateSpace(mambaKeys{
			"mamba_num_heads", "n_groups", "ssm_state_size", "conv_kernel", "use_conv_bias", "use_bias", "mamba_hidden_act",
		}, d.size("mamba_head_dim", 0))
		if mixer.StepMin = float32(d.float("time_step_min", 0)); !(mixer.StepMin >= 0) {
			d.fail("time_step_min", "%g: want a number, not below 0", mixer.StepMin)
		}
	}
	d.each(func(i int, y *model.Layer) {
		if kinds[i] != fullAttention {
			y.Attention = model.Attention{}
		}
		switch kinds[i] {
		case linearAttention:
			y.Recurrence = mixer
		case "mlp":
			y.MLP = mlp
		case "moe":
			y.MLP = experts
		}
	})
}

// branches reads what each layer is, by the names of today.
func (d *draft) branches() []string {
	d.ignore("num_hidden_layers")
	kinds, others := d.strings("layers_block_type"), d.strings("layer_types")
	for i := range others { // which hold what kinds does if only one of the keys is there
		if len(others) != len(kinds) || branchKind(others[i]) != branchKind(kinds[i]) {
			d.fail("layer_types", "not the same as layers_block_type: delete the one that is wrong")
			break
		}
	}
	pattern := d.string("hybrid_override_pattern", "")
	if kinds == nil && pattern == "" {
		kinds = []string{linearAttention, "moe", fullAttention, "mlp"}
	}
	if kinds == nil {
		letters := map[rune]string{'M': linearAttention, 'E': "moe", '*': fullAttention, '-': "mlp"}
		for i, c := range pattern {
			if letters[c] == "" {
				d.fail("hybrid_override_pattern", "layer %d: %q is unknown; supported: M, E, *, -", i, c)
			}
			kinds = append(kinds, letters[c])
		}
	}
	if len(kinds) == 0 {
		d.fail("layers_block_type", "want an entry for each layer, have none")
		return []string{"mlp"}
	}
	for i, kind := range kinds {
		kinds[i] = branchKind(kind)
		if !slices.Contains([]string{linearAttention, fullAttention, "mlp", "moe"}, kinds[i]) {
			d.fail("layers_block_type", "layer %d: %q is unknown; supported: linear_attention, full_attention, mlp, moe", i, kind)
		}
	}
	return kinds
}

// branchKind returns the name of today for what a layer is.
func branchKind(name string) string {
	if name == "mamba" {
		return linearAttention
	}
	return layerType(name)
}

// nemotronExperts reads the experts of the layers that have them.
func (d *draft) nemotronExperts() model.MLP {
	if d.bool("mlp_bias", false) {
		d.fail("mlp_bias", "true: a shared expert with biases is not supported")
	}
	d.each(func(_ int, y *model.Layer) { y.MLP = model.MLP{Activation: d.activation("mlp_hidden_act")} })
	m := d.scoredExperts("n_routed_experts")
	m.Shared = d.size("moe_shared_expert_intermediate_size", 0)
	if d.has("moe_latent_size") {
		m.ExpertWidth = d.size("moe_latent_size", 0)
	}
	d.each(func(_ int, y *model.Layer) { y.MLP = model.MLP{} })
	return m
}

// readMamba2: a layer is a state space and nothing else.
func readMamba2(d *draft) {
	d.spec.Norm = model.Norm{Kind: model.RMSNorm, Eps: d.epsilon("layer_norm_epsilon", 1e-5)}
	r := d.stateSpace(mambaKeys{
		"num_heads", "n_groups", "state_size", "conv_kernel", "use_conv_bias", "use_bias", "hidden_act",
	}, d.size("head_dim", 0))
	r.StepMin, r.StepMax = d.stepLimit("time_step_limit")
	if inner := d.size("expand", 2) * d.spec.Hidden; r.Width() != inner {
		d.fail("num_heads", "%d heads of %d are not the %d elements of expand", r.Heads, r.ValueDim, inner)
	}
	d.each(func(_ int, y *model.Layer) { y.Attention, y.Recurrence = model.Attention{}, r })
}

// readBamba: attention is in the layers that attn_layer_indices lists, a state space in the others.
func readBamba(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.halfRotated()
	d.rope(true, ropeNames)
	attend, _ := d.ints("attn_layer_indices")
	r := d.mambaOf(d.size("mamba_expand", 2) * d.spec.Hidden)
	d.each(func(i int, y *model.Layer) {
		if !slices.Contains(attend, i) {
			y.Attention, y.Recurrence = model.Attention{}, r
		}
	})
}

// halfRotated sets the share of each head that is rotated, whatever is said outside of rope_parameters.
func (d *draft) halfRotated() {
	if v := d.value("partial_rotary_factor"); v != nil && string(v) != "0.5" {
		d.note("partial_rotary_factor %s is not used: half of each head is rotated, as in transformers", short(v))
	}
	d.set("partial_rotary_factor", "0.5")
}

// readFalconH1: a state space beside attention in every layer. Its multipliers are multiplied into the matrices whose inputs
// or results they scale.
func readFalconH1(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	inner := d.size("mamba_expand", 2) * d.spec.Hidden
	if d.has("mamba_d_ssm") {
		inner = d.size("mamba_d_ssm", inner)
	}
	r := d.mambaOf(inner)
	switch {
	case !d.bool("mamba_rms_norm", false):
		r.NormGroups, r.NormEps, r.GateFirst = 0, 0, false
		d.ignore("mamba_norm_before_gate")
	case d.bool("mamba_norm_before_gate", false) && r.NormGroups > 1:
		d.fail("mamba_norm_before_gate", "true is not supported with several groups (mamba_n_groups)")
	default:
		r.GateFirst = !d.bool("mamba_norm_before_gate", false)
	}
	if d.bool("projectors_bias", false) {
		d.fail("projectors_bias", "true: projections of state space layers with biases are not supported")
	}
	d.each(func(_ int, y *model.Layer) { y.Recurrence = r })
	d.spec.EmbedScale = d.multiplier("embedding_multiplier")
	d.spec.LogitScale = d.multiplier("lm_head_multiplier")
	d.falconFactors()
}

// falconFactors reads by what the matrices of Falcon H1 are multiplied.
func (d *draft) falconFactors() {
	in, out, key := d.multiplier("attention_in_multiplier"), d.multiplier("attention_out_multiplier"), d.multiplier("key_multiplier")
	stateIn, mlp := d.multiplier("ssm_in_multiplier"), d.multipliersOf("mlp_multipliers", 2)
	state := d.multipliersOf("ssm_multipliers", 5)
	d.factors = map[model.Role]float32{
		model.RoleQ: in, model.RoleV: in, model.RoleK: in * key, model.RoleKBias: key, model.RoleO: out, model.RoleOBias: out,
		model.RoleGate: mlp[0], model.RoleGateBias: mlp[0], model.RoleDown: mlp[1], model.RoleDownBias: mlp[1],
		model.RoleOutGate: stateIn * state[0], model.RoleStateV: stateIn * state[1], model.RoleStateK: stateIn * state[2],
		model.RoleStateQ: stateIn * state[3], model.RoleDecay: stateIn * state[4], model.RoleStateO: d.multiplier("ssm_out_multiplier"),
	}
}

// multiplier reads a factor, 1 if it is absent.
func (d *draft) multiplier(key string) float32 { return d.usableFactor(key, d.float(key, 1)) }

// multipliersOf reads a list of factors, ones if it is absent.
func (d *draft) multipliersOf(key string, n int) []float32 {
	factors := slices.Repeat([]float32{1}, n)
	if !d.has(key) {
		return factors
	}
	list := d.floats(key)
	if len(list) != n {
		d.fail(key, "want %d numbers, have %s", n, short(d.value(key)))
		return factors
	}
	for i, f := range list {
		factors[i] = d.usableFactor(key, f)
	}
	return factors
}

// usableFactor refuses a factor that no weights can be divided by again.
func (d *draft) usableFactor(key string, f float64) float32 {
	if !(math.Abs(f) > 1e-30 && math.Abs(f) < 1e30) {
		d.fail(key, "%g is no usable factor", f)
		return 1
	}
	return float32(f)
}
