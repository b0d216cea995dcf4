package hf

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

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
	"afmoe": {
		class: "AfmoeForCausalLM",
		read:  readAFMoE,
		tensors: with(with(llamaTensors, sharedExpert("mlp.shared_experts", "")), named(map[model.Role]string{
			model.RoleOutGate:      "{p}layers.{l}.self_attn.gate_proj.weight",
			model.RolePostAttnNorm: "{p}layers.{l}.post_attention_layernorm.weight",
			model.RoleMLPNorm:      "{p}layers.{l}.pre_mlp_layernorm.weight",
			model.RolePostMLPNorm:  "{p}layers.{l}.post_mlp_layernorm.weight",
		})),
		experts: with(mlpExperts, named(map[model.Role]string{
			model.RoleRouter:        "{p}layers.{l}.mlp.router.gate.weight",
			model.RoleSelectionBias: "{p}layers.{l}.mlp.expert_bias",
		})),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 200192, "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 1408,
			"num_hidden_layers": 32, "num_dense_layers": 1, "num_attention_heads": 16, "head_dim": 128,
			"hidden_act": "silu", "max_position_embeddings": 16384, "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
			"num_experts": 64, "num_experts_per_tok": 6, "num_shared_experts": 2, "route_scale": 1.0,
			"global_attn_every_n_layers": 4, "sliding_window": 1024, "mup_enabled": false, "attention_bias": false,
			"rope_theta": 10000}`,
	},
	"flint": {
		class:    "FlintForCausalLM",
		read:     readFlint,
		tensors:  with(with(llamaTensors, sharedExpert("mlp.shared_expert", "")), eitherSinks),
		experts:  mlpExperts,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 150144, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 49,
			"num_attention_heads": 32, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 262144,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "sliding_window": 513, "decoder_sparse_step": 1,
			"moe_intermediate_size": 512, "shared_expert_intermediate_size": 1024, "num_experts_per_tok": 6,
			"num_experts": 256, "norm_topk_prob": true, "head_dim": 128, "attention_bias": false, "rope_theta": 10000}`,
	},
	"granitemoe_swa": {
		class:    "GraniteMoeSWAForCausalLM",
		read:     readGraniteMoESWA,
		tensors:  with(llamaTensors, eitherSinks),
		experts:  merge(graniteMoETensors, graniteShared(model.RoleSharedGate, model.RoleSharedUp, model.RoleSharedDown)),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "embedding_multiplier": 1.0, "logits_scaling": 1.0,
			"residual_multiplier": 1.0, "attention_multiplier": 1.0, "num_local_experts": 8, "num_experts_per_tok": 2,
			"shared_intermediate_size": 0, "sliding_window": 128, "rope_theta": 10000}`,
	},
	"cohere2_moe": {
		class:    "Cohere2MoeForCausalLM",
		read:     readCohere2MoE,
		tensors:  with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  mlpExperts,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625,
			"num_hidden_layers": 40, "num_attention_heads": 64, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 8192, "layer_norm_eps": 1e-05, "tie_word_embeddings": true, "attention_bias": false,
			"sliding_window": 4096, "sliding_window_pattern": 4, "num_experts_per_tok": 2, "num_experts": 8,
			"num_shared_experts": 0, "shared_expert_combination_strategy": "average", "expert_selection_fn": "softmax",
			"prefix_dense_sliding_window_pattern": 1, "norm_topk_prob": true, "rope_theta": 10000}`,
	},
	"sarvam_moe": {
		class:   "Glm4MoeForCausalLM",
		borrows: true,
		read:    readSarvamMoE,
		tensors: with(with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
			fusedOr("{p}layers.{l}.attention.query_key_value.weight", model.RoleQ, model.RoleK, model.RoleV),
			fusedOr("{p}layers.{l}.attention.query_key_value.bias", model.RoleQBias, model.RoleKBias, model.RoleVBias),
			either(named(map[model.Role]string{
				model.RoleEmbed: "{p}word_embeddings.weight",
				model.RoleO:     "{p}layers.{l}.attention.dense.weight",
				model.RoleQNorm: "{p}layers.{l}.attention.query_layernorm.weight",
				model.RoleKNorm: "{p}layers.{l}.attention.key_layernorm.weight",
			}), llamaTensors)),
		experts: with(biasedExperts, map[model.Role]source{model.RoleSelectionBias: {
			name: "{p}layers.{l}.mlp.gate.expert_bias", instead: []source{{name: "{p}layers.{l}.mlp.gate.e_score_correction_bias"}},
		}}),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 262144, "hidden_size": 4096, "intermediate_size": 8192, "num_hidden_layers": 19,
			"num_attention_heads": 64, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false, "moe_intermediate_size": 1024,
			"num_experts_per_tok": 6, "n_shared_experts": 1, "num_local_experts": 128, "routed_scaling_factor": 2.5,
			"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "norm_topk_prob": true, "use_qk_norm": true,
			"head_dim": 64, "partial_rotary_factor": 1.0, "rope_theta": 8000000}`,
	},
	"sarvam_mla": {
		class:    "DeepseekV3ForCausalLM",
		borrows:  true,
		read:     readSarvamMLA,
		tensors:  with(latentTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  biasedExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 262144, "hidden_size": 4096, "intermediate_size": 16384, "moe_intermediate_size": 2048,
			"num_hidden_layers": 32, "num_attention_heads": 64, "n_shared_experts": 1, "num_local_experts": 128,
			"routed_scaling_factor": 2.5, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128,
			"qk_nope_head_dim": 128, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 1,
			"norm_topk_prob": true, "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "rope_interleave": true, "attention_bias": false, "rope_theta": 10000}`,
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

