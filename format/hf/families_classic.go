package hf

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// classicFamilies have LayerNorm.
var classicFamilies = map[string]*family{
	"phi": {
		class: "PhiForCausalLM",
		read:  readPhi,
		tensors: with(biasedTensors, named(map[model.Role]string{
			model.RoleO:             "{p}layers.{l}.self_attn.dense.weight",
			model.RoleOBias:         "{p}layers.{l}.self_attn.dense.bias",
			model.RoleUp:            "{p}layers.{l}.mlp.fc1.weight",
			model.RoleUpBias:        "{p}layers.{l}.mlp.fc1.bias",
			model.RoleDown:          "{p}layers.{l}.mlp.fc2.weight",
			model.RoleDownBias:      "{p}layers.{l}.mlp.fc2.bias",
			model.RoleFinalNorm:     "{p}final_layernorm.weight",
			model.RoleFinalNormBias: "{p}final_layernorm.bias",
		})),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 51200, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
			"num_attention_heads": 32, "hidden_act": "gelu_new", "max_position_embeddings": 2048, "layer_norm_eps": 1e-05,
			"tie_word_embeddings": false, "qk_layernorm": false, "rope_theta": 10000, "partial_rotary_factor": 0.5}`,
	},
	"stablelm": {
		class: "StableLmForCausalLM",
		read:  readStableLM,
		tensors: with(biasedTensors, named(map[model.Role]string{
			model.RoleQNorm: "{p}layers.{l}.self_attn.q_layernorm.norms.{e}.weight",
			model.RoleKNorm: "{p}layers.{l}.self_attn.k_layernorm.norms.{e}.weight",
		})),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 50304, "intermediate_size": 6912, "hidden_size": 2560, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 4096,
			"layer_norm_eps": 1e-05, "tie_word_embeddings": false, "use_qkv_bias": false, "qk_layernorm": false,
			"use_parallel_residual": false, "rope_theta": 10000, "partial_rotary_factor": 0.25}`,
	},
	"cohere": {
		class:    "CohereForCausalLM",
		read:     readCohere,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625,
			"num_hidden_layers": 40, "num_attention_heads": 64, "hidden_act": "silu", "max_position_embeddings": 8192,
			"layer_norm_eps": 1e-05, "tie_word_embeddings": true, "attention_bias": false, "use_qk_norm": false,
			"rope_theta": 500000}`,
	},
	"cohere2": {
		class:    "Cohere2ForCausalLM",
		read:     readCohere2,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625,
			"num_hidden_layers": 40, "num_attention_heads": 64, "hidden_act": "silu", "max_position_embeddings": 8192,
			"layer_norm_eps": 1e-05, "tie_word_embeddings": true, "attention_bias": false, "sliding_window": 4096,
			"sliding_window_pattern": 4, "rope_theta": 10000}`,
	},
	"nemotron": {
		class:    "NemotronForCausalLM",
		read:     readNemotron,
		tensors:  biasedTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 6144, "intermediate_size": 24576, "num_hidden_layers": 32,
			"num_attention_heads": 48, "hidden_act": "relu2", "max_position_embeddings": 4096, "norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "rope_theta": 10000,
			"partial_rotary_factor": 0.5}`,
	},
	"olmo": {
		class:    "OlmoForCausalLM",
		read:     readOLMo,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 50304, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "tie_word_embeddings": false,
			"attention_bias": false, "rope_theta": 10000}`,
	},
	"falcon": {
		class:    "FalconForCausalLM",
		read:     readFalcon,
		tensors:  falconTensors,
		twoNorms: falconNorms,
		prefixes: gptPrefix,
		aliases:  map[string]string{"hidden_size": "n_embed"},
		defaults: `{"vocab_size": 65024, "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
			"layer_norm_epsilon": 1e-05, "alibi": false, "new_decoder_architecture": false, "multi_query": true,
			"parallel_attn": true, "bias": false, "max_position_embeddings": 2048, "activation": "gelu",
			"tie_word_embeddings": true, "rope_theta": 10000}`,
	},
}

// biasedTensors are those of Llama with norms that have biases, and a head that may have one.
var biasedTensors = with(llamaTensors, named(map[model.Role]string{
	model.RoleAttnNormBias:  "{p}layers.{l}.input_layernorm.bias",
	model.RoleMLPNormBias:   "{p}layers.{l}.post_attention_layernorm.bias",
	model.RoleFinalNormBias: "{p}norm.bias",
	model.RoleHeadBias:      "{h}lm_head.bias",
}))

