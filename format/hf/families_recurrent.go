package hf

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// recurrentFamilies have layers that remember a sequence by a state of fixed size.
var recurrentFamilies = map[string]*family{
	"lfm2": {
		class:     "Lfm2ForCausalLM",
		read:      readLFM2,
		tensors:   lfm2Tensors,
		recurrent: lfm2Convolution,
		prefixes:  textPrefix,
		defaults: `{"vocab_size": 65536, "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128000, "norm_eps": 1e-05,
			"tie_word_embeddings": true, "conv_bias": false, "conv_L_cache": 3, "block_multiple_of": 256,
			"block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": true, "rope_theta": 1000000}`,
	},
	"lfm2_moe": {
		class:   "Lfm2MoeForCausalLM",
		read:    readLFM2MoE,
		tensors: lfm2Tensors,
		experts: with(either(perExpert("feed_forward", "w1", "w3", "w2"), stackedExperts("feed_forward")), named(map[model.Role]string{
			model.RoleSelectionBias: "{p}layers.{l}.feed_forward.expert_bias",
		})),
		recurrent: lfm2Convolution,
		prefixes:  modelPrefix,
		defaults: `{"vocab_size": 65536, "hidden_size": 2048, "intermediate_size": 7168, "moe_intermediate_size": 1792,
			"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 128000,
			"norm_eps": 1e-05, "tie_word_embeddings": true, "conv_bias": false, "conv_L_cache": 3, "num_dense_layers": 2,
			"num_experts_per_tok": 4, "num_experts": 32, "use_expert_bias": true, "routed_scaling_factor": 1.0,
			"norm_topk_prob": true, "rope_theta": 1000000}`,
	},
	"lfm2_vl": {class: "Lfm2VlForConditionalGeneration", holds: &held{families: []string{"lfm2"}, ties: outerTies, tied: true}},
}

var lfm2Tensors = with(llamaTensors, named(map[model.Role]string{
	model.RoleAttnNorm:  "{p}layers.{l}.operator_norm.weight",
	model.RoleQNorm:     "{p}layers.{l}.self_attn.q_layernorm.weight",
	model.RoleKNorm:     "{p}layers.{l}.self_attn.k_layernorm.weight",
	model.RoleO:         "{p}layers.{l}.self_attn.out_proj.weight",
	model.RoleMLPNorm:   "{p}layers.{l}.ffn_norm.weight",
	model.RoleGate:      "{p}layers.{l}.feed_forward.w1.weight",
	model.RoleUp:        "{p}layers.{l}.feed_forward.w3.weight",
	model.RoleDown:      "{p}layers.{l}.feed_forward.w2.weight",
	model.RoleFinalNorm: "{p}embedding_norm.weight",
}))

var lfm2Convolution = merge(
	fused(source{name: "{p}layers.{l}.conv.in_proj.weight"}, model.RoleInGate, model.RoleOutGate, model.RoleV),
	fused(source{name: "{p}layers.{l}.conv.in_proj.bias"}, model.RoleInGateBias, model.RoleOutGateBias, model.RoleVBias),
	named(map[model.Role]string{
		model.RoleO:         "{p}layers.{l}.conv.out_proj.weight",
		model.RoleOBias:     "{p}layers.{l}.conv.out_proj.bias",
		model.RoleConvVBias: "{p}layers.{l}.conv.conv.bias",
	}),
	map[model.Role]source{model.RoleConvV: {name: "{p}layers.{l}.conv.conv.weight", thin: true}},
)

func readLFM2(d *draft) {
	d.lfm2()
	d.mlpOf(model.SiLU)
	width := d.size("block_ff_dim", d.size("intermediate_size", 0))
	if d.bool("block_auto_adjust_ff_dim", true) {
		width = 2 * width / 3
		if d.has("block_ffn_dim_multiplier") {
			unit := d.size("block_multiple_of", 256)
			width = (int(d.float("block_ffn_dim_multiplier", 1)*float64(width)) + unit - 1) / unit * unit
		}
	}
	d.each(func(_ int, y *model.Layer) { y.MLP.Intermediate = width })
	attend, listed := d.ints("full_attn_idxs")
	d.lfm2Layers(func(i int) bool { return listed && !slices.Contains(attend, i) })
}

func readLFM2MoE(d *draft) {
	d.lfm2()
	d.mlpOf(model.SiLU)
	m := model.MLP{Gated: true, Activation: model.SiLU, Intermediate: d.size("moe_intermediate_size", 0), Routing: model.Routing{
		Experts: d.size("num_experts", 0), TopK: d.size("num_experts_per_tok", 0), Sigmoid: true,
		NormalizeTopK: d.bool("norm_topk_prob", true), SelectionBias: d.bool("use_expert_bias", true),
		RouteScale: float32(d.float("routed_scaling_factor", 1)),
	}}
	dense := d.int("num_dense_layers", 0)
	d.each(func(i int, y *model.Layer) {
		if i >= dense {
			y.MLP = m
		}
	})
	d.lfm2Layers(func(int) bool { return false })
}

// lfm2 reads what all layers share.
func (d *draft) lfm2() {
	d.heads()
	d.spec.Norm = model.Norm{Kind: model.RMSNorm, Eps: d.epsilon("norm_eps", 1e-5)}
	d.spec.TiedHead = d.bool("tie_embedding", d.spec.TiedHead)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormHead)
}

// lfm2Layers gives convolutions to the layers that have no attention.
func (d *draft) lfm2Layers(fallback func(i int) bool) {
	bias := d.bool("conv_bias", false)
	r := model.Recurrence{
		Taps: d.size("conv_L_cache", 3), ConvBias: bias, Bias: bias, InGate: true, Heads: 1, ValueDim: d.spec.Hidden,
	}
	d.recurrent(r, "layer_types", "conv", fallback)
}

// recurrent puts a recurrence into the place of attention in the layers that the list under a key calls by a name or,
// without a list, of which fallback says so.
func (d *draft) recurrent(r model.Recurrence, key, name string, fallback func(i int) bool) {
	types := d.strings(key)
	if d.has(key) && len(types) != len(d.layers) {
		d.fail(key, "%d entries for %d layers", len(types), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		switch {
		case types == nil && !fallback(i), types != nil && layerType(types[i]) == fullAttention:
		case types == nil || types[i] == name || types[i] == "mamba" && name == linearAttention:
			y.Attention, y.Recurrence = model.Attention{}, r
		default:
			d.fail(key, "layer %d: %q is unknown; supported: %s, %s", i, types[i], fullAttention, name)
		}
	})
}