// eitherSinks are the names that sinks may have.
var eitherSinks = map[model.Role]source{model.RoleSinks: {
	name: "{p}layers.{l}.self_attn.sinks", instead: []source{{name: "{p}layers.{l}.self_attn.softmax_offset"}},
}}

// fusedOr are tensors that lie in one, or each by itself as those of a Llama do.
func fusedOr(name string, roles ...model.Role) map[model.Role]source {
	return either(fused(source{name: name}, roles...), llamaTensors)
}

// readFlint: RoPE in the layers with a window alone, sinks, and experts by the sigmoids of their logits.
func readFlint(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.qkNorm(model.QKNormHead)
	d.rope(false, ropeNames)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if i < 2 || i%4 == 1 || i == len(d.layers)-1 {
			return fullAttention
		}
		return slidingAttention
	})
	d.each(func(_ int, y *model.Layer) {
		y.Attention.Sinks = true
		if y.Attention.Window == 0 {
			y.Attention.RoPE = -1
		}
	})
	m := d.moe("num_experts")
	m.Sigmoid, m.NormalizeTopK = true, d.bool("norm_topk_prob", true)
	m.Shared = d.size("shared_expert_intermediate_size", 0)
	d.sparse(m)
}

// thetas gives each layer the RoPE of its base in layer_rope_theta, or none where that is 0 or null.
func (d *draft) thetas() {
	params := d.ropeObject()
	bases, index := d.floatsOrNull("layer_rope_theta"), map[float64]int{}
	if bases == nil {
		d.rope(false, ropeNames)
		return
	}
	if len(bases) != len(d.layers) {
		d.fail("layer_rope_theta", "%d entries for %d layers", len(bases), len(d.layers))
		return
	}
	d.ignore("rope_theta")
	d.each(func(i int, y *model.Layer) {
		y.Attention.RoPE = -1
		if bases[i] == 0 {
			return
		}
		k, ok := index[bases[i]]
		if !ok {
			k = len(d.spec.RoPE)
			index[bases[i]] = k
			d.spec.RoPE = append(d.spec.RoPE, d.frequencies(params.with("rope_theta", floatValue(bases[i])), 0, false, ropeNames))
		}
		y.Attention.RoPE = k
	})
}

