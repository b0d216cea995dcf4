package hf

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// routedFamilies are mixtures of experts with routers of their own kind: shared experts, groups, biases.
var routedFamilies = map[string]*family{
	"qwen2_moe": {
		class:    "Qwen2MoeForCausalLM",
		read:     readQwen2MoE,
		tensors:  with(llamaTensors, sharedExpert("mlp.shared_expert", "mlp.shared_expert_gate")),
		experts:  mlpExperts,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
			"num_attention_heads": 16, "num_key_value_heads": 16, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "use_sliding_window": false, "sliding_window": 4096,
			"max_window_layers": 28, "decoder_sparse_step": 1, "moe_intermediate_size": 1408,
			"shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4, "num_experts": 60, "norm_topk_prob": false,
			"qkv_bias": true, "rope_theta": 10000}`,
	},
	"glm4_moe": {
		class:    "Glm4MoeForCausalLM",
		read:     readGLM4MoE,
		tensors:  with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  biasedExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 10944, "num_hidden_layers": 46,
			"num_attention_heads": 96, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "moe_intermediate_size": 1408,
			"num_experts_per_tok": 8, "n_shared_experts": 1, "num_local_experts": 128, "routed_scaling_factor": 1.0,
			"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "norm_topk_prob": true, "use_qk_norm": false,
			"partial_rotary_factor": 0.5, "rope_theta": 10000}`,
	},
	"solar_open": {
		class:    "SolarOpenForCausalLM",
		read:     readSolarOpen,
		tensors:  with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  biasedExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 196608, "hidden_size": 4096, "num_hidden_layers": 48, "num_attention_heads": 64,
			"num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "moe_intermediate_size": 1280,
			"num_experts_per_tok": 8, "n_shared_experts": 1, "num_local_experts": 128, "routed_scaling_factor": 1.0,
			"n_group": 1, "topk_group": 1, "norm_topk_prob": true, "rope_theta": 1000000}`,
	},
	"hunyuan_v1_moe": {
		class:   "HunYuanMoEV1ForCausalLM",
		read:    readHunYuanMoE,
		tensors: with(with(llamaTensors, sharedExpert("mlp.shared_mlp", "")), hunYuanNorms),
		experts: with(mlpExperts, named(map[model.Role]string{
			model.RoleRouter: "{p}layers.{l}.mlp.gate.wg.weight",
		})),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "num_experts", "num_experts_per_tok": "moe_topk"},
		defaults: `{"vocab_size": 290943, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "num_local_experts": 1, "num_experts_per_tok": 1,
			"rope_theta": 10000}`,
	},
	"dots1": {
		class:    "Dots1ForCausalLM",
		read:     readDots1,
		tensors:  with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  biasedExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 152064, "hidden_size": 4608, "intermediate_size": 10944, "num_hidden_layers": 62,
			"num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false, "moe_intermediate_size": 1408,
			"routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 0,
			"norm_topk_prob": false, "sliding_window": 4096, "max_window_layers": 62, "rope_theta": 10000}`,
	},
	"ernie4_5_moe": {
		class:   "Ernie4_5_MoeForCausalLM",
		read:    readErnieMoE,
		tensors: with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts: with(mlpExperts, map[model.Role]source{model.RoleSelectionBias: {
			name: "{p}layers.{l}.mlp.moe_statics.e_score_correction_bias", row: true,
			instead: []source{{name: "{p}layers.{l}.mlp.gate.moe_statics.e_score_correction_bias", row: true}},
		}}),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_experts": "moe_num_experts", "num_experts_per_tok": "moe_k"},
		defaults: `{"vocab_size": 103424, "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 28,
			"num_attention_heads": 20, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": true, "use_bias": false, "moe_intermediate_size": 1536,
			"num_experts_per_tok": 6, "num_experts": 64, "moe_num_shared_experts": 2, "moe_layer_start_index": 1,
			"moe_layer_end_index": -1, "moe_layer_interval": 1, "moe_norm_min": 1e-12, "rope_theta": 500000}`,
	},
	"minimax_m2": {
		class:   "MiniMaxM2ForCausalLM",
		read:    readMiniMaxM2,
		tensors: llamaTensors,
		experts: with(
			either(perExpert("block_sparse_moe", "w1", "w3", "w2"), stackedExperts("mlp"), perExpert("mlp", "w1", "w3", "w2")),
			map[model.Role]source{model.RoleSelectionBias: {
				name:    "{p}layers.{l}.block_sparse_moe.e_score_correction_bias",
				instead: []source{{name: "{p}layers.{l}.mlp.e_score_correction_bias"}},
			}},
		),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_experts": "num_local_experts"},
		defaults: `{"vocab_size": 200064, "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62,
			"num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 196608, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "num_experts_per_tok": 8,
			"num_experts": 256, "rope_theta": 5000000}`,
	},
	"gpt_oss": {
		class: "GptOssForCausalLM",
		read:  readGPTOSS,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RoleSinks: "{p}layers.{l}.self_attn.sinks",
		})),
		experts:  gptOSSExperts,
		prefixes: modelPrefix,
		inFirst:  true,
		aliases:  map[string]string{"num_experts": "num_local_experts"},
		defaults: `{"vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36,
			"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "sliding_window": 128, "num_experts_per_tok": 4,
			"num_experts": 128, "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "attention_bias": true, "rope_theta": 150000}`,
	},
}

