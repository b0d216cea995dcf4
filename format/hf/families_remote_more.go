package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// moreRemoteFamilies are further families that transformers has no code for.
var moreRemoteFamilies = map[string]*family{
	"baichuan": {
		class: "BaichuanForCausalLM",
		read:  readBaichuan,
		tensors: with(llamaTensors,
			fused(source{name: "{p}layers.{l}.self_attn.W_pack.weight"}, model.RoleQ, model.RoleK, model.RoleV)),
		prefixes: modelPrefix,
		remote:   true,
		defaults: `{"vocab_size": 125696, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "rms_norm_eps": 1e-06, "tie_word_embeddings": false}`,
	},
	"qwen": {
		class: "QWenLMHeadModel",
		read:  readQwen1,
		tensors: merge(
			named(map[model.Role]string{
				model.RoleEmbed:     "{p}wte.weight",
				model.RoleAttnNorm:  "{p}h.{l}.ln_1.weight",
				model.RoleO:         "{p}h.{l}.attn.c_proj.weight",
				model.RoleMLPNorm:   "{p}h.{l}.ln_2.weight",
				model.RoleUp:        "{p}h.{l}.mlp.w1.weight",
				model.RoleGate:      "{p}h.{l}.mlp.w2.weight",
				model.RoleDown:      "{p}h.{l}.mlp.c_proj.weight",
				model.RoleFinalNorm: "{p}ln_f.weight",
				model.RoleHead:      "{h}lm_head.weight",
			}),
			fused(source{name: "{p}h.{l}.attn.c_attn.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}h.{l}.attn.c_attn.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
		),
		prefixes: gptPrefix,
		remote:   true,
		defaults: `{"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
			"num_attention_heads": 32, "kv_channels": 128, "layer_norm_epsilon": 1e-06, "max_position_embeddings": 8192,
			"rotary_pct": 1.0, "rotary_emb_base": 10000, "use_dynamic_ntk": true, "use_logn_attn": true, "no_bias": true,
			"scale_attn_weights": true, "seq_length": 8192, "tie_word_embeddings": false}`,
	},
	"deepseek": {
		class:    "DeepseekForCausalLM",
		read:     readDeepSeek,
		tensors:  with(llamaTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  mlpExperts,
		prefixes: modelPrefix,
		remote:   true,
		aliases:  map[string]string{"num_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008, "moe_intermediate_size": 1407,
			"num_hidden_layers": 30, "num_attention_heads": 32, "num_key_value_heads": 32, "moe_layer_freq": 1,
			"first_k_dense_replace": 0, "norm_topk_prob": false, "scoring_func": "softmax", "hidden_act": "silu",
			"max_position_embeddings": 2048, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false,
			"rope_theta": 10000}`,
	},
	"phi-msft": {
		class: "PhiForCausalLM",
		read:  readPhiMSFT,
		tensors: merge(
			named(map[model.Role]string{
				model.RoleEmbed:         "{p}embd.wte.weight",
				model.RoleAttnNorm:      "{p}h.{l}.ln.weight",
				model.RoleAttnNormBias:  "{p}h.{l}.ln.bias",
				model.RoleO:             "{p}h.{l}.mixer.out_proj.weight",
				model.RoleOBias:         "{p}h.{l}.mixer.out_proj.bias",
				model.RoleUp:            "{p}h.{l}.mlp.fc1.weight",
				model.RoleUpBias:        "{p}h.{l}.mlp.fc1.bias",
				model.RoleDown:          "{p}h.{l}.mlp.fc2.weight",
				model.RoleDownBias:      "{p}h.{l}.mlp.fc2.bias",
				model.RoleFinalNorm:     "{h}lm_head.ln.weight",
				model.RoleFinalNormBias: "{h}lm_head.ln.bias",
				model.RoleHead:          "{h}lm_head.linear.weight",
				model.RoleHeadBias:      "{h}lm_head.linear.bias",
			}),
			fused(source{name: "{p}h.{l}.mixer.Wqkv.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}h.{l}.mixer.Wqkv.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
		),
		prefixes: gptPrefix,
		remote:   true,
		aliases: map[string]string{
			"max_position_embeddings": "n_positions", "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
		},
		defaults: `{"vocab_size": 50304, "max_position_embeddings": 2048, "hidden_size": 1024, "num_hidden_layers": 20,
			"num_attention_heads": 16, "rotary_dim": 32, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
			"tie_word_embeddings": false}`,
	},
}

// readBaichuan: the models of 7B rotate, and those of 13B, whose files have no max_position_embeddings, have ALiBi. The
// first models have 64000 tokens; all later ones divide each row of the head by its length.
func readBaichuan(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	trained := d.int("model_max_length", 4096)
	if d.has("max_position_embeddings") {
		d.set("rope_theta", "10000")
		d.rope(false, ropeNames)
	} else {
		d.spec.MaxPositions = trained
		d.each(func(_ int, y *model.Layer) { y.Attention.ALiBi, y.Attention.ALiBiScale = 8, 1 })
	}
	d.unitHead = d.spec.Vocab != 64000
	d.ignore("z_loss_weight")
}

// readQwen1: a Qwen 2 of half the intermediate_size. Beyond seq_length, it stretches its rotation and its queries.
func readQwen1(d *draft) {
	d.dividedHeads()
	d.spec.Norm = model.Norm{Kind: model.RMSNorm, Eps: d.epsilon("layer_norm_epsilon", 1e-6)}
	inner := d.size("intermediate_size", 0)
	d.each(func(_ int, y *model.Layer) {
		y.MLP = model.MLP{Gated: true, Activation: model.SiLU, Intermediate: max(1, inner/2)}
		y.Attention.QKVBias = true
	})
	if n := d.layers[0].Attention.HeadDim; d.int("kv_channels", n) != n {
		d.fail("kv_channels", "%d: want hidden_size over num_attention_heads, %d", d.int("kv_channels", n), n)
	}
	for _, key := range []string{"no_bias", "scale_attn_weights"} {
		if !d.bool(key, true) {
			d.fail(key, "only models with true are supported")
		}
	}
	if d.bool("use_cache_quantization", false) {
		d.note("use_cache_quantization: keys and values are cached as float16 here")
	}
	d.set("rope_theta", string(floatValue(d.float("rotary_emb_base", 10000))))
	d.set("partial_rotary_factor", string(floatValue(d.float("rotary_pct", 1))))
	d.rope(true, ropeNames)
	d.ignore("bf16", "fp16", "fp32", "use_flash_attn", "emb_dropout_prob", "attn_dropout_prob", "onnx_safe", "softmax_in_fp32", "use_cache_kernel")
	if d.bool("use_dynamic_ntk", true) || d.bool("use_logn_attn", true) {
		d.endsAt("seq_length", "the rotation is stretched, or the queries grow")
	}
	d.ignore("seq_length", "use_logn_attn")
}

// readDeepSeek reads the first DeepSeek: a Llama with experts.
func readDeepSeek(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.softmaxScores("scoring_func")
	first, every := d.int("first_k_dense_replace", 0), d.size("moe_layer_freq", 1)
	d.ignore("aux_loss_alpha", "seq_aux")
	if !d.has("num_experts") {
		d.ignore("moe_intermediate_size", "num_experts_per_tok", "n_shared_experts", "norm_topk_prob")
		return
	}
	m := d.moe("num_experts")
	m.NormalizeTopK = d.bool("norm_topk_prob", false)
	m.Shared = d.int("n_shared_experts", 0) * m.Intermediate
	d.each(func(i int, y *model.Layer) {
		if i >= first && i%every == 0 {
			y.MLP = m
		}
	})
}

// readPhiMSFT reads Phi as its first files have it.
func readPhiMSFT(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.HeadBias = true
	inner := d.int("n_inner", 4*d.spec.Hidden)
	m := model.MLP{Activation: d.activation("activation_function"), Intermediate: inner, Bias: true}
	d.each(func(_ int, y *model.Layer) { y.MLP, y.Attention.QKVBias, y.Attention.OutBias = m, true, true })
	if n := d.layers[0].Attention.Heads; d.int("n_head_kv", n) != n {
		d.fail("n_head_kv", "%d: want as many as n_head, %d", d.int("n_head_kv", n), n)
	}
	d.set("partial_rotary_factor", string(floatValue(float64(d.size("rotary_dim", 0))/float64(d.layers[0].Attention.HeadDim))))
	d.set("rope_theta", "10000")
	d.rope(true, ropeNames)
	d.parallel()
	d.ignore("flash_attn", "flash_rotary", "fused_dense", "img_processor", "attn_pdrop", "embd_pdrop", "resid_pdrop")
}
