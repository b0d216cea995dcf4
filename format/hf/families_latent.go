package hf

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// latentFamilies are those whose keys and values come from a latent vector.
var latentFamilies = map[string]*family{
	"deepseek_v2": {
		class:    "DeepseekV2ForCausalLM",
		read:     readDeepSeekV2,
		tensors:  with(latentTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  mlpExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_experts": "n_routed_experts"},
		defaults: `{"vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "first_k_dense_replace": 0,
			"kv_lora_rank": 512, "q_lora_rank": 1536, "num_experts": 64, "n_shared_experts": 2, "qk_nope_head_dim": 128,
			"qk_rope_head_dim": 64, "routed_scaling_factor": 1.0, "topk_method": "greedy", "v_head_dim": 128,
			"moe_intermediate_size": 1407, "rope_theta": 10000}`,
	},
	"glm4_moe_lite": {
		class:    "Glm4MoeLiteForCausalLM",
		read:     readGLM4MoELite,
		tensors:  with(latentTensors, sharedExpert("mlp.shared_experts", "")),
		experts:  biasedExperts,
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "n_routed_experts", "head_dim": "qk_rope_head_dim"},
		defaults: `{"vocab_size": 154880, "hidden_size": 2048, "intermediate_size": 10240, "moe_intermediate_size": 1536,
			"num_hidden_layers": 47, "num_attention_heads": 20, "num_key_value_heads": 20, "n_shared_experts": 1,
			"num_local_experts": 64, "routed_scaling_factor": 1.8, "kv_lora_rank": 512, "q_lora_rank": 768, "head_dim": 64,
			"v_head_dim": 256, "qk_nope_head_dim": 192, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 4,
			"norm_topk_prob": true, "hidden_act": "silu", "max_position_embeddings": 202752, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "rope_interleave": true, "attention_bias": false, "rope_theta": 10000}`,
	},
	"youtu": {
		class:    "YoutuForCausalLM",
		read:     readLatentLlama,
		tensors:  latentTensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 32,
			"num_attention_heads": 16, "num_key_value_heads": 16, "kv_lora_rank": 512, "q_lora_rank": 1536,
			"qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 131072, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "rope_interleave": true,
			"attention_bias": false, "rope_theta": 10000}`,
	},
	"deepseek_v3": deepSeekV3,
	"kimi_k2":     kimiK2(),
}

// kimiK2 returns DeepSeek V3 under another name: transformers knows it by the code that its files name.
func kimiK2() *family {
	f := *deepSeekV3
	f.borrows = true
	return &f
}

var deepSeekV3 = &family{
	class:    "DeepseekV3ForCausalLM",
	read:     readDeepSeekV3,
	tensors:  with(latentTensors, sharedExpert("mlp.shared_experts", "")),
	experts:  biasedExperts,
	prefixes: textPrefix,
	aliases:  map[string]string{"num_local_experts": "n_routed_experts"},
	defaults: `{"vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
		"num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "n_shared_experts": 1,
		"num_local_experts": 256, "routed_scaling_factor": 2.5, "kv_lora_rank": 512, "q_lora_rank": 1536,
		"qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "n_group": 8, "topk_group": 4,
		"num_experts_per_tok": 8, "first_k_dense_replace": 3, "norm_topk_prob": true, "hidden_act": "silu",
		"max_position_embeddings": 4096, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "rope_interleave": true,
		"attention_bias": false, "rope_theta": 10000}`,
}

// latentTensors: what belongs to keys lies head by head beside what belongs to values.
var latentTensors = merge(
	with(llamaTensors, named(map[model.Role]string{
		model.RoleQDown:      "{p}layers.{l}.self_attn.q_a_proj.weight",
		model.RoleQDownBias:  "{p}layers.{l}.self_attn.q_a_proj.bias",
		model.RoleQDownNorm:  "{p}layers.{l}.self_attn.q_a_layernorm.weight",
		model.RoleQUp:        "{p}layers.{l}.self_attn.q_b_proj.weight",
		model.RoleKVDown:     "{p}layers.{l}.self_attn.kv_a_proj_with_mqa.weight",
		model.RoleKVDownBias: "{p}layers.{l}.self_attn.kv_a_proj_with_mqa.bias",
		model.RoleKVDownNorm: "{p}layers.{l}.self_attn.kv_a_layernorm.weight",
	})),
	fused(source{name: "{p}layers.{l}.self_attn.kv_b_proj.weight", byHead: true}, model.RoleKUp, model.RoleVUp),
)

// latent reads attention with a latent vector. A key says how many elements of a head are rotated.
func (d *draft) latent(rotated string) {
	heads := d.layers[0].Attention.Heads
	if n := d.size("num_key_value_heads", heads); n != heads {
		d.fail("num_key_value_heads", "%d with %d attention heads: with a latent vector, there are as many", n, heads)
	}
	l := model.Latent{
		KVRank: d.size("kv_lora_rank", 0), SharedDim: d.size(rotated, 0), ValueDim: d.size("v_head_dim", 0),
		LatentEps: 1e-6, // whatever rms_norm_eps says
	}
	if d.has("q_lora_rank") {
		l.QRank = d.size("q_lora_rank", 0)
	}
	size := d.size("qk_nope_head_dim", 0) + l.SharedDim
	d.each(func(_ int, y *model.Layer) {
		a := &y.Attention
		a.Latent, a.KVHeads, a.HeadDim, a.Scale = l, heads, size, invSqrt(float64(size))
	})
}

// magnitude multiplies the scores' scale as YaRN's mscale_all_dim says.
func (d *draft) magnitude() {
	o := d.ropeObject()
	all := o.float("mscale_all_dim", 0)
	if o.string("rope_type", o.string("type", "default")) == "default" || all == 0 {
		return
	}
	factor := o.float("factor", 0)
	if !(factor > 0) {
		o.fail("factor", "want a number above 0 beside mscale_all_dim")
		return
	}
	if factor <= 1 {
		return
	}
	m := 0.1*all*math.Log(factor) + 1
	d.each(func(_ int, y *model.Layer) {
		a := &y.Attention
		a.Scale = float32(math.Pow(float64(a.HeadDim), -0.5) * m * m)
	})
}

func readDeepSeekV2(d *draft) {
	d.rms()
	d.mlp(true, "hidden_act", "mlp_bias")
	d.latent("qk_rope_head_dim")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
	d.magnitude()
	m := d.moe("num_experts")
	m.Bias = false
	m.RouteScale = float32(d.float("routed_scaling_factor", 1))
	m.Shared = d.size("n_shared_experts", 0) * m.Intermediate
	switch method := d.string("topk_method", ""); method {
	case "greedy":
		d.ignore("n_group", "topk_group")
	case "group_limited_greedy":
		m.Groups, m.TopGroups, m.GroupBest = d.size("n_group", 0), d.size("topk_group", 0), 1
	default:
		d.fail("topk_method", "%q is not supported; supported: greedy, group_limited_greedy", method)
	}
	d.behindDense(m)
}

func readDeepSeekV3(d *draft) {
	readLatentLlama(d)
	d.behindDense(d.deepExperts())
}

// readLatentLlama reads a dense model with attention as DeepSeek V3 has it.
func readLatentLlama(d *draft) { d.readLatent(ropeNames) }

// readLatent is readLatentLlama with names of types of RoPE.
func (d *draft) readLatent(names map[string]string) {
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.latent("qk_rope_head_dim")
	if n := d.layers[0].Attention.SharedDim; d.has("head_dim") && d.int("head_dim", n) != n {
		d.fail("head_dim", "%d: in this family it is what is rotated of a head, qk_rope_head_dim, which is %d", d.int("head_dim", n), n)
	}
	d.attentionBias("attention_bias", false)
	d.rope(false, names)
	d.spec.RoPE[0].Interleaved = d.bool("rope_interleave", false) // null is false
	d.magnitude()
}

func readGLM4MoELite(d *draft) {
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.latent("head_dim")
	d.attentionBias("attention_bias", false)
	d.rope(true, ropeNames)
	if n := d.layers[0].Attention.SharedDim; d.spec.RoPE[0].Dim != n {
		d.fail("partial_rotary_factor", "%d of the %d elements that keys share would be rotated: want all", d.spec.RoPE[0].Dim, n)
	}
	d.spec.RoPE[0].Interleaved = d.bool("rope_interleave", true)
	d.magnitude()
	d.denseOrSparse(d.deepExperts(), 1)
}