// mlpExperts are experts in mlp, with the names of Llama's matrices.
var mlpExperts = either(perExpert("mlp", "gate_proj", "up_proj", "down_proj"), stackedExperts("mlp"), switchExperts("mlp"))

// biasedExperts are those with a bias for choosing among them.
var biasedExperts = with(mlpExperts, named(map[model.Role]string{
	model.RoleSelectionBias: "{p}layers.{l}.mlp.gate.e_score_correction_bias",
}))

// gptOSSExperts: gates and ups are by turns the rows of one stack, which is stored by columns unless it is quantized.
var gptOSSExperts = merge(
	named(map[model.Role]string{
		model.RoleRouter:     "{p}layers.{l}.mlp.router.weight",
		model.RoleRouterBias: "{p}layers.{l}.mlp.router.bias",
		model.RoleDownBias:   "{p}layers.{l}.mlp.experts.down_proj_bias",
	}),
	map[model.Role]source{model.RoleDown: {name: "{p}layers.{l}.mlp.experts.down_proj", transposed: true}},
	fused(source{name: "{p}layers.{l}.mlp.experts.gate_up_proj", transposed: true, turns: true}, model.RoleGate, model.RoleUp),
	fused(source{name: "{p}layers.{l}.mlp.experts.gate_up_proj_bias", turns: true}, model.RoleGateBias, model.RoleUpBias),
)

// sharedExpert are the names of an expert that all tokens pass through, and of what gates it, if anything does.
func sharedExpert(mlp, gate string) map[model.Role]source {
	m := named(map[model.Role]string{
		model.RoleSharedGate: "{p}layers.{l}." + mlp + ".gate_proj.weight",
		model.RoleSharedUp:   "{p}layers.{l}." + mlp + ".up_proj.weight",
		model.RoleSharedDown: "{p}layers.{l}." + mlp + ".down_proj.weight",
	})
	if gate != "" {
		m[model.RoleSharedRouter] = source{name: "{p}layers.{l}." + gate + ".weight"}
	}
	return m
}

func readQwen2MoE(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false, ropeNames)
	bias := d.bool("qkv_bias", true)
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias = bias })
	window, last := d.switchedWindow(), d.int("max_window_layers", 0)
	d.windows(window, 0, func(i int) string {
		if window > 0 && i%2 == 0 && i < last {
			return slidingAttention
		}
		return fullAttention
	})
	m := d.moe("num_experts")
	m.NormalizeTopK = d.bool("norm_topk_prob", false)
	m.Shared, m.SharedGated = d.size("shared_expert_intermediate_size", 0), true
	d.sparse(m)
}

