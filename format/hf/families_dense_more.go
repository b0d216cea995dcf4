package hf

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// moreDenseFamilies are further relatives of Llama.
var moreDenseFamilies = map[string]*family{
	"helium": {
		class:    "HeliumForCausalLM",
		read:     readHelium,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 48000, "hidden_size": 2560, "intermediate_size": 7040, "num_hidden_layers": 24,
			"num_attention_heads": 20, "num_key_value_heads": 20, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 4096, "rms_norm_eps": 1e-08, "tie_word_embeddings": false, "attention_bias": false,
			"mlp_bias": false, "rope_theta": 100000}`,
	},
	"cwm": {
		class:    "CwmForCausalLM",
		read:     readCWM,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 128256, "hidden_size": 6144, "intermediate_size": 21504, "num_hidden_layers": 64,
			"num_attention_heads": 48, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "mlp_bias": false, "head_dim": 128, "sliding_window": 8192,
			"rope_theta": 1000000, "rope_parameters": {"rope_theta": 1000000.0, "factor": 16.0, "high_freq_factor": 4.0,
			"low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}}`,
	},
	"ministral": {
		class:    "MinistralForCausalLM",
		read:     readMinistral,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "sliding_window": 4096, "rope_theta": 10000}`,
	},
	"vaultgemma": {
		class: "VaultGemmaForCausalLM",
		read:  readVaultGemma,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RoleMLPNorm: "{p}layers.{l}.pre_feedforward_layernorm.weight",
		})),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
			"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
			"max_position_embeddings": 8192, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "attention_bias": false,
			"query_pre_attn_scalar": 256, "sliding_window": 4096, "final_logit_softcapping": 30.0,
			"attn_logit_softcapping": 50.0, "rope_theta": 10000}`,
	},
	"hyperclovax": {
		class: "HyperCLOVAXForCausalLM",
		read:  readHyperCLOVAX,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RolePostAttnNorm: "{p}layers.{l}.post_norm1.weight",
			model.RolePostMLPNorm:  "{p}layers.{l}.post_norm2.weight",
		})),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "embedding_multiplier": 1.0,
			"logits_scaling": 1.0, "residual_multiplier": 1.0, "use_post_norm": true, "rope_theta": 10000}`,
	},
	"minicpm3": {
		class:    "MiniCPM3ForCausalLM",
		read:     readMiniCPM3,
		tensors:  latentTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 73448, "hidden_size": 2560, "intermediate_size": 6400, "num_hidden_layers": 62,
			"num_attention_heads": 40, "num_key_value_heads": 40, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
			"kv_lora_rank": 256, "q_lora_rank": 768, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "scale_emb": 12,
			"scale_depth": 1.4, "dim_model_base": 256, "rope_theta": 10000}`,
	},
	"exaone": {
		class:   "LlamaForCausalLM",
		borrows: true,
		read:    readLlama,
		tensors: with(llamaTensors, either(named(map[model.Role]string{
			model.RoleEmbed:     "{p}wte.weight",
			model.RoleAttnNorm:  "{p}h.{l}.ln_1.weight",
			model.RoleQ:         "{p}h.{l}.attn.attention.q_proj.weight",
			model.RoleQBias:     "{p}h.{l}.attn.attention.q_proj.bias",
			model.RoleK:         "{p}h.{l}.attn.attention.k_proj.weight",
			model.RoleKBias:     "{p}h.{l}.attn.attention.k_proj.bias",
			model.RoleV:         "{p}h.{l}.attn.attention.v_proj.weight",
			model.RoleVBias:     "{p}h.{l}.attn.attention.v_proj.bias",
			model.RoleO:         "{p}h.{l}.attn.attention.out_proj.weight",
			model.RoleOBias:     "{p}h.{l}.attn.attention.out_proj.bias",
			model.RoleMLPNorm:   "{p}h.{l}.ln_2.weight",
			model.RoleGate:      "{p}h.{l}.mlp.c_fc_0.weight",
			model.RoleUp:        "{p}h.{l}.mlp.c_fc_1.weight",
			model.RoleDown:      "{p}h.{l}.mlp.c_proj.weight",
			model.RoleFinalNorm: "{p}ln_f.weight",
		}), llamaTensors)),
		prefixes: []prefix{{"transformer.", ""}, {"model.", ""}, {"", ""}},
		aliases:  map[string]string{"num_hidden_layers": "num_layers", "rms_norm_eps": "layer_norm_epsilon", "hidden_act": "activation_function"},
		defaults: `{"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 4096,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
			"rope_theta": 500000}`,
	},
	"internlm3": {
		class:    "LlamaForCausalLM",
		borrows:  true,
		read:     readInternLM3,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		aliases:  map[string]string{"attention_bias": "qkv_bias", "mlp_bias": "bias"},
		defaults: `{"vocab_size": 128512, "hidden_size": 4096, "intermediate_size": 10240, "num_hidden_layers": 48,
			"num_attention_heads": 32, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 32768,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
			"head_dim": 128, "rope_theta": 10000}`,
	},
	"iquestcoder": {
		class:    "LlamaForCausalLM",
		borrows:  true,
		read:     readIQuestCoder,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 76800, "hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 80,
			"num_attention_heads": 40, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
			"head_dim": 128, "rope_theta": 10000}`,
	},
	"granite_swa": {
		class:    "GraniteSWAForCausalLM",
		read:     readGraniteSWA,
		tensors:  with(llamaTensors, eitherSinks),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 100352, "hidden_size": 2560, "intermediate_size": 8192, "num_hidden_layers": 24,
			"num_attention_heads": 20, "num_key_value_heads": 4, "hidden_act": "silu", "max_position_embeddings": 8192,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
			"embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0,
			"sliding_window": 128, "rope_theta": 10000}`,
	},
	"nanochat": {
		class: "NanoChatForCausalLM",
		read:  readNanoChat,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RoleUp:   "{p}layers.{l}.mlp.fc1.weight",
			model.RoleDown: "{p}layers.{l}.mlp.fc2.weight",
		})),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 50304, "hidden_size": 768, "intermediate_size": 8192, "num_hidden_layers": 12,
			"num_attention_heads": 6, "max_position_embeddings": 2048, "hidden_act": "relu2", "rms_norm_eps": 1e-06,
			"final_logit_softcapping": 15.0, "attention_bias": false, "tie_word_embeddings": false, "rope_theta": 10000}`,
	},
	"jais2": {
		class:    "Jais2ForCausalLM",
		read:     readJais2,
		tensors:  biasedTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 150272, "hidden_size": 3328, "intermediate_size": 26624, "num_hidden_layers": 32,
			"num_attention_heads": 26, "hidden_act": "relu2", "max_position_embeddings": 8192, "tie_word_embeddings": false,
			"attention_bias": true, "mlp_bias": true, "layer_norm_eps": 1e-05, "rope_theta": 10000}`,
	},
}

