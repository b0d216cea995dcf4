package hf

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// families are the supported values of model_type. What a family differs in stands in its entry;
// the authority is the configuration and modeling file of that family in transformers.
var families = allOf(
	basicFamilies, denseFamilies, mixedFamilies, routedFamilies, latentFamilies, indexedFamilies, visionFamilies, classicFamilies, gptFamilies, remoteFamilies,
	alibiFamilies, moreDenseFamilies, moreRoutedFamilies, moreRemoteFamilies,
	recurrentFamilies, qwenNextFamilies, stateSpaceFamilies, lingFamilies, gemma4Families, gemma3nFamilies,
)

// allOf puts tables of families, or of architectures of GGUF, together.
func allOf[T any](tables ...map[string]*T) map[string]*T {
	all := map[string]*T{}
	for _, t := range tables {
		for name, f := range t {
			if all[name] != nil {
				panic("two entries are called " + name)
			}
			all[name] = f
		}
	}
	return all
}

// basicFamilies are those that the others are described by.
var basicFamilies = map[string]*family{
	"llama": {
		class:    "LlamaForCausalLM",
		read:     readLlama,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "rope_theta": 10000}`,
	},
	"mistral": {
		class:    "MistralForCausalLM",
		read:     readMistral,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "sliding_window": 4096, "rope_theta": 10000}`,
	},
	"mixtral": {
		class:   "MixtralForCausalLM",
		read:    readMixtral,
		tensors: llamaTensors,
		experts: either(
			perExpert("block_sparse_moe", "w1", "w3", "w2"),
			stackedExperts("mlp"), perExpert("mlp", "w1", "w3", "w2"), stackedExperts("block_sparse_moe"),
			switchExperts("block_sparse_moe"),
		),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_experts": "num_local_experts"},
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "num_experts_per_tok": 2, "num_experts": 8, "rope_theta": 1000000}`,
	},
	"qwen2": {
		class:    "Qwen2ForCausalLM",
		read:     readQwen2,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "use_sliding_window": false, "sliding_window": 4096,
			"max_window_layers": 28, "rope_theta": 10000}`,
	},
	"qwen3": {
		class:    "Qwen3ForCausalLM",
		read:     readQwen3,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false,
			"use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28, "rope_theta": 10000}`,
	},
	"qwen3_moe": {
		class:    "Qwen3MoeForCausalLM",
		read:     readQwen3MoE,
		tensors:  llamaTensors,
		experts:  either(perExpert("mlp", "gate_proj", "up_proj", "down_proj"), stackedExperts("mlp"), switchExperts("mlp")),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "num_experts"},
		defaults: `{"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24,
			"num_attention_heads": 32, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false, "use_sliding_window": false,
			"sliding_window": 4096, "decoder_sparse_step": 1, "moe_intermediate_size": 768, "num_experts_per_tok": 8,
			"num_local_experts": 128, "norm_topk_prob": false, "rope_theta": 10000}`,
	},
	"gemma2": {
		class:    "Gemma2ForCausalLM",
		read:     readGemma2,
		tensors:  gemmaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
			"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
			"max_position_embeddings": 8192, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "attention_bias": false,
			"query_pre_attn_scalar": 256, "sliding_window": 4096, "final_logit_softcapping": 30.0,
			"attn_logit_softcapping": 50.0, "rope_theta": 10000}`,
	},
	"gemma3_text": gemma3,
	"phi3": {
		class: "Phi3ForCausalLM",
		read:  readPhi3,
		tensors: with(llamaTensors, merge(
			fused(source{name: "{p}layers.{l}.self_attn.qkv_proj.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			fusedGateUp,
		)),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32064, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 4096,
			"original_max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "rope_theta": 10000}`,
	},
	"llama4_text": llama4,
	"gpt2": {
		class:    "GPT2LMHeadModel",
		read:     readGPT2,
		tensors:  gpt2Tensors,
		prefixes: gptPrefix,
		aliases:  gptAliases,
		defaults: `{"vocab_size": 50257, "max_position_embeddings": 1024, "hidden_size": 768, "num_hidden_layers": 12,
			"num_attention_heads": 12, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
			"scale_attn_weights": true, "scale_attn_by_inverse_layer_idx": false, "add_cross_attention": false,
			"tie_word_embeddings": true}`,
	},
	"olmo2": {
		class:    "Olmo2ForCausalLM",
		read:     readOLMo2,
		tensors:  postNormTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 50304, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "tie_word_embeddings": false,
			"attention_bias": false, "rms_norm_eps": 1e-05, "rope_theta": 10000}`,
	},
	"smollm3": {
		class:    "SmolLM3ForCausalLM",
		read:     readSmolLM3,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
			"num_attention_heads": 16, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "use_sliding_window": false, "no_rope_layer_interval": 4, "attention_bias": false,
			"mlp_bias": false, "tie_word_embeddings": true, "rope_theta": 2000000}`,
	},
	"granite": {
		class:    "GraniteForCausalLM",
		read:     readGranite,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "embedding_multiplier": 1.0,
			"logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0, "rope_theta": 10000}`,
	},
	"starcoder2": {
		class: "Starcoder2ForCausalLM",
		read:  readStarCoder2,
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
		defaults: `{"vocab_size": 49152, "hidden_size": 3072, "intermediate_size": 12288, "num_hidden_layers": 30,
			"num_attention_heads": 24, "num_key_value_heads": 2, "hidden_act": "gelu_pytorch_tanh",
			"max_position_embeddings": 4096, "norm_epsilon": 1e-05, "use_bias": true, "tie_word_embeddings": true,
			"rope_theta": 10000}`,
	},
	"gpt_neox": {
		class:    "GPTNeoXForCausalLM",
		read:     readGPTNeoX,
		tensors:  gptNeoXTensors,
		prefixes: []prefix{{"gpt_neox.", ""}, {"", ""}},
		defaults: `{"vocab_size": 50432, "hidden_size": 6144, "num_hidden_layers": 44, "num_attention_heads": 64,
			"intermediate_size": 24576, "hidden_act": "gelu", "max_position_embeddings": 2048, "layer_norm_eps": 1e-05,
			"tie_word_embeddings": false, "use_parallel_residual": true, "attention_bias": true, "rotary_emb_base": 10000,
			"rotary_pct": 0.25}`,
	},
}