// moe returns an MLP of experts that otherwise is as the dense ones.
func (d *draft) moe(count string) model.MLP {
	for _, key := range []string{count, "num_experts_per_tok"} {
		if !d.has(key) {
			d.fail(key, "missing: how many experts there are, and how many a token is sent to, has no default; without it, transformers cannot run the model either")
		}
	}
	m := d.layers[0].MLP
	m.Intermediate = d.size("moe_intermediate_size", 0)
	m.Experts, m.TopK = d.size(count, 0), d.size("num_experts_per_tok", 0)
	return m
}

// sparse gives an MLP to every decoder_sparse_step-th layer that mlp_only_layers does not list.
func (d *draft) sparse(m model.MLP) {
	dense, _ := d.ints("mlp_only_layers")
	step := d.size("decoder_sparse_step", 1)
	d.each(func(i int, y *model.Layer) {
		if !slices.Contains(dense, i) && (i+1)%step == 0 {
			y.MLP = m
		}
	})
}

func readGLM4MoE(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(true, ropeNames)
	bias := d.bool("attention_bias", false)
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias = bias })
	if d.bool("use_qk_norm", false) {
		d.qkNorm(model.QKNormHead)
	}
	d.behindDense(d.deepExperts())
}

// readSolarOpen: all layers have experts.
func readSolarOpen(d *draft) {
	d.heads()
	d.rms()
	act := d.activation("hidden_act")
	d.rope(false, ropeNames)
	bias := d.bool("attention_bias", false)
	d.each(func(_ int, y *model.Layer) {
		y.Attention.QKVBias = bias
		y.MLP = model.MLP{Gated: true, Activation: act}
	})
	m := d.deepExperts()
	d.each(func(_ int, y *model.Layer) { y.MLP = m })
}

// hunYuanNorms are the names of the norms of queries and keys.
var hunYuanNorms = named(map[model.Role]string{
	model.RoleQNorm: "{p}layers.{l}.self_attn.query_layernorm.weight",
	model.RoleKNorm: "{p}layers.{l}.self_attn.key_layernorm.weight",
})

func readHunYuanMoE(d *draft) {
	readHunYuan(d)
	d.each(func(_ int, y *model.Layer) {
		y.MLP.Routing = model.Routing{
			Experts: d.size("num_local_experts", 0), TopK: d.size("num_experts_per_tok", 0), NormalizeTopK: true,
		}
		y.MLP.Shared = y.MLP.Intermediate
	})
}

func readDots1(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormHead)
	window, from := d.slidingWindow(), d.int("max_window_layers", 0)
	d.windows(window, 0, func(i int) string {
		if window > 0 && i >= from {
			return slidingAttention
		}
		return fullAttention
	})
	d.behindDense(d.deepExperts())
}

// deepExperts returns experts as DeepSeek V3 has them: scores are sigmoids, a bias helps choose, from some groups only,
// and all tokens share an expert.
func (d *draft) deepExperts() model.MLP {
	return d.deepExpertsOf("num_local_experts", "n_shared_experts")
}

// deepExpertsOf is deepExperts with the names of the keys that count experts, and those that all tokens share.
func (d *draft) deepExpertsOf(count, shared string) model.MLP {
	m := d.scoredExperts(count)
	m.Shared = d.size(shared, 0) * m.Intermediate
	return m
}

// softmaxScores refuses other scores of experts than a softmax of the router's logits.
func (d *draft) softmaxScores(key string) {
	if f := d.string(key, "softmax"); f != "softmax" {
		d.fail(key, "%q is not supported; supported: softmax", f)
	}
}

