package hf

import (
	"math"
	"slices"
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
		experts: named(map[model.Role]string{
			model.RoleRouter: "{p}layers.{l}.block_sparse_moe.gate.weight",
			model.RoleGate:   "{p}layers.{l}.block_sparse_moe.experts.{e}.w1.weight",
			model.RoleUp:     "{p}layers.{l}.block_sparse_moe.experts.{e}.w3.weight",
			model.RoleDown:   "{p}layers.{l}.block_sparse_moe.experts.{e}.w2.weight",
		}),
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
		read:    readQwen3MoE,
		tensors: llamaTensors,
		experts: named(map[model.Role]string{
			model.RoleRouter: "{p}layers.{l}.mlp.gate.weight",
			model.RoleGate:   "{p}layers.{l}.mlp.experts.{e}.gate_proj.weight",
			model.RoleUp:     "{p}layers.{l}.mlp.experts.{e}.up_proj.weight",
			model.RoleDown:   "{p}layers.{l}.mlp.experts.{e}.down_proj.weight",
		}),
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

func readLlama(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.attentionBias("attention_bias", false)
	d.rope(false)
}

func readMistral(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false)
	d.uniformWindow(d.slidingWindow())
}

// uniformWindow gives all layers the same window; families that call it know no layer_types, but
// some files list equal ones.
func (d *draft) uniformWindow(window int) {
	d.windows(window, 0, everywhere(window))
	for _, y := range d.layers {
		if y.Attention.Window != window {
			d.fail("layer_types", "this family has the same window in all layers")
			return
		}
	}
}

func readMixtral(d *draft) {
	readMistral(d)
	d.each(func(_ int, y *model.Layer) {
		y.MLP.Experts = d.size("num_local_experts", 0)
		y.MLP.TopK = d.size("num_experts_per_tok", 0)
		y.MLP.NormalizeTopK = true
	})
}

func readQwen2(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.rope(false)
	d.qwenWindows()
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias = true })
}

// qwenWindows reads the window of the layers from max_window_layers on.
func (d *draft) qwenWindows() {
	from := d.int("max_window_layers", 0)
	window := d.switchedWindow()
	d.windows(window, 0, func(i int) string {
		if window > 0 && i >= from {
			return "sliding_attention"
		}
		return "full_attention"
	})
}

// switchedWindow reads the width of the window, 0 unless use_sliding_window.
func (d *draft) switchedWindow() int {
	if window := d.slidingWindow(); d.bool("use_sliding_window", false) {
		return window
	}
	return 0
}

func readQwen3(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false)
	d.qwenWindows()
	d.qkNorm(model.QKNormHead)
}

func (d *draft) qkNorm(kind model.QKNorm) {
	d.each(func(_ int, y *model.Layer) { y.Attention.QKNorm = kind })
}

func readQwen3MoE(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false)
	d.uniformWindow(d.switchedWindow())
	d.qkNorm(model.QKNormHead)
	alias(d.object, "num_experts", "num_local_experts")
	dense, _ := d.ints("mlp_only_layers")
	step := d.size("decoder_sparse_step", 1)
	experts := model.MLP{
		Gated:         true,
		Activation:    d.layers[0].MLP.Activation,
		Intermediate:  d.size("moe_intermediate_size", 0),
		Experts:       d.size("num_experts", 0),
		TopK:          d.size("num_experts_per_tok", 0),
		NormalizeTopK: d.bool("norm_topk_prob", false),
	}
	d.each(func(i int, y *model.Layer) {
		if !slices.Contains(dense, i) && (i+1)%step == 0 {
			y.MLP = experts
		}
	})
}

// gemmaTensors names a norm before and after each branch.
var gemmaTensors = with(llamaTensors, named(map[model.Role]string{
	model.RolePostAttnNorm: "{p}layers.{l}.post_attention_layernorm.weight",
	model.RoleMLPNorm:      "{p}layers.{l}.pre_feedforward_layernorm.weight",
	model.RolePostMLPNorm:  "{p}layers.{l}.post_feedforward_layernorm.weight",
}))

// gemma reads what Gemma 2 and 3 have in common.
func gemma(d *draft) {
	d.groupedHeads()
	d.rms()
	d.spec.Norm.PlusOne = true
	d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	d.mlp(true, "hidden_activation", "")
	d.attentionBias("attention_bias", false)
	scalar := d.float("query_pre_attn_scalar", 0)
	if !(scalar > 0) {
		d.fail("query_pre_attn_scalar", "want a number above 0")
	}
	d.each(func(_ int, y *model.Layer) {
		y.PostNorm = true
		y.Attention.Scale = invSqrt(scalar)
	})
	if d.bool("use_bidirectional_attention", false) {
		d.fail("use_bidirectional_attention", "only causal attention is supported")
	}
	d.spec.LogitSoftcap = d.softcap("final_logit_softcapping")
}

