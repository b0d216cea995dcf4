package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// lingFamilies are Ling (BailingMoe) and MiniMind, which transformers has no code for.
var lingFamilies = map[string]*family{
	"bailing_moe":    bailing("BailingMoeForCausalLM"),
	"bailing_moe_v2": bailing("BailingMoeV2ForCausalLM"),
	"minimind": {
		class: "MiniMindLM",
		read:  readMiniMind,
		tensors: named(map[model.Role]string{
			model.RoleEmbed:     "{p}tok_embeddings.weight",
			model.RoleAttnNorm:  "{p}layers.{l}.attention_norm.weight",
			model.RoleQ:         "{p}layers.{l}.attention.wq.weight",
			model.RoleK:         "{p}layers.{l}.attention.wk.weight",
			model.RoleV:         "{p}layers.{l}.attention.wv.weight",
			model.RoleO:         "{p}layers.{l}.attention.wo.weight",
			model.RoleMLPNorm:   "{p}layers.{l}.ffn_norm.weight",
			model.RoleGate:      "{p}layers.{l}.feed_forward.w1.weight",
			model.RoleUp:        "{p}layers.{l}.feed_forward.w3.weight",
			model.RoleDown:      "{p}layers.{l}.feed_forward.w2.weight",
			model.RoleFinalNorm: "{p}norm.weight",
			model.RoleHead:      "{h}output.weight",
		}),
		experts: with(perExpert("feed_forward", "w1", "w3", "w2"), named(map[model.Role]string{
			model.RoleSharedGate: "{p}layers.{l}.feed_forward.shared_experts.w1.weight",
			model.RoleSharedUp:   "{p}layers.{l}.feed_forward.shared_experts.w3.weight",
			model.RoleSharedDown: "{p}layers.{l}.feed_forward.shared_experts.w2.weight",
		})),
		prefixes: []prefix{{"", ""}},
		remote:   true,
		aliases: map[string]string{
			"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads", "num_key_value_heads": "n_kv_heads",
			"intermediate_size": "hidden_dim", "max_position_embeddings": "max_seq_len", "rms_norm_eps": "norm_eps",
		},
		defaults: `{"vocab_size": 6400, "hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2,
			"max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "multiple_of": 64, "use_moe": false, "num_experts_per_tok": 2,
			"n_routed_experts": 4, "norm_topk_prob": true, "scoring_func": "softmax", "tie_word_embeddings": true, "rope_theta": 1000000}`,
	},
}

// bailing describes Ling, whose two generations name their tensors alike.
func bailing(class string) *family {
	return &family{
		class: class,
		read:  readBailing,
		tensors: with(llamaTensors, sharedExpert("mlp.shared_experts", ""), merge(
			fused(source{name: "{p}layers.{l}.attention.query_key_value.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}layers.{l}.attention.query_key_value.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
			named(map[model.Role]string{
				model.RoleEmbed: "{p}word_embeddings.weight",
				model.RoleO:     "{p}layers.{l}.attention.dense.weight",
				model.RoleQNorm: "{p}layers.{l}.attention.query_layernorm.weight",
				model.RoleKNorm: "{p}layers.{l}.attention.key_layernorm.weight",
			}))),
		experts:  with(mlpExperts, named(map[model.Role]string{model.RoleSelectionBias: "{p}layers.{l}.mlp.gate.expert_bias"})),
		prefixes: modelPrefix,
		remote:   true,
		defaults: `{"hidden_act": "silu", "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "use_qkv_bias": false, "use_bias": false,
			"norm_head": false, "use_qk_norm": false, "first_k_dense_replace": 0, "num_shared_experts": 0, "norm_topk_prob": true,
			"rope_theta": 10000}`,
	}
}

// readBailing: scores are a softmax and, since the second generation, which has groups of experts, sigmoids.
func readBailing(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	if n := d.int("rotary_dim", 0); n > 0 {
		d.setFloat("partial_rotary_factor", float64(n)/float64(d.layers[0].Attention.HeadDim))
	}
	d.rope(true, ropeNames)
	bias := d.bool("use_qkv_bias", false)
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias = bias })
	if d.bool("use_qk_norm", false) {
		d.qkNorm(model.QKNormHead)
	}
	for _, key := range []string{"use_bias", "norm_softmax", "use_sliding_window", "multi_gate"} {
		if d.bool(key, false) {
			d.fail(key, "true is not supported")
		}
	}
	if !d.bool("use_rmsnorm", true) {
		d.fail("use_rmsnorm", "false is not supported")
	}
	d.ignore("embedding_dropout", "output_dropout", "output_router_logits", "router_dtype", "mtp_loss_scaling_factor", "max_window_layers",
		"sliding_window", "num_nextn_predict_layers")
	d.unitColumns = d.bool("norm_head", false)
	d.behindDense(d.bailingExperts())
}

// bailingExperts reads the experts of Ling.
func (d *draft) bailingExperts() model.MLP {
	m := d.moe("num_experts")
	m.NormalizeTopK = d.bool("norm_topk_prob", true)
	m.Shared = d.int("num_shared_experts", 0) * m.Intermediate
	if n := d.int("moe_shared_expert_intermediate_size", m.Intermediate); n != m.Intermediate {
		d.fail("moe_shared_expert_intermediate_size", "%d: want moe_intermediate_size, %d", n, m.Intermediate)
	}
	fallback := "softmax"
	if d.has("n_group") {
		fallback = "sigmoid"
	}
	switch f := d.string("score_function", fallback); f {
	case "softmax":
	case "sigmoid":
		m.Sigmoid, m.SelectionBias = true, d.bool("moe_router_enable_expert_bias", true)
		m.RouteScale = float32(d.float("routed_scaling_factor", 1))
		m.Groups, m.TopGroups, m.GroupBest = d.size("n_group", 1), d.size("topk_group", 1), 2
		if !m.NormalizeTopK {
			d.fail("norm_topk_prob", "false is not supported with sigmoids")
		}
	default:
		d.fail("score_function", "%q is not supported; supported: softmax, sigmoid", f)
	}
	if m.Groups == 1 {
		m.Groups, m.TopGroups, m.GroupBest = 0, 0, 0
	}
	return m
}

// readMiniMind: a Llama that rotates neighbors, with experts as wide as its MLP, or one MLP.
func readMiniMind(d *draft) {
	if v, ok := d.values["dim"]; !ok || v.Kind() == 'n' {
		d.fail("dim", "missing: only the first form of this family is supported")
	}
	d.heads()
	d.rms()
	if !d.has("intermediate_size") {
		unit, width := d.size("multiple_of", 64), 2*4*d.spec.Hidden/3
		d.setFloat("intermediate_size", float64((width+unit-1)/unit*unit))
	}
	d.mlpOf(model.SiLU)
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
	d.ignore("multiple_of", "dropout", "flash_attn", "aux_loss_alpha", "seq_aux")
	if !d.bool("use_moe", false) {
		d.ignore("num_experts_per_tok", "n_routed_experts", "n_shared_experts", "norm_topk_prob", "scoring_func")
		return
	}
	d.softmaxScores("scoring_func")
	routing := model.Routing{
		Experts: d.size("n_routed_experts", 0), TopK: d.size("num_experts_per_tok", 0), NormalizeTopK: d.bool("norm_topk_prob", true),
	}
	d.each(func(_ int, y *model.Layer) {
		y.MLP.Routing = routing
		if d.has("n_shared_experts") { // one, whatever it says
			y.MLP.Shared = y.MLP.Intermediate
		}
	})
}
