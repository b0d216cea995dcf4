package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// moreRoutedFamilies are further mixtures of experts.
var moreRoutedFamilies = map[string]*family{
	"exaone_moe": {
		class:   "ExaoneMoeForCausalLM",
		read:    readExaoneMoE,
		tensors: with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts: with(mlpExperts, map[model.Role]source{model.RoleSelectionBias: {
			name:    "{p}layers.{l}.mlp.e_score_correction_bias",
			instead: []source{{name: "{p}layers.{l}.mlp.gate.e_score_correction_bias"}},
		}}),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "sliding_window": 4096, "sliding_window_pattern": 4,
			"first_k_dense_replace": 1, "moe_intermediate_size": 1024, "num_experts": 64, "num_experts_per_tok": 8,
			"num_shared_experts": 1, "norm_topk_prob": true, "routed_scaling_factor": 2.5, "n_group": 1, "topk_group": 1,
			"rope_theta": 10000}`,
	},
	"flex_olmo": {
		class:    "FlexOlmoForCausalLM",
		read:     readFlexOLMo,
		tensors:  postNormTensors,
		experts:  mlpExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "num_experts"},
		defaults: `{"vocab_size": 100352, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "num_experts_per_tok": 5, "num_local_experts": 7,
			"norm_topk_prob": false, "rope_theta": 500000}`,
	},
	"hy_v3": {
		class:   "HYV3ForCausalLM",
		read:    readHYV3,
		tensors: with(llamaTensors, either(sharedExpert("mlp.shared_mlp", ""), sharedExpert("mlp.shared_experts", ""))),
		experts: with(mlpExperts, map[model.Role]source{
			model.RoleRouter: {name: "{p}layers.{l}.mlp.router.gate.weight", instead: []source{{name: "{p}layers.{l}.mlp.gate.weight"}}},
			model.RoleSelectionBias: {
				name: "{p}layers.{l}.mlp.expert_bias", instead: []source{{name: "{p}layers.{l}.mlp.e_score_correction_bias"}},
			},
		}),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "num_experts"},
		defaults: `{"vocab_size": 120832, "hidden_size": 4096, "intermediate_size": 13312, "num_hidden_layers": 80,
			"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false,
			"mlp_bias": false, "num_local_experts": 192, "num_experts_per_tok": 8, "num_shared_experts": 1,
			"moe_intermediate_size": 1536, "router_scaling_factor": 2.826, "rope_theta": 11158840}`,
	},
	"granitemoeshared": {
		class:    "GraniteMoeSharedForCausalLM",
		read:     readGraniteMoEShared,
		tensors:  llamaTensors,
		experts:  merge(graniteMoETensors, graniteShared(model.RoleSharedGate, model.RoleSharedUp, model.RoleSharedDown)),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "embedding_multiplier": 1.0, "logits_scaling": 1.0,
			"residual_multiplier": 1.0, "attention_multiplier": 1.0, "num_local_experts": 8, "num_experts_per_tok": 2,
			"shared_intermediate_size": 0, "rope_theta": 10000}`,
	},
	"mellum": {
		class:    "MellumForCausalLM",
		read:     readMellum,
		tensors:  llamaTensors,
		experts:  mlpExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_experts": "num_local_experts"},
		defaults: `{"vocab_size": 98304, "hidden_size": 2304, "intermediate_size": 7168, "num_hidden_layers": 28,
			"num_attention_heads": 32, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false, "sliding_window": 1024,
			"moe_intermediate_size": 896, "num_experts_per_tok": 8, "num_experts": 64, "norm_topk_prob": true,
			"head_dim": 128, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500000.0},
			"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}`,
	},
}

// readExaoneMoE: as readExaone4, with norms before the branches, and experts behind the first layers.
func readExaoneMoE(d *draft) {
	readExaone4(d)
	d.each(func(_ int, y *model.Layer) { y.PreNorm, y.PostNorm = true, false })
	d.denseOrSparse(d.deepExpertsOf("num_experts", "num_shared_experts"), d.int("first_k_dense_replace", 1))
}

// readFlexOLMo: OLMo 2 with experts in all layers.
func readFlexOLMo(d *draft) {
	readOLMo2(d)
	r := model.Routing{
		Experts: d.size("num_local_experts", 0), TopK: d.size("num_experts_per_tok", 0), NormalizeTopK: d.bool("norm_topk_prob", false),
	}
	d.each(func(_ int, y *model.Layer) { y.MLP.Routing = r })
}

func readHYV3(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	if d.bool("mlp_bias", false) {
		d.fail("mlp_bias", "biases of an expert that all tokens pass through are not supported")
	}
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormHead)
	m := d.moe("num_local_experts")
	m.Sigmoid, m.SelectionBias, m.NormalizeTopK = true, true, true
	m.RouteScale = float32(d.float("router_scaling_factor", 1))
	m.Shared = d.size("num_shared_experts", 0) * m.Intermediate
	d.denseOrSparse(m, 1)
}

func readGraniteMoEShared(d *draft) {
	readGraniteMoE(d)
	shared := d.int("shared_intermediate_size", 0)
	d.each(func(_ int, y *model.Layer) { y.MLP.Shared = shared })
}

// readMellum: Qwen 3 with experts, and another RoPE in layers with a window.
func readMellum(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.qkNorm(model.QKNormHead)
	d.windows(d.slidingWindow(), 0, everywhere(0))
	d.ropeByKind(false, ropeNames)
	m := d.moe("num_experts")
	m.NormalizeTopK = d.bool("norm_topk_prob", false)
	d.denseOrSparse(m, 0)
}
