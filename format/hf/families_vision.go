package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// visionFamilies are multimodal models, of which the language model is read, and the language models that only they
// have. For text alone, the three positions that their RoPE knows are one and the same.
var visionFamilies = map[string]*family{
	"gemma3":   {class: "Gemma3ForConditionalGeneration", holds: &held{families: []string{"gemma3_text"}, ties: outerTies, tied: true}, read: refuseCap},
	"llama4":   {class: "Llama4ForConditionalGeneration", holds: &held{families: []string{"llama4_text"}}},
	"mistral3": {class: "Mistral3ForConditionalGeneration", holds: &held{families: []string{"mistral", "ministral3"}, ties: outerTies, tied: true}},
	"kimi_k25": {class: "Kimi_K25ForConditionalGeneration", holds: &held{families: []string{"deepseek_v3", "kimi_k2"}, ties: outerTies, tied: true}},
	"qwen2_vl": {class: "Qwen2VLForConditionalGeneration", holds: &held{families: []string{"qwen2_vl_text"}, ties: eitherTies, flat: true}},
	"qwen2_vl_text": {
		class:    "Qwen2VLTextModel",
		read:     readQwen2,
		tensors:  llamaTensors,
		prefixes: textPrefix,
		defaults: qwen2VLDefaults,
		alone:    &alone{modelType: "qwen2"},
	},
	"qwen2_5_vl": {class: "Qwen2_5_VLForConditionalGeneration", holds: &held{families: []string{"qwen2_5_vl_text"}, ties: eitherTies, flat: true}},
	"qwen2_5_vl_text": {
		class:    "Qwen2_5_VLTextModel",
		read:     readQwen2,
		tensors:  llamaTensors,
		prefixes: textPrefix,
		defaults: qwen2VLDefaults,
		alone:    &alone{modelType: "qwen2"},
	},
	"xgenmm":   {class: "XGenMMModelForConditionalGeneration", holds: &held{families: []string{"phi3"}}},
	"qwen3_vl": {class: "Qwen3VLForConditionalGeneration", holds: &held{families: []string{"qwen3_vl_text"}, ties: outerTies}},
	"qwen3_vl_text": {
		class:    "Qwen3VLTextModel",
		read:     readQwen3VL,
		tensors:  llamaTensors,
		prefixes: textPrefix,
		defaults: `{"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 128000, "rms_norm_eps": 1e-06, "attention_bias": false, "rope_theta": 500000}`,
		alone: &alone{modelType: "qwen3"},
	},
	"qwen3_vl_moe": {class: "Qwen3VLMoeForConditionalGeneration", holds: &held{families: []string{"qwen3_vl_moe_text"}, ties: outerTies}},
	"qwen3_vl_moe_text": {
		class:   "Qwen3VLMoeTextModel",
		read:    readQwen3VLMoE,
		tensors: llamaTensors,
		experts: either(
			merge(
				fused(source{name: "{p}layers.{l}.mlp.experts.gate_up_proj", transposed: true, eitherWay: true}, model.RoleGate, model.RoleUp),
				map[model.Role]source{
					model.RoleRouter: {name: "{p}layers.{l}.mlp.gate.weight"},
					model.RoleDown:   {name: "{p}layers.{l}.mlp.experts.down_proj", transposed: true, eitherWay: true},
				},
			),
			perExpert("mlp", "gate_proj", "up_proj", "down_proj"), // as quantizing tools take them apart
		),
		prefixes: textPrefix,
		aliases:  map[string]string{"num_experts": "num_local_experts"},
		defaults: `{"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
			"num_attention_heads": 16, "num_key_value_heads": 16, "hidden_act": "silu", "max_position_embeddings": 128000,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": true, "attention_bias": false, "decoder_sparse_step": 1,
			"moe_intermediate_size": 1408, "num_experts_per_tok": 4, "num_experts": 60, "rope_theta": 500000}`,
		alone: &alone{modelType: "qwen3_moe", keys: map[string]string{"norm_topk_prob": "true"}},
	},
}

const qwen2VLDefaults = `{"vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
	"num_attention_heads": 64, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768,
	"rms_norm_eps": 1e-05, "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 80,
	"rope_theta": 1000000}`

func readQwen3VL(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormHead)
}

func readQwen3VLMoE(d *draft) {
	readQwen3VL(d)
	d.sparseLayers("num_experts", true)
}
