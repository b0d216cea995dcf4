package hf

import (
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// families are the supported values of model_type. What a family differs in stands in its entry;
// the authority is the configuration and modeling file of that family in transformers.
var families = map[string]*family{
	"llama": {
		read:     readLlama,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu"}`,
	},
	"mistral": {
		read:     readMistral,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu", "num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096}`,
	},
	"mixtral": {
		read:    readMixtral,
		tensors: llamaTensors,
		experts: either(
			perExpert("block_sparse_moe", "w1", "w3", "w2"),
			stackedExperts("mlp"), perExpert("mlp", "w1", "w3", "w2"), stackedExperts("block_sparse_moe"),
		),
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 1000000, "hidden_act": "silu", "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "num_experts_per_tok": 2, "num_local_experts": 8}`,
	},
	"qwen2": {
		read:     readQwen2,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu", "num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28}`,
		inert:    strings.Fields("use_mrope"),
	},
	"qwen3": {
		read:     readQwen3,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu", "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28}`,
	},
	"qwen3_moe": {
		read:     readQwen3MoE,
		tensors:  llamaTensors,
		experts:  either(perExpert("mlp", "gate_proj", "up_proj", "down_proj"), stackedExperts("mlp")),
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu", "num_key_value_heads": 4, "max_position_embeddings": 32768, "sliding_window": 4096, "decoder_sparse_step": 1, "moe_intermediate_size": 768, "num_experts_per_tok": 8, "num_experts": 128}`,
		inert:    strings.Fields("max_window_layers"),
	},
	"gemma2": {
		read:     readGemma2,
		tensors:  gemmaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_activation": "gelu_pytorch_tanh", "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 8192, "tie_word_embeddings": true, "query_pre_attn_scalar": 256, "sliding_window": 4096, "attn_logit_softcapping": 50, "final_logit_softcapping": 30}`,
		inert:    strings.Fields("hidden_act sliding_window_size"),
	},
	"gemma3_text": gemma3(false),
	"gemma3":      gemma3(true),
	"phi3": {
		read: readPhi3,
		tensors: with(llamaTensors, merge(
			fused(source{name: "{p}layers.{l}.self_attn.qkv_proj.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}layers.{l}.mlp.gate_up_proj.weight"}, model.RoleGate, model.RoleUp),
		)),
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu", "max_position_embeddings": 4096, "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5}`,
		inert:    strings.Fields("full_attn_mod interpolate_factor"),
	},
	"llama4_text": llama4(false),
	"llama4":      llama4(true),
	"gpt2": {
		read:     readGPT2,
		tensors:  gpt2Tensors,
		prefixes: []prefix{{"transformer.", ""}, {"", ""}},
		defaults: `{"activation_function": "gelu_new", "max_position_embeddings": 1024, "tie_word_embeddings": true}`,
		inert: strings.Fields(`n_ctx intermediate_size num_key_value_heads reorder_and_upcast_attn summary_type
			summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout`),
	},
	"olmo2": {
		read: readOLMo2,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RolePostAttnNorm: "{p}layers.{l}.post_attention_layernorm.weight",
			model.RolePostMLPNorm:  "{p}layers.{l}.post_feedforward_layernorm.weight",
		})),
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu", "rms_norm_eps": 1e-5}`,
	},
	"smollm3": {
		read:     readSmolLM3,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 2000000, "hidden_act": "silu", "num_key_value_heads": 4, "max_position_embeddings": 32768, "tie_word_embeddings": true, "no_rope_layer_interval": 4}`,
		inert:    strings.Fields("max_window_layers"),
	},
	"granite": {
		read:     readGranite,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "silu"}`,
	},
	"starcoder2": {
		read: readStarCoder2,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RoleAttnNormBias:  "{p}layers.{l}.input_layernorm.bias",
			model.RoleMLPNormBias:   "{p}layers.{l}.post_attention_layernorm.bias",
			model.RoleUp:            "{p}layers.{l}.mlp.c_fc.weight",
			model.RoleUpBias:        "{p}layers.{l}.mlp.c_fc.bias",
			model.RoleDown:          "{p}layers.{l}.mlp.c_proj.weight",
			model.RoleDownBias:      "{p}layers.{l}.mlp.c_proj.bias",
			model.RoleFinalNormBias: "{p}norm.bias",
		})),
		prefixes: modelPrefix,
		defaults: `{"rope_theta": 10000, "hidden_act": "gelu_pytorch_tanh", "num_key_value_heads": 2, "max_position_embeddings": 4096, "use_bias": true, "tie_word_embeddings": true}`,
		inert:    strings.Fields("activation_function norm_type mlp_type attention_softmax_in_fp32 scale_attention_softmax_in_fp32 scale_attn_weights layer_norm_epsilon"),
	},
	"gpt_neox": {
		read:     readGPTNeoX,
		tensors:  gptNeoXTensors,
		prefixes: []prefix{{"gpt_neox.", ""}, {"", ""}},
		defaults: `{"rope_theta": 10000, "partial_rotary_factor": 0.25, "hidden_act": "gelu", "attention_bias": true, "use_parallel_residual": true}`,
		inert:    strings.Fields("num_key_value_heads"),
	},
}
