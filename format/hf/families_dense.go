package hf

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// denseFamilies are relatives of Llama with RMSNorm and one MLP per layer.
var denseFamilies = map[string]*family{
	"gemma": {
		class:    "GemmaForCausalLM",
		read:     readGemma,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28,
			"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
			"max_position_embeddings": 8192, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "attention_bias": false,
			"rope_theta": 10000}`,
	},
	"glm": {
		class:    "GlmForCausalLM",
		read:     readGLM,
		tensors:  with(llamaTensors, fusedGateUp),
		prefixes: modelPrefix,
		defaults: glmDefaults,
	},
	"glm4": {
		class: "Glm4ForCausalLM",
		read:  readGLM4,
		tensors: with(llamaTensors, merge(fusedGateUp, named(map[model.Role]string{
			model.RolePostAttnNorm: "{p}layers.{l}.post_self_attn_layernorm.weight",
			model.RolePostMLPNorm:  "{p}layers.{l}.post_mlp_layernorm.weight",
		}))),
		prefixes: modelPrefix,
		defaults: glmDefaults,
	},
	"seed_oss": {
		class:    "SeedOssForCausalLM",
		read:     readSeedOSS,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 155136, "hidden_size": 4096, "intermediate_size": 27648, "num_hidden_layers": 64,
			"num_attention_heads": 80, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 524288,
			"rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": true, "attention_out_bias": false,
			"mlp_bias": false, "head_dim": 128, "rope_theta": 10000}`,
	},
	"ernie4_5": {
		class:    "Ernie4_5ForCausalLM",
		read:     readErnie,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 103424, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 18,
			"num_attention_heads": 16, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": true, "use_bias": false, "head_dim": 128, "rope_theta": 500000}`,
	},
	"exaone4": {
		class:    "Exaone4ForCausalLM",
		read:     readExaone4,
		tensors:  postNormTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "sliding_window": 4096, "sliding_window_pattern": 4,
			"rope_theta": 10000}`,
	},
	"olmo3": {
		class:    "Olmo3ForCausalLM",
		read:     readOLMo3,
		tensors:  postNormTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 50304, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "tie_word_embeddings": false,
			"attention_bias": false, "rms_norm_eps": 1e-05, "sliding_window": 4096, "rope_theta": 500000}`,
	},
	"ministral3": {
		class:    "Ministral3ForCausalLM",
		read:     readMinistral3,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 131072, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 34,
			"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 262144, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "rope_theta": 10000,
			"rope_parameters": {"type": "yarn", "rope_theta": 1000000.0, "factor": 16.0, "original_max_position_embeddings": 16384,
			"beta_fast": 32.0, "beta_slow": 1.0, "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1}}`,
	},
	"hunyuan_v1_dense": {
		class:    "HunYuanDenseV1ForCausalLM",
		read:     readHunYuan,
		tensors:  with(llamaTensors, hunYuanNorms),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 290943, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "rope_theta": 10000}`,
	},
	"apertus": {
		class: "ApertusForCausalLM",
		read:  readApertus,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RoleAttnNorm:    "{p}layers.{l}.attention_layernorm.weight",
			model.RoleMLPNorm:     "{p}layers.{l}.feedforward_layernorm.weight",
			model.RoleActPositive: "{p}layers.{l}.mlp.act_fn.alpha_p",
			model.RoleActNegative: "{p}layers.{l}.mlp.act_fn.alpha_n",
		}), map[model.Role]source{
			model.RoleActBeta: {name: "{p}layers.{l}.mlp.act_fn.beta", scalar: true},
			model.RoleActEps:  {name: "{p}layers.{l}.mlp.act_fn.eps", scalar: true},
		}),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 131072, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "xielu", "max_position_embeddings": 65536, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "rope_theta": 12000000,
			"rope_parameters": {"rope_type": "llama3", "rope_theta": 12000000.0, "factor": 8.0,
			"original_max_position_embeddings": 8192, "low_freq_factor": 1.0, "high_freq_factor": 4.0}}`,
	},
	"arcee": {
		class:    "ArceeForCausalLM",
		read:     readArcee,
		tensors:  llamaTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 2560, "intermediate_size": 18432, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "relu2", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "rope_theta": 10000}`,
	},
}

// fusedGateUp: the rows of the gate lie before those of the up projection.
var fusedGateUp = fused(source{name: "{p}layers.{l}.mlp.gate_up_proj.weight"}, model.RoleGate, model.RoleUp)

// postNormTensors names a norm after each branch and none before.
var postNormTensors = with(llamaTensors, named(map[model.Role]string{
	model.RolePostAttnNorm: "{p}layers.{l}.post_attention_layernorm.weight",
	model.RolePostMLPNorm:  "{p}layers.{l}.post_feedforward_layernorm.weight",
}))

const glmDefaults = `{"vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40,
	"num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "hidden_act": "silu",
	"max_position_embeddings": 131072, "rms_norm_eps": 1.5625e-07, "tie_word_embeddings": false, "attention_bias": true,
	"rope_theta": 10000, "partial_rotary_factor": 0.5}`

func readGemma(d *draft) {
	d.heads()
	d.rms()
	d.spec.Norm.PlusOne = true
	d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	d.mlp(true, "hidden_act", "")
	if d.string("hidden_act", "") == "gelu" { // the first files call the approximation so
		d.each(func(_ int, y *model.Layer) { y.MLP.Activation = model.GELUTanh })
	}
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.causalOnly()
}

// causalOnly refuses models whose tokens see those after them.
func (d *draft) causalOnly() {
	if d.bool("use_bidirectional_attention", false) {
		d.fail("use_bidirectional_attention", "only causal attention is supported")
	}
}

func readGLM(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.qkvBias("attention_bias")
	d.rope(true, ropeNames)
	d.spec.RoPE[0].Interleaved = true
}

// qkvBias reads the switch for biases of queries, keys and values.
func (d *draft) qkvBias(key string) {
	b := d.bool(key, false)
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias = b })
}

func readGLM4(d *draft) {
	readGLM(d)
	d.each(func(_ int, y *model.Layer) { y.PostNorm = true })
}

func readSeedOSS(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.qkvBias("attention_bias")
	out := d.bool("attention_out_bias", false)
	d.each(func(_ int, y *model.Layer) { y.Attention.OutBias = out })
	d.rope(false, ropeNames)
}

func readErnie(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "use_bias")
	d.attentionBias("use_bias", false)
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
}

// postNorms moves the norms from before the branches to behind them.
func (d *draft) postNorms() {
	d.each(func(_ int, y *model.Layer) { y.PreNorm, y.PostNorm = false, true })
}

// readExaone4: where some layers have a window, the others have no RoPE.
func readExaone4(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormHead)
	d.postNorms()
	window := d.slidingWindow()
	d.patternWindows(window, "sliding_window_pattern")
	d.each(func(_ int, y *model.Layer) {
		if window > 0 && y.Attention.Window == 0 {
			y.Attention.RoPE = -1
		}
	})
}

// patternWindows gives the window to all layers but every n-th, as layer_types or the number n under a key says.
func (d *draft) patternWindows(window int, key string) {
	every := 1
	if window > 0 && !d.has("layer_types") {
		every = d.size(key, 4)
	} else {
		d.ignore(key)
	}
	d.windows(window, 0, func(i int) string {
		if (i+1)%every == 0 {
			return fullAttention
		}
		return slidingAttention
	})
}

func readOLMo3(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.qkNorm(model.QKNormProjection)
	d.postNorms()
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if (i+1)%4 == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	const theta, usual = "rope_theta", 500000
	local := d.localAndGlobalRoPE(theta)
	if d.float(theta, usual) != usual && !local.has(theta) {
		d.fail(theta, "versions of transformers disagree on whether it counts in layers with windows; write rope_parameters with full_attention and sliding_attention")
	}
}

// readMinistral3: queries grow with each multiple of the context that the model was trained for at first.
func readMinistral3(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.uniformWindow(d.slidingWindow())
	params := d.rope(false, ropeNames)
	scale, floor := params.float("llama_4_scaling_beta", 0), params.size("original_max_position_embeddings", 0)
	if !params.has("llama_4_scaling_beta") {
		params.fail("llama_4_scaling_beta", "missing")
	}
	d.each(func(_ int, y *model.Layer) {
		a := &y.Attention
		a.TemperatureScale, a.TemperatureFloor, a.TemperatureFromZero = float32(scale), floor, true
	})
}

// readHunYuan: queries and keys are normalized after the rotation, whose base an alpha may stretch.
func readHunYuan(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	params := d.rope(false, ropeNames)
	d.qkNorm(model.QKNormRotated)
	r := &d.spec.RoPE[0]
	if alpha := params.float("alpha", 0); alpha != 0 && r.DynamicFactor > 0 && r.Dim > 2 {
		base := float64(r.DynamicBase) * math.Pow(alpha, float64(r.Dim)/float64(r.Dim-2))
		d.spec.RoPE[0] = model.RoPE{Dim: r.Dim, Scale: 1, InvFreq: model.Frequencies(float32(base), r.Dim)}
	}
}

// readApertus: an MLP without a gate, whose activation has weights.
func readApertus(d *draft) {
	d.heads()
	d.rms()
	if d.string("hidden_act", "") == "xielu" {
		m := model.MLP{Activation: model.XIELU, Intermediate: d.size("intermediate_size", 0)}
		d.each(func(_ int, y *model.Layer) { y.MLP = m })
	} else {
		d.mlp(false, "hidden_act", "")
	}
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormHead)
}

// readArcee: an MLP without a gate.
func readArcee(d *draft) {
	d.heads()
	d.rms()
	d.mlp(false, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
}
