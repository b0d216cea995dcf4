package hf

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// remoteFamilies are those that transformers has no code for: their checkpoints bring it along. A key that is not known
// to change nothing is refused.
var remoteFamilies = map[string]*family{
	"internlm2": {
		class: "InternLM2ForCausalLM",
		read:  readInternLM2,
		tensors: merge(
			named(map[model.Role]string{
				model.RoleEmbed:     "{p}tok_embeddings.weight",
				model.RoleAttnNorm:  "{p}layers.{l}.attention_norm.weight",
				model.RoleO:         "{p}layers.{l}.attention.wo.weight",
				model.RoleOBias:     "{p}layers.{l}.attention.wo.bias",
				model.RoleMLPNorm:   "{p}layers.{l}.ffn_norm.weight",
				model.RoleGate:      "{p}layers.{l}.feed_forward.w1.weight",
				model.RoleUp:        "{p}layers.{l}.feed_forward.w3.weight",
				model.RoleDown:      "{p}layers.{l}.feed_forward.w2.weight",
				model.RoleFinalNorm: "{p}norm.weight",
				model.RoleHead:      "{h}output.weight",
			}),
			fused(source{name: "{p}layers.{l}.attention.wqkv.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}layers.{l}.attention.wqkv.bias", byHead: true}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
		),
		prefixes: modelPrefix,
		remote:   true,
		defaults: `{"vocab_size": 103168, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "bias": true, "rope_theta": 10000}`,
	},
	"chatglm": {
		class: "ChatGLMModel", // so its files call it, although it has a head
		read:  readChatGLM,
		tensors: merge(
			named(map[model.Role]string{
				model.RoleEmbed:     "{p}embedding.word_embeddings.weight",
				model.RoleAttnNorm:  "{p}encoder.layers.{l}.input_layernorm.weight",
				model.RoleO:         "{p}encoder.layers.{l}.self_attention.dense.weight",
				model.RoleOBias:     "{p}encoder.layers.{l}.self_attention.dense.bias",
				model.RoleMLPNorm:   "{p}encoder.layers.{l}.post_attention_layernorm.weight",
				model.RoleDown:      "{p}encoder.layers.{l}.mlp.dense_4h_to_h.weight",
				model.RoleDownBias:  "{p}encoder.layers.{l}.mlp.dense_4h_to_h.bias",
				model.RoleFinalNorm: "{p}encoder.final_layernorm.weight",
				model.RoleHead:      "{p}output_layer.weight",
			}),
			fused(source{name: "{p}encoder.layers.{l}.self_attention.query_key_value.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}encoder.layers.{l}.self_attention.query_key_value.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
			fused(source{name: "{p}encoder.layers.{l}.mlp.dense_h_to_4h.weight"}, model.RoleGate, model.RoleUp),
			fused(source{name: "{p}encoder.layers.{l}.mlp.dense_h_to_4h.bias"}, model.RoleGateBias, model.RoleUpBias),
		),
		prefixes: gptPrefix,
		remote:   true,
		aliases: map[string]string{
			"num_hidden_layers": "num_layers", "vocab_size": "padded_vocab_size", "intermediate_size": "ffn_hidden_size", "head_dim": "kv_channels",
			"max_position_embeddings": "seq_length", "num_key_value_heads": "multi_query_group_num", "rms_norm_eps": "layernorm_epsilon",
		},
		defaults: `{"vocab_size": 65024, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 28,
			"num_attention_heads": 32, "head_dim": 128, "num_key_value_heads": 1, "max_position_embeddings": 2048,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "rmsnorm": true, "post_layer_norm": true,
			"apply_residual_connection_post_layernorm": false, "add_bias_linear": false, "add_qkv_bias": false,
			"multi_query_attention": false, "rope_ratio": 1, "original_rope": true}`,
	},
	"mimo": {
		class:    "MiMoForCausalLM",
		read:     readMiMo,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		remote:   true,
		defaults: `{"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": true, "use_sliding_window": false,
			"sliding_window": 4096, "max_window_layers": 28, "rope_theta": 10000}`,
	},
	"orion": {
		class:    "OrionForCausalLM",
		read:     readOrion,
		tensors:  biasedTensors,
		prefixes: modelPrefix,
		remote:   true,
		defaults: `{"vocab_size": 84608, "hidden_size": 4096, "intermediate_size": 15360, "num_hidden_layers": 40,
			"num_attention_heads": 40, "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "rope_theta": 10000}`,
	},
	"minicpm": {
		class:    "MiniCPMForCausalLM",
		read:     readMiniCPM,
		tensors:  llamaTensors,
		experts:  either(perExpert("mlp", "w1", "w3", "w2"), perExpert("mlp", "gate_proj", "up_proj", "down_proj")),
		prefixes: modelPrefix,
		remote:   true,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": true, "attention_bias": false, "scale_emb": 1, "dim_model_base": 1, "scale_depth": 1,
			"num_experts": 0, "num_experts_per_tok": 2, "rope_theta": 10000}`,
	},
}

// readMiMo: a Qwen2, beside layers that predict further tokens.
func readMiMo(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.qkvBias("attention_bias")
	d.rope(false, ropeNames)
	d.qwenWindows()
	if d.bool("use_mrope", false) {
		d.fail("use_mrope", "positions in several dimensions are not supported")
	}
}

// readOrion: a Llama with LayerNorm.
func readOrion(d *draft) {
	d.heads()
	d.layerNorm("rms_norm_eps")
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
}

func readInternLM2(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("bias", true)
	d.rope(false, ropeNames)
}

// readChatGLM: half of each head is rotated in pairs of neighbors, and the base of the rotation is 10000 times a ratio.
func readChatGLM(d *draft) {
	d.heads()
	d.rms()
	bias := d.bool("add_bias_linear", false)
	m := model.MLP{Gated: true, Activation: model.SiLU, Intermediate: d.size("intermediate_size", 0), Bias: bias}
	qkv := d.bool("add_qkv_bias", false) || bias
	d.each(func(_ int, y *model.Layer) {
		y.MLP = m
		y.Attention.QKVBias, y.Attention.OutBias = qkv, bias
	})
	for key, want := range map[string]bool{
		"rmsnorm": true, "post_layer_norm": true, "multi_query_attention": true, "original_rope": true,
		"apply_residual_connection_post_layernorm": false, "position_encoding_2d": false,
	} {
		if d.bool(key, false) != want {
			d.fail(key, "only models with %t are supported", want)
		}
	}
	d.size("num_layers", 0) // the first ChatGLM, which is another model, calls it otherwise
	d.values["rope_theta"] = floatValue(10000 * d.float("rope_ratio", 1))
	d.values["partial_rotary_factor"] = floatValue(0.5)
	d.rope(true, ropeNames)
	d.spec.RoPE[0].Interleaved = true
}

// readMiniCPM: what layers add, and the logits, are scaled by the size of the model.
func readMiniCPM(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.spec.EmbedScale = float32(d.float("scale_emb", 1))
	d.spec.LogitScale = float32(d.float("dim_model_base", 1) / float64(d.spec.Hidden))
	residual := float32(d.float("scale_depth", 1) / math.Sqrt(float64(len(d.layers))))
	experts, top := d.int("num_experts", 0), d.size("num_experts_per_tok", 2)
	d.each(func(_ int, y *model.Layer) {
		y.ResidualScale = residual
		if experts > 0 {
			y.MLP.Routing = model.Routing{Experts: experts, TopK: top, NormalizeTopK: true}
		}
	})
}

// harmless are keys of remote families that change nothing.
var harmless = map[string]bool{
	"initializer_range": true, "use_cache": true, "torch_dtype": true, "dtype": true, "transformers_version": true, "pretraining_tp": true,
	"attn_implementation": true, "attention_dropout": true, "hidden_dropout": true, "classifier_dropout": true, "bias_dropout_fusion": true,
	"attention_softmax_in_fp32": true, "fp32_residual_connection": true, "apply_query_key_layer_scaling": true, "name_or_path": true,
	"max_length": true, "output_attentions": true, "output_hidden_states": true, "return_dict": true, "bos_token_id": true, "eos_token_id": true,
	"pad_token_id": true, "unk_token_id": true, "sep_token_id": true, "tokenizer_class": true, "task_specific_params": true, "id2label": true, "label2id": true,
	"num_labels": true, "max_sequence_length": true, "problem_type": true, "padded_vocab_size": true,
}

// refuseUnknown refuses keys that say something and were not read, unless they are known to change nothing: of a family
// whose code is in its checkpoints, they may be anything.
func (c *config) refuseUnknown() {
	for _, key := range c.top.unread() {
		if !harmless[key] {
			c.top.fail(key, "unknown; the code of this family is not part of transformers, and what the key does there is not known")
		}
	}
}