// scoredExperts reads experts of sigmoid scores, chosen with a bias from the best groups, without the shared one.
func (d *draft) scoredExperts(count string) model.MLP {
	m := d.moe(count)
	m.Sigmoid, m.SelectionBias = true, true
	m.NormalizeTopK = d.bool("norm_topk_prob", false)
	m.RouteScale = float32(d.float("routed_scaling_factor", 1))
	if m.Groups, m.TopGroups, m.GroupBest = d.size("n_group", 0), d.size("topk_group", 0), 2; m.Groups == 1 {
		m.Groups, m.TopGroups, m.GroupBest = 0, 0, 0
	}
	return m
}

// behindDense gives an MLP to the layers behind the first few, which first_k_dense_replace counts.
func (d *draft) behindDense(m model.MLP) {
	dense := d.int("first_k_dense_replace", 0)
	d.each(func(i int, y *model.Layer) {
		if i >= dense {
			y.MLP = m
		}
	})
}

// smallestNorm bounds moe_norm_min: sums of scores that are smaller would be divided by that.
const smallestNorm = 1e-9

func readErnieMoE(d *draft) {
	readErnie(d)
	if d.bool("use_bias", false) {
		d.fail("use_bias", "biases of experts that all tokens share are not supported")
	}
	if least := d.float("moe_norm_min", 0); !(least <= smallestNorm) {
		d.fail("moe_norm_min", "%g is not supported: want at most %g", least, smallestNorm)
	}
	m := d.moe("num_experts")
	m.NormalizeTopK, m.SelectionBias = true, true
	m.Shared = d.int("moe_num_shared_experts", 0) * m.Intermediate
	step, first, last := d.size("moe_layer_interval", 1), d.int("moe_layer_start_index", 0), d.int("moe_layer_end_index", -1)
	if last == -1 {
		last = len(d.layers) - 1
	}
	d.each(func(i int, y *model.Layer) {
		if (i+1)%step == 0 && i >= first && i <= last {
			y.MLP = m
		}
	})
}

func readMiniMaxM2(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rotaryDim()
	d.rope(true, ropeNames)
	d.qkNorm(model.QKNormProjection)
	d.each(func(_ int, y *model.Layer) {
		y.MLP.Routing = model.Routing{
			Experts: d.size("num_experts", 0), TopK: d.size("num_experts_per_tok", 0),
			Sigmoid: true, NormalizeTopK: true, SelectionBias: true,
		}
	})
}

// rotaryDim reads how many elements of a head are rotated, for files without a partial_rotary_factor.
func (d *draft) rotaryDim() {
	if n := d.int("rotary_dim", 0); n > 0 && !d.has("partial_rotary_factor") {
		d.setFloat("partial_rotary_factor", float64(n)/float64(d.layers[0].Attention.HeadDim))
	}
}

func readGPTOSS(d *draft) {
	d.heads()
	d.rms()
	d.mlpOf(model.SiLU)
	d.attentionBias("attention_bias", true)
	if len(d.mapping("rope_scaling")) == 0 && d.value("rope_parameters") == nil {
		d.set("rope_parameters", `{"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
			"original_max_position_embeddings": 4096}`)
	}
	d.rope(false, ropeNames)
	window := d.slidingWindow()
	d.windows(window, 0, func(i int) string {
		if i%2 == 0 {
			return slidingAttention
		}
		return fullAttention
	})
	d.each(func(_ int, y *model.Layer) {
		y.Attention.Sinks = true
		y.MLP.Bias = true
		y.MLP.Routing = model.Routing{
			Experts: d.size("num_experts", 0), TopK: d.size("num_experts_per_tok", 0), RouterBias: true, NormalizeTopK: true,
		}
		y.MLP.Clamped = model.Clamped{
			Limit: float32(d.float("swiglu_limit", 0)), Slope: float32(d.float("swiglu_alpha", 0)), UpOffset: 1,
		}
	})
}