func (d *draft) softcap(key string) float32 {
	c := d.float(key, 0)
	if c < 0 || d.has(key) && c == 0 {
		d.fail(key, "want a number above 0 or null, have %g", c)
	}
	return float32(c)
}

func readGemma2(d *draft) {
	gemma(d)
	d.rope(false)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		return []string{"sliding_attention", "full_attention"}[i%2]
	})
	c := d.softcap("attn_logit_softcapping")
	d.each(func(_ int, y *model.Layer) { y.Attention.Softcap = c })
}

// gemma3 is the entry of Gemma 3, alone or inside the multimodal model. The sizes of its 4B model
// are defaults, since files leave them out.
func gemma3(nested bool) *family {
	return &family{
		read:     readGemma3,
		tensors:  gemmaTensors,
		prefixes: textPrefix,
		nested:   nested,
		defaults: `{"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
			"num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072,
			"tie_word_embeddings": true, "query_pre_attn_scalar": 256, "sliding_window": 4096, "sliding_window_pattern": 6,
			"rope_theta": 1000000, "rope_local_base_freq": 10000}`,
		inert: strings.Fields("hidden_act"),
	}
}

func readGemma3(d *draft) {
	gemma(d)
	d.qkNorm(model.QKNormHead)
	if d.has("attn_logit_softcapping") {
		d.fail("attn_logit_softcapping", "this family does not cap attention")
	}
	pattern := d.size("sliding_window_pattern", 6)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if (i+1)%pattern == 0 {
			return "full_attention"
		}
		return "sliding_attention"
	})
	d.localAndGlobalRoPE()
}

// localAndGlobalRoPE gives layers with a window another RoPE than the others.
func (d *draft) localAndGlobalRoPE() {
	var global, local *object
	if params := d.object.object("rope_parameters"); params != nil {
		global, local = params.object("full_attention"), params.object("sliding_attention")
	}
	if scaling := d.object.object("rope_scaling"); scaling != nil {
		global = scaling
	}
	for _, o := range []**object{&global, &local} {
		if *o == nil {
			*o = &object{path: "rope_parameters.", read: map[string]bool{}}
			d.children = append(d.children, *o)
		}
	}
	d.spec.RoPE = []model.RoPE{
		d.frequencies(global, d.float("rope_theta", 0), false, ropeNames),
		d.frequencies(local, d.float("rope_local_base_freq", 0), false, ropeNames),
	}
	d.each(func(_ int, y *model.Layer) {
		y.Attention.RoPE = 0
		if y.Attention.Window > 0 {
			y.Attention.RoPE = 1
		}
	})
}

// phi3RopeNames: files call longrope by three names.
var phi3RopeNames = map[string]string{"default": "default", "longrope": "longrope", "su": "longrope", "yarn": "longrope"}

func readPhi3(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.spec.RoPE = []model.RoPE{d.frequencies(d.ropeObject(), d.float("rope_theta", 0), true, phi3RopeNames)}
	d.each(func(_ int, y *model.Layer) { y.Attention.RoPE = 0 })
	d.uniformWindow(d.slidingWindow())
}

func readOLMo2(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false)
	d.qkNorm(model.QKNormProjection)
	d.each(func(_ int, y *model.Layer) { y.PreNorm, y.PostNorm = false, true })
}

func readSmolLM3(d *draft) {
	readLlama(d)
	d.noRoPELayers()
	window := d.switchedWindow()
	d.windows(window, 0, func(i int) string {
		if window > 0 && d.layers[i].Attention.RoPE < 0 {
			return "sliding_attention"
		}
		return "full_attention"
	})
}

// noRoPELayers takes the RoPE from the layers where no_rope_layers has a 0; without the list, from
// every no_rope_layer_interval-th.
func (d *draft) noRoPELayers() {
	list, present := d.ints("no_rope_layers")
	interval := d.size("no_rope_layer_interval", 4)
	if present && len(list) > 0 && len(list) != len(d.layers) {
		d.fail("no_rope_layers", "%d entries for %d layers", len(list), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		rotate := (i+1)%interval != 0
		if len(list) > 0 {
			rotate = list[i] != 0
		}
		if !rotate {
			y.Attention.RoPE = -1
		}
	})
}