// falconTensors: for each key and value head, the query heads that read it, the key and the value lie in one tensor.
var falconTensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}word_embeddings.weight",
		model.RoleAttnNorm:      "{p}h.{l}.input_layernorm.weight",
		model.RoleAttnNormBias:  "{p}h.{l}.input_layernorm.bias",
		model.RoleO:             "{p}h.{l}.self_attention.dense.weight",
		model.RoleOBias:         "{p}h.{l}.self_attention.dense.bias",
		model.RoleMLPNorm:       "{p}h.{l}.post_attention_layernorm.weight",
		model.RoleMLPNormBias:   "{p}h.{l}.post_attention_layernorm.bias",
		model.RoleUp:            "{p}h.{l}.mlp.dense_h_to_4h.weight",
		model.RoleUpBias:        "{p}h.{l}.mlp.dense_h_to_4h.bias",
		model.RoleDown:          "{p}h.{l}.mlp.dense_4h_to_h.weight",
		model.RoleDownBias:      "{p}h.{l}.mlp.dense_4h_to_h.bias",
		model.RoleFinalNorm:     "{p}ln_f.weight",
		model.RoleFinalNormBias: "{p}ln_f.bias",
		model.RoleHead:          "{h}lm_head.weight",
	}),
	fused(source{name: "{p}h.{l}.self_attention.query_key_value.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}h.{l}.self_attention.query_key_value.bias", byHead: true}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

var falconNorms = named(map[model.Role]string{
	model.RoleAttnNorm:     "{p}h.{l}.ln_attn.weight",
	model.RoleAttnNormBias: "{p}h.{l}.ln_attn.bias",
	model.RoleMLPNorm:      "{p}h.{l}.ln_mlp.weight",
	model.RoleMLPNormBias:  "{p}h.{l}.ln_mlp.bias",
})

// parallel lets both branches of all layers read the same norm.
func (d *draft) parallel() {
	d.each(func(_ int, y *model.Layer) { y.Parallel, y.OneNorm = true, true })
}

func readPhi(d *draft) {
	d.heads()
	d.layerNorm("layer_norm_eps")
	d.mlp(false, "hidden_act", "")
	d.rope(true, ropeNames)
	d.parallel()
	d.spec.HeadBias = true
	if d.bool("qk_layernorm", false) {
		d.fail("qk_layernorm", "norms of queries and keys with biases are not supported")
	}
	d.each(func(_ int, y *model.Layer) { y.MLP.Bias, y.Attention.QKVBias, y.Attention.OutBias = true, true, true })
}

func readStableLM(d *draft) {
	d.keyValueHeads()
	d.headsShare()
	d.layerNorm("layer_norm_eps")
	d.mlp(true, "hidden_act", "")
	d.rope(true, ropeNames)
	d.qkvBias("use_qkv_bias")
	if d.bool("use_parallel_residual", false) {
		d.parallel()
	}
	if d.bool("qk_layernorm", false) {
		d.qkNorm(model.QKNormHeads)
	}
}

// cohere reads what both generations have in common.
func cohere(d *draft) {
	d.layerNorm("layer_norm_eps")
	d.spec.Norm.Bias = false
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
	d.parallel()
	d.spec.LogitScale = float32(d.float("logit_scale", 1))
}

func readCohere(d *draft) {
	d.heads()
	cohere(d)
	if d.bool("use_qk_norm", false) {
		d.qkNorm(model.QKNormHeads)
	}
}

// readCohere2: layers without a window have no RoPE.
func readCohere2(d *draft) {
	d.keyValueHeads()
	cohere(d)
	d.patternWindows(d.slidingWindow(), "sliding_window_pattern")
	d.each(func(_ int, y *model.Layer) {
		if y.Attention.Window == 0 {
			y.Attention.RoPE = -1
		}
	})
}

// keyValueHeads reads the number of key and value heads of a family whose heads share hidden_size.
func (d *draft) keyValueHeads() {
	d.dividedHeads()
	n := d.size("num_key_value_heads", d.layers[0].Attention.Heads)
	d.each(func(_ int, y *model.Layer) { y.Attention.KVHeads = n })
}

func readNemotron(d *draft) {
	d.heads()
	d.layerNorm("norm_eps")
	d.spec.Norm.PlusOne = true
	d.mlp(false, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.rope(true, ropeNames)
}

func readOLMo(d *draft) {
	d.heads()
	d.spec.Norm = model.Norm{Kind: model.LayerNorm, Eps: 1e-5, Unweighted: true}
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.clip("clip_qkv")
}

// clip reads the bound of queries, keys and values.
func (d *draft) clip(key string) {
	c := d.float(key, 0)
	if c < 0 || d.has(key) && c == 0 {
		d.fail(key, "want a number above 0 or null, have %g", c)
	}
	d.each(func(_ int, y *model.Layer) { y.Attention.Clip = float32(c) })
}

func readFalcon(d *draft) {
	d.sameWidth()
	grouped, parallel := d.bool("new_decoder_architecture", false), d.bool("parallel_attn", false) // null is false
	d.dividedHeads()
	d.each(func(_ int, y *model.Layer) {
		switch {
		case grouped:
			y.Attention.KVHeads = d.size("num_kv_heads", y.Attention.Heads)
		case d.bool("multi_query", false):
			y.Attention.KVHeads = 1
		}
	})
	d.layerNorm("layer_norm_epsilon")
	bias, act, width := d.bool("bias", false), d.activation("activation"), d.size("ffn_hidden_size", 4*d.spec.Hidden)
	norms := d.int("num_ln_in_parallel_attn", 0)
	if norms == 0 && grouped {
		norms = 2
	}
	if norms == 2 && !grouped || norms < 0 || norms > 2 || grouped && !parallel {
		d.fail("num_ln_in_parallel_attn", "%d with new_decoder_architecture %t and parallel_attn %t is no model that transformers computes", norms, grouped, parallel)
	}
	d.each(func(_ int, y *model.Layer) {
		y.MLP = model.MLP{Activation: act, Intermediate: width, Bias: bias}
		y.Attention.QKVBias, y.Attention.OutBias = bias, bias
		y.Parallel, y.OneNorm = parallel, parallel && norms != 2
	})
	if d.bool("alibi", false) {
		d.each(func(_ int, y *model.Layer) { y.Attention.ALiBi, y.Attention.ALiBiScale = 8, y.Attention.Scale })
		return
	}
	d.rope(false, ropeNames)
}
