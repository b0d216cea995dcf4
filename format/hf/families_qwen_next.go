package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// qwenNextFamilies are the models of Qwen in which most layers have memories by the delta rule, and the others attention
// with gated heads.
var qwenNextFamilies = map[string]*family{
	"qwen3_next": {
		class:   "Qwen3NextForCausalLM",
		read:    readQwen3Next,
		tensors: with(with(llamaTensors, gatedHeads), sharedExpert("mlp.shared_expert", "mlp.shared_expert_gate")),
		experts: mlpExperts,
		recurrent: with(deltaNet, merge(
			fused(source{name: "{p}layers.{l}.linear_attn.in_proj_qkvz.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV, model.RoleOutGate),
			fused(source{name: "{p}layers.{l}.linear_attn.in_proj_ba.weight", byHead: true}, model.RoleWrite, model.RoleDecay),
		)),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 48,
			"num_attention_heads": 16, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false, "head_dim": 256,
			"linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
			"linear_num_value_heads": 32, "decoder_sparse_step": 1, "moe_intermediate_size": 512,
			"shared_expert_intermediate_size": 512, "num_experts_per_tok": 10, "num_experts": 512, "norm_topk_prob": true,
			"full_attention_interval": 4, "partial_rotary_factor": 0.25, "rope_theta": 10000}`,
	},
	"qwen3_5": {class: "Qwen3_5ForConditionalGeneration", holds: &held{families: []string{"qwen3_5_text"}, ties: outerTies}},
	"qwen3_5_text": {
		class:     "Qwen3_5ForCausalLM",
		read:      readQwen35,
		tensors:   with(llamaTensors, gatedHeads),
		recurrent: deltaNet,
		prefixes:  textPrefix,
		defaults: `{"vocab_size": 248320, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32,
			"num_attention_heads": 16, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false, "head_dim": 256,
			"linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
			"linear_num_value_heads": 32, "full_attention_interval": 4, "partial_rotary_factor": 0.25, "rope_theta": 10000}`,
	},
	"qwen3_5_moe": {class: "Qwen3_5MoeForConditionalGeneration", holds: &held{families: []string{"qwen3_5_moe_text"}, ties: outerTies}},
	"qwen3_5_moe_text": {
		class:     "Qwen3_5MoeForCausalLM",
		read:      readQwen35MoE,
		tensors:   with(with(llamaTensors, gatedHeads), sharedExpert("mlp.shared_expert", "mlp.shared_expert_gate")),
		experts:   mlpExperts,
		recurrent: deltaNet,
		prefixes:  textPrefix,
		defaults: `{"vocab_size": 248320, "hidden_size": 2048, "num_hidden_layers": 40, "num_attention_heads": 16,
			"num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "head_dim": 256, "linear_conv_kernel_dim": 4,
			"linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
			"moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts_per_tok": 8, "num_experts": 256,
			"full_attention_interval": 4, "partial_rotary_factor": 0.25, "rope_theta": 10000}`,
	},
}

// gatedHeads: each head's gates lie behind its queries.
var gatedHeads = merge(
	fused(source{name: "{p}layers.{l}.self_attn.q_proj.weight", byHead: true}, model.RoleQ, model.RoleOutGate),
	fused(source{name: "{p}layers.{l}.self_attn.q_proj.bias", byHead: true}, model.RoleQBias, model.RoleOutGateBias),
)

var deltaNet = merge(
	fused(source{name: "{p}layers.{l}.linear_attn.in_proj_qkv.weight"}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}layers.{l}.linear_attn.conv1d.weight", thin: true}, model.RoleConvQ, model.RoleConvK, model.RoleConvV),
	named(map[model.Role]string{
		model.RoleOutGate:   "{p}layers.{l}.linear_attn.in_proj_z.weight",
		model.RoleWrite:     "{p}layers.{l}.linear_attn.in_proj_b.weight",
		model.RoleDecay:     "{p}layers.{l}.linear_attn.in_proj_a.weight",
		model.RoleDecayBias: "{p}layers.{l}.linear_attn.dt_bias",
		model.RoleDecayLog:  "{p}layers.{l}.linear_attn.A_log",
		model.RoleHeadsNorm: "{p}layers.{l}.linear_attn.norm.weight",
		model.RoleO:         "{p}layers.{l}.linear_attn.out_proj.weight",
	}),
)

func readQwen3Next(d *draft) {
	d.gatedAttention()
	d.mlp(true, "hidden_act", "")
	if d.has("num_experts") && d.int("num_experts", 0) == 0 {
		d.ignore("moe_intermediate_size", "shared_expert_intermediate_size", "num_experts_per_tok", "norm_topk_prob")
	} else {
		d.sparse(d.besideShared(d.moe("num_experts"), d.bool("norm_topk_prob", true)))
	}
	d.deltaNets()
}

func readQwen35(d *draft) {
	d.gatedAttention()
	d.mlp(true, "hidden_act", "")
	d.deltaNets()
}

func readQwen35MoE(d *draft) {
	d.gatedAttention()
	m := model.MLP{Gated: true, Activation: d.activation("hidden_act"), Intermediate: d.size("moe_intermediate_size", 0)}
	m.Experts, m.TopK = d.size("num_experts", 0), d.size("num_experts_per_tok", 0)
	m = d.besideShared(m, true)
	d.each(func(_ int, y *model.Layer) { y.MLP = m })
	d.deltaNets()
}

// besideShared returns the experts m beside one that all tokens share, through a gate.
func (d *draft) besideShared(m model.MLP, normalize bool) model.MLP {
	m.NormalizeTopK = normalize
	m.Shared, m.SharedGated = d.size("shared_expert_intermediate_size", 0), true
	return m
}

// gatedAttention reads what the layers with attention are.
func (d *draft) gatedAttention() {
	d.heads()
	d.rms()
	d.spec.Norm.PlusOne = true
	d.attentionBias("attention_bias", false)
	d.rope(true, ropeNames)
	d.qkNorm(model.QKNormHead)
	d.each(func(_ int, y *model.Layer) { y.Attention.Gated = true })
}

// deltaNets gives memories to the layers that have no attention: those that layer_types names or, without it, all but
// every full_attention_interval-th.
func (d *draft) deltaNets() {
	if d.layers[0].MLP.Activation != model.SiLU {
		d.fail("hidden_act", "%s: memories by the delta rule are supported with silu, which their convolutions share", d.layers[0].MLP.Activation)
	}
	r := model.Recurrence{
		Taps: d.size("linear_conv_kernel_dim", 4), SiLU: true,
		Heads: d.size("linear_num_value_heads", 0), ValueDim: d.size("linear_value_head_dim", 0),
		Memory: model.Memory{KeyHeads: d.size("linear_num_key_heads", 0), KeyDim: d.size("linear_key_head_dim", 0), Delta: true},
	}
	r.NormGroups, r.NormEps, r.ReadScale = r.Heads, d.spec.Norm.Eps, invSqrt(float64(r.KeyDim))
	if r.Heads%max(1, r.KeyHeads) != 0 {
		d.fail("linear_num_value_heads", "%d is no multiple of the %d key heads", r.Heads, r.KeyHeads)
	}
	interval := 4
	if !d.has("layer_types") {
		interval = d.size("full_attention_interval", 4)
	} else {
		d.ignore("full_attention_interval")
	}
	d.recurrent(r, "layer_types", linearAttention, func(i int) bool { return (i+1)%interval != 0 })
}