func readGranite(d *draft) {
	readLlama(d)
	d.spec.EmbedScale = float32(d.float("embedding_multiplier", 1))
	scaling := d.float("logits_scaling", 1)
	if scaling == 0 {
		d.fail("logits_scaling", "the logits cannot be divided by 0")
	}
	d.spec.LogitScale = float32(1 / scaling)
	attention, residual := d.float("attention_multiplier", 1), d.float("residual_multiplier", 1)
	d.each(func(_ int, y *model.Layer) {
		y.Attention.Scale = float32(attention)
		y.ResidualScale = float32(residual)
	})
}

func readStarCoder2(d *draft) {
	d.groupedHeads()
	d.layerNorm("norm_epsilon")
	d.mlp(false, "hidden_act", "use_bias")
	d.attentionBias("use_bias", true)
	d.rope(false)
	d.uniformWindow(d.slidingWindow())
}

// gptNeoXTensors: query, key and value lie head by head in one tensor.
var gptNeoXTensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}embed_in.weight",
		model.RoleAttnNorm:      "{p}layers.{l}.input_layernorm.weight",
		model.RoleAttnNormBias:  "{p}layers.{l}.input_layernorm.bias",
		model.RoleO:             "{p}layers.{l}.attention.dense.weight",
		model.RoleOBias:         "{p}layers.{l}.attention.dense.bias",
		model.RoleMLPNorm:       "{p}layers.{l}.post_attention_layernorm.weight",
		model.RoleMLPNormBias:   "{p}layers.{l}.post_attention_layernorm.bias",
		model.RoleUp:            "{p}layers.{l}.mlp.dense_h_to_4h.weight",
		model.RoleUpBias:        "{p}layers.{l}.mlp.dense_h_to_4h.bias",
		model.RoleDown:          "{p}layers.{l}.mlp.dense_4h_to_h.weight",
		model.RoleDownBias:      "{p}layers.{l}.mlp.dense_4h_to_h.bias",
		model.RoleFinalNorm:     "{p}final_layer_norm.weight",
		model.RoleFinalNormBias: "{p}final_layer_norm.bias",
		model.RoleHead:          "{h}embed_out.weight",
	}),
	fused(source{name: "{p}layers.{l}.attention.query_key_value.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}layers.{l}.attention.query_key_value.bias", byHead: true}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

func readGPTNeoX(d *draft) {
	d.layerNorm("layer_norm_eps")
	d.mlp(false, "hidden_act", "")
	d.attentionBias("attention_bias", true)
	alias(d.object, "rope_theta", "rotary_emb_base")
	alias(d.object, "partial_rotary_factor", "rotary_pct")
	d.spec.RoPE = []model.RoPE{d.frequencies(d.ropeObject(), d.float("rope_theta", 0), true, ropeNames)}
	parallel := d.bool("use_parallel_residual", true)
	d.each(func(_ int, y *model.Layer) {
		y.Parallel = parallel
		y.MLP.Bias = true
		y.Attention.RoPE = 0
	})
}

// gpt2Tensors: matrices are stored [in][out], and query, key and value lie in one tensor.
var gpt2Tensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}wte.weight",
		model.RolePositions:     "{p}wpe.weight",
		model.RoleAttnNorm:      "{p}h.{l}.ln_1.weight",
		model.RoleAttnNormBias:  "{p}h.{l}.ln_1.bias",
		model.RoleOBias:         "{p}h.{l}.attn.c_proj.bias",
		model.RoleMLPNorm:       "{p}h.{l}.ln_2.weight",
		model.RoleMLPNormBias:   "{p}h.{l}.ln_2.bias",
		model.RoleUpBias:        "{p}h.{l}.mlp.c_fc.bias",
		model.RoleDownBias:      "{p}h.{l}.mlp.c_proj.bias",
		model.RoleFinalNorm:     "{p}ln_f.weight",
		model.RoleFinalNormBias: "{p}ln_f.bias",
		model.RoleHead:          "{h}lm_head.weight",
	}),
	map[model.Role]source{
		model.RoleO:    {name: "{p}h.{l}.attn.c_proj.weight", transposed: true},
		model.RoleUp:   {name: "{p}h.{l}.mlp.c_fc.weight", transposed: true},
		model.RoleDown: {name: "{p}h.{l}.mlp.c_proj.weight", transposed: true},
	},
	fused(source{name: "{p}h.{l}.attn.c_attn.weight", transposed: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}h.{l}.attn.c_attn.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

func readGPT2(d *draft) {
	d.layerNorm("layer_norm_epsilon")
	d.spec.Positions = d.spec.MaxPositions
	m := model.MLP{
		Activation:   d.activation("activation_function"),
		Intermediate: d.size("n_inner", 4*d.spec.Hidden),
		Bias:         true,
	}
	if d.bool("add_cross_attention", false) {
		d.fail("add_cross_attention", "cross attention is not supported")
	}
	scaled, byLayer := d.bool("scale_attn_weights", true), d.bool("scale_attn_by_inverse_layer_idx", false)
	d.each(func(i int, y *model.Layer) {
		y.MLP = m
		y.Attention.QKVBias, y.Attention.OutBias = true, true
		if !scaled {
			y.Attention.Scale = 1
		}
		if byLayer {
			y.Attention.Scale /= float32(i + 1)
		}
	})
}

// llama4 is the entry of Llama 4, alone or inside the multimodal model.
func llama4(nested bool) *family {
	gateUp := source{name: "{p}layers.{l}.feed_forward.experts.gate_up_proj", transposed: true}
	return &family{
		read: readLlama4,
		tensors: with(llamaTensors, named(map[model.Role]string{
			model.RoleGate:       "{p}layers.{l}.feed_forward.gate_proj.weight",
			model.RoleUp:         "{p}layers.{l}.feed_forward.up_proj.weight",
			model.RoleDown:       "{p}layers.{l}.feed_forward.down_proj.weight",
			model.RoleRouter:     "{p}layers.{l}.feed_forward.router.weight",
			model.RoleSharedGate: "{p}layers.{l}.feed_forward.shared_expert.gate_proj.weight",
			model.RoleSharedUp:   "{p}layers.{l}.feed_forward.shared_expert.up_proj.weight",
			model.RoleSharedDown: "{p}layers.{l}.feed_forward.shared_expert.down_proj.weight",
		})),
		experts: merge(
			fused(gateUp, model.RoleGate, model.RoleUp),
			map[model.Role]source{
				model.RoleDown: {name: "{p}layers.{l}.feed_forward.experts.down_proj", transposed: true},
			},
		),
		prefixes: textPrefix,
		nested:   nested,
		defaults: `{"vocab_size": 202048, "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
			"num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "num_experts_per_tok": 1, "num_local_experts": 16,
			"interleave_moe_layer_step": 1, "use_qk_norm": true, "rope_theta": 500000, "no_rope_layer_interval": 4,
			"attention_chunk_size": 8192, "attn_temperature_tuning": true, "floor_scale": 8192, "attn_scale": 0.1}`,
		inert: strings.Fields("for_llm_compressor"),
	}
}

func readLlama4(d *draft) {
	d.groupedHeads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false)
	d.spec.RoPE[0].Interleaved = true
	d.noRoPELayers()
	chunk := 0
	if d.has("attention_chunk_size") {
		chunk = d.size("attention_chunk_size", 0)
	}
	d.windows(0, chunk, func(i int) string {
		if d.layers[i].Attention.RoPE >= 0 {
			return "chunked_attention"
		}
		return "full_attention"
	})
	d.llama4Queries()
	d.llama4Experts()
}