// readHelium: a Llama that rotates neighbors.
func readHelium(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.qkvBias("attention_bias")
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
}

// readCWM: three of four layers have a window.
func readCWM(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.rope(false, ropeNames)
	window := d.slidingWindow()
	d.windows(window, 0, func(i int) string {
		if i%4 == 0 {
			return fullAttention
		}
		return slidingAttention
	})
}

// readMinistral: a Mistral of which each layer may have a window or not.
func readMinistral(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false, ropeNames)
	window := d.slidingWindow()
	d.windows(window, 0, everywhere(window))
}

// readVaultGemma: Gemma 2 without norms behind the branches.
func readVaultGemma(d *draft) {
	readCappedGemma(d)
	d.each(func(_ int, y *model.Layer) { y.PostNorm = false })
}

// readHyperCLOVAX: Granite with norms behind the branches, too, and logits that are multiplied.
func readHyperCLOVAX(d *draft) {
	readLlama(d)
	d.spec.EmbedScale = float32(d.float("embedding_multiplier", 1))
	d.spec.LogitScale = float32(d.float("logits_scaling", 1))
	residual, post := float32(d.float("residual_multiplier", 1)), d.bool("use_post_norm", true)
	d.each(func(_ int, y *model.Layer) {
		y.PostNorm, y.ResidualScale = post, residual
		y.Attention.Scale = float32(d.float("attention_multiplier", float64(y.Attention.Scale)))
	})
}

// readMiniCPM3: latent attention, and branches, embedding and logits that are scaled by the size of the model.
func readMiniCPM3(d *draft) {
	if !d.has("v_head_dim") {
		d.set("v_head_dim", string(floatValue(float64(d.spec.Hidden/d.layers[0].Attention.Heads))))
	}
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.latent("qk_rope_head_dim")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.magnitude()
	d.spec.EmbedScale = float32(d.float("scale_emb", 1))
	n := float64(len(d.layers))
	d.spec.LogitScale = float32(d.float("dim_model_base", float64(d.spec.Hidden)) / float64(d.spec.Hidden))
	residual := float32(d.float("scale_depth", math.Sqrt(n)) / math.Sqrt(n))
	d.each(func(_ int, y *model.Layer) { y.ResidualScale = residual })
}

// readJais2: LayerNorm, and an MLP without a gate.
func readJais2(d *draft) {
	d.heads()
	d.layerNorm("layer_norm_eps")
	d.mlp(false, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
}

// readInternLM3: a Llama whose biases are switched on together.
func readInternLM3(d *draft) {
	readLlama(d)
	if d.bool("attention_bias", false) != d.bool("mlp_bias", false) {
		d.fail("qkv_bias", "with another value than bias, it is not supported")
	}
}

func readIQuestCoder(d *draft) {
	readLlama(d)
	if d.has("clip_qkv") {
		d.fail("clip_qkv", "this family has none")
	}
	if d.bool("use_sliding_window", false) {
		d.fail("use_sliding_window", "this family has no windows")
	}
}

// readGraniteSWA: Granite with windows, sinks, and a base of the rotation for each layer.
func readGraniteSWA(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.multipliers()
	d.thetas()
	d.sinkWindows()
}

// readNanoChat: norms without weights, one of them before the first layer, and a rotation the other way round.
func readNanoChat(d *draft) {
	d.heads()
	d.rms()
	d.spec.Norm.Unweighted, d.spec.EmbedNorm = true, true
	d.mlp(false, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormUnweighted)
	for i := range d.spec.RoPE {
		backwards(d.spec.RoPE[i].InvFreq)
		backwards(d.spec.RoPE[i].LongInvFreq)
	}
	d.spec.LogitSoftcap = d.softcap("final_logit_softcapping")
}

func backwards(freq []float32) {
	for i := range freq {
		freq[i] = -freq[i]
	}
}
