package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// alibiFamilies know where a token is by what scores lose with distance.
var alibiFamilies = map[string]*family{
	"bloom": {
		class: "BloomForCausalLM",
		read:  readBloom,
		tensors: with(falconTensors, named(map[model.Role]string{
			model.RoleEmbedNorm:     "{p}word_embeddings_layernorm.weight",
			model.RoleEmbedNormBias: "{p}word_embeddings_layernorm.bias",
		})),
		prefixes: gptPrefix,
		aliases:  map[string]string{"num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "hidden_size": "n_embed"},
		defaults: `{"vocab_size": 250880, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
			"layer_norm_epsilon": 1e-05, "apply_residual_connection_post_layernorm": false, "tie_word_embeddings": true}`,
	},
	"mpt": {
		class: "MptForCausalLM",
		read:  readMPT,
		tensors: with(
			named(map[model.Role]string{
				model.RoleEmbed:     "{p}wte.weight",
				model.RoleAttnNorm:  "{p}blocks.{l}.norm_1.weight",
				model.RoleO:         "{p}blocks.{l}.attn.out_proj.weight",
				model.RoleMLPNorm:   "{p}blocks.{l}.norm_2.weight",
				model.RoleUp:        "{p}blocks.{l}.ffn.up_proj.weight",
				model.RoleDown:      "{p}blocks.{l}.ffn.down_proj.weight",
				model.RoleFinalNorm: "{p}norm_f.weight",
				model.RoleHead:      "{h}lm_head.weight",
			}),
			fused(source{name: "{p}blocks.{l}.attn.Wqkv.weight"}, model.RoleQ, model.RoleK, model.RoleV),
		),
		prefixes: gptPrefix,
		aliases:  map[string]string{"hidden_size": "d_model", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"},
		defaults: `{"hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 24, "max_seq_len": 2048,
			"vocab_size": 50368, "layer_norm_epsilon": 1e-05, "tie_word_embeddings": true}`,
	},
}

// readBloom: the embedding is normalized, and a score is q·k, scaled, less a slope times the distance.
func readBloom(d *draft) {
	d.sameWidth()
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.EmbedNorm = true
	d.each(func(_ int, y *model.Layer) {
		y.MLP = model.MLP{Activation: model.GELUTanh, Intermediate: 4 * d.spec.Hidden, Bias: true}
		y.Attention.QKVBias, y.Attention.OutBias = true, true
		y.Attention.ALiBi, y.Attention.ALiBiScale = 8, 1
	})
	if d.bool("apply_residual_connection_post_layernorm", false) {
		d.fail("apply_residual_connection_post_layernorm", "branches that are added to what the norms make are not supported")
	}
}

// sameWidth refuses an n_embed that says something else than hidden_size.
func (d *draft) sameWidth() {
	if n := d.int("n_embed", d.spec.Hidden); n != d.spec.Hidden {
		d.fail("n_embed", "%d, but hidden_size is %d", n, d.spec.Hidden)
	}
}

// readMPT: nothing has a bias.
func readMPT(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.Norm.Bias = false
	d.spec.MaxPositions = d.size("max_seq_len", 2048)
	d.each(func(_ int, y *model.Layer) {
		y.MLP = model.MLP{Activation: model.GELU, Intermediate: 4 * d.spec.Hidden}
		y.Attention.ALiBi, y.Attention.ALiBiScale = 8, 1
	})
	if o := d.object.object("attn_config"); o != nil {
		a := &draft{object: o, spec: d.spec, layers: d.layers}
		a.clip("clip_qkv")
		scale := o.float("softmax_scale", float64(d.layers[0].Attention.Scale))
		d.each(func(_ int, y *model.Layer) { y.Attention.Scale = float32(scale) })
		if n := o.float("alibi_bias_max", 8); n != 8 {
			o.fail("alibi_bias_max", "%g: programs disagree on whether it counts; transformers computes with 8", n)
		}
	}
}