// llama4Queries: layers with RoPE may normalize queries and keys, those without may scale queries
// by position.
func (d *draft) llama4Queries() {
	norm := d.bool("use_qk_norm", true)
	scale, floor := float32(d.float("attn_scale", 0)), d.size("floor_scale", 0)
	tuned := d.truth("attn_temperature_tuning")
	d.each(func(_ int, y *model.Layer) {
		a := &y.Attention
		switch {
		case a.RoPE >= 0 && norm:
			a.QKNorm = model.QKNormUnweighted
		case a.RoPE < 0 && tuned:
			a.TemperatureScale, a.TemperatureFloor = scale, floor
		}
	})
}

// truth reads a switch that some files set by a number.
func (d *draft) truth(key string) bool {
	if v := d.value(key); v.Kind() == '0' {
		return d.float(key, 0) != 0
	}
	return d.bool(key, false)
}

func (d *draft) llama4Experts() {
	step := d.size("interleave_moe_layer_step", 1)
	list, present := d.ints("moe_layers")
	act := d.layers[0].MLP.Activation
	width := d.size("intermediate_size", 0)
	dense := model.MLP{Gated: true, Activation: act, Intermediate: d.size("intermediate_size_mlp", 0)}
	experts := model.MLP{
		Gated: true, Activation: act, Intermediate: width, Shared: width,
		Experts: d.size("num_local_experts", 0),
		TopK:    d.size("num_experts_per_tok", 0),
		Sigmoid: true, WeightInput: true,
	}
	d.each(func(i int, y *model.Layer) {
		moe := (i+1)%step == 0
		if present {
			moe = slices.Contains(list, i)
		}
		y.MLP = dense
		if moe {
			y.MLP = experts
		}
	})
}