// sinkWindows: every fourth layer sees everything, the others a window, and all have sinks.
func (d *draft) sinkWindows() {
	window := d.slidingWindow()
	d.windows(window, 0, func(i int) string {
		if i%4 == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	d.each(func(_ int, y *model.Layer) { y.Attention.Sinks = true })
}

func readGraniteMoESWA(d *draft) {
	readGraniteMoEShared(d)
	d.spec.RoPE = nil
	d.thetas()
	d.sinkWindows()
}

// readCohere2MoE: Cohere 2 with experts behind the first layers, whose windows follow a pattern of their own.
func readCohere2MoE(d *draft) {
	d.heads()
	d.noScaling()
	cohere(d)
	if d.has("rms_norm_eps") {
		d.rms()
	}
	first := d.int("first_k_dense_replace", 0)
	every, prefix := d.size("sliding_window_pattern", 4), d.size("prefix_dense_sliding_window_pattern", 1)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if i < first && (i+1)%prefix == 0 || i >= first && (i-first+1)%every == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	dense := d.layers[0].MLP
	m := dense
	m.Routing = model.Routing{Experts: d.size("num_experts", 0), TopK: d.size("num_experts_per_tok", 0), NormalizeTopK: true}
	switch f := d.string("expert_selection_fn", "softmax"); f {
	case "softmax":
		d.ignore("norm_topk_prob")
	case "sigmoid":
		m.Sigmoid, m.NormalizeTopK = true, d.bool("norm_topk_prob", true)
	default:
		d.fail("expert_selection_fn", "%q is unknown; supported: softmax, sigmoid", f)
	}
	if n := d.int("num_shared_experts", 0); n > 0 {
		m.Shared = n * m.Intermediate
		if s := d.string("shared_expert_combination_strategy", "average"); s != "sum" {
			d.fail("shared_expert_combination_strategy", "%q is not supported; supported: sum", s)
		}
	}
	dense.Intermediate = d.size("prefix_dense_intermediate_size", dense.Intermediate)
	d.each(func(_ int, y *model.Layer) { y.MLP = dense })
	d.denseOrSparse(m, first)
	d.each(func(_ int, y *model.Layer) {
		if y.Attention.Window == 0 && !(y.MLP.Experts == 0 && prefix == 1) {
			y.Attention.RoPE = -1
		}
	})
}

// noScaling refuses a rope_scaling where transformers reads rope_parameters only.
func (d *draft) noScaling() {
	const key = "rope_scaling"
	if o := d.object.object(key); o != nil && len(o.values) > 0 && o.string("rope_type", o.string("type", "default")) != "default" {
		d.fail(key, "transformers does not apply it in this family; write rope_parameters, or null if positions are not scaled")
	}
	d.set(key, "null")
}

// readSarvamMoE reads a GLM 4 with experts.
func readSarvamMoE(d *draft) {
	d.alias("num_local_experts", "num_experts")
	d.alias("n_shared_experts", "num_shared_experts")
	d.alias("attention_bias", "use_qkv_bias")
	readGLM4MoE(d)
}

// readSarvamMLA reads a DeepSeek V3.
func readSarvamMLA(d *draft) {
	d.alias("num_local_experts", "num_experts")
	d.alias("n_shared_experts", "num_shared_experts")
	names := map[string]string{"deepseek_yarn": "yarn"}
	for name, kind := range ropeNames {
		names[name] = kind
	}
	d.readLatent(names)
	d.behindDense(d.deepExperts())
}

// readAFMoE: gated attention, RoPE in the layers with a window alone, and experts by the sigmoids of their logits.
func readAFMoE(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	if d.bool("attention_bias", false) {
		d.fail("attention_bias", "biases of attention without one of its gate are not supported")
	}
	d.qkNorm(model.QKNormHead)
	d.rope(false, ropeNames)
	every := d.size("global_attn_every_n_layers", 4)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if (i+1)%every == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	if d.bool("mup_enabled", false) {
		d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	}
	m := d.moe("num_experts")
	m.Sigmoid, m.NormalizeTopK, m.SelectionBias = true, true, true
	m.RouteScale = float32(d.float("route_scale", 1))
	m.Shared = d.size("num_shared_experts", 0) * m.Intermediate
	dense := d.int("num_dense_layers", 1)
	d.each(func(i int, y *model.Layer) {
		y.PostNorm, y.Attention.Gated = true, true
		if y.Attention.Window == 0 {
			y.Attention.RoPE = -1
		}
		if i >= dense {
			y.MLP = m
		}
	})
}
