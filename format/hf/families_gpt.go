package hf

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

func readStarCoder2(d *draft) {
	d.heads()
	d.layerNorm("norm_epsilon")
	d.mlp(false, "hidden_act", "use_bias")
	d.attentionBias("use_bias", true)
	d.rope(false, ropeNames)
	d.uniformWindow(d.slidingWindow())
}

// gptNeoXTensors: query, key and value lie head by head in one tensor.
var gptNeoXTensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}embed_in.weight",
		model.RoleAttnNorm:      "{p}layers.{l}.input_layernorm.weight",
		model.RoleAttnNormBias:  "{p}layers.{l}.input_layernorm.bias",
		model.RoleO:             "{p}layers.{l}.attention.dense.weight",
		model.RoleOBias:         "{p}layers.{l}.attention.dense.bias",
		model.RoleMLPNorm:       "{p}layers.{l}.post_attention_layernorm.weight",
		model.RoleMLPNormBias:   "{p}layers.{l}.post_attention_layernorm.bias",
		model.RoleUp:            "{p}layers.{l}.mlp.dense_h_to_4h.weight",
		model.RoleUpBias:        "{p}layers.{l}.mlp.dense_h_to_4h.bias",
		model.RoleDown:          "{p}layers.{l}.mlp.dense_4h_to_h.weight",
		model.RoleDownBias:      "{p}layers.{l}.mlp.dense_4h_to_h.bias",
		model.RoleFinalNorm:     "{p}final_layer_norm.weight",
		model.RoleFinalNormBias: "{p}final_layer_norm.bias",
	}),
	map[model.Role]source{
		model.RoleHead: {name: "{h}embed_out.weight", instead: []source{{name: "{h}lm_head.weight"}}}, // transformers 5 calls it so in memory
	},
	fused(source{name: "{p}layers.{l}.attention.query_key_value.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}layers.{l}.attention.query_key_value.bias", byHead: true}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

func readGPTNeoX(d *draft) {
	d.dividedHeads()
	if n := d.layers[0].Attention.HeadDim; d.has("head_dim") && d.int("head_dim", n) != n {
		d.fail("head_dim", "%d: heads of this family have %d elements, hidden_size over num_attention_heads", d.int("head_dim", n), n)
	}
	d.layerNorm("layer_norm_eps")
	d.mlp(false, "hidden_act", "")
	d.attentionBias("attention_bias", true)
	d.replace("rope_theta", "rotary_emb_base")
	d.replace("partial_rotary_factor", "rotary_pct")
	d.spec.RoPE = []model.RoPE{d.frequencies(d.ropeObject(), d.float("rope_theta", 0), true, ropeNames)}
	parallel := d.bool("use_parallel_residual", true)
	d.each(func(_ int, y *model.Layer) {
		y.Parallel = parallel
		y.MLP.Bias = true
		y.Attention.RoPE = 0
	})
}

// gpt2Tensors: matrices are stored [in][out], and query, key and value lie in one tensor.
var gpt2Tensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}wte.weight",
		model.RolePositions:     "{p}wpe.weight",
		model.RoleAttnNorm:      "{p}h.{l}.ln_1.weight",
		model.RoleAttnNormBias:  "{p}h.{l}.ln_1.bias",
		model.RoleOBias:         "{p}h.{l}.attn.c_proj.bias",
		model.RoleMLPNorm:       "{p}h.{l}.ln_2.weight",
		model.RoleMLPNormBias:   "{p}h.{l}.ln_2.bias",
		model.RoleUpBias:        "{p}h.{l}.mlp.c_fc.bias",
		model.RoleDownBias:      "{p}h.{l}.mlp.c_proj.bias",
		model.RoleFinalNorm:     "{p}ln_f.weight",
		model.RoleFinalNormBias: "{p}ln_f.bias",
		model.RoleHead:          "{h}lm_head.weight",
	}),
	map[model.Role]source{
		model.RoleO:    {name: "{p}h.{l}.attn.c_proj.weight", transposed: true},
		model.RoleUp:   {name: "{p}h.{l}.mlp.c_fc.weight", transposed: true},
		model.RoleDown: {name: "{p}h.{l}.mlp.c_proj.weight", transposed: true},
	},
	fused(source{name: "{p}h.{l}.attn.c_attn.weight", transposed: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}h.{l}.attn.c_attn.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

func readGPT2(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.Positions = d.spec.MaxPositions
	m := model.MLP{
		Activation:   d.activation("activation_function"),
		Intermediate: d.size("n_inner", 4*d.spec.Hidden),
		Bias:         true,
	}
	if d.bool("add_cross_attention", false) {
		d.fail("add_cross_attention", "cross attention is not supported")
	}
	scaled, byLayer := d.bool("scale_attn_weights", true), d.bool("scale_attn_by_inverse_layer_idx", false)
	d.each(func(i int, y *model.Layer) {
		y.MLP = m
		y.Attention.QKVBias, y.Attention.OutBias = true, true
		if !scaled {
			y.Attention.Scale = 1
		}
		if byLayer {
			y.Attention.Scale /= float32(i + 1)
		}
	})
}
