package hf

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// graniteMoETensors: the gates and up projections of all experts lie in one tensor, the down projections in another.
var graniteMoETensors = either(merge(
	named(map[model.Role]string{
		model.RoleRouter: "{p}layers.{l}.block_sparse_moe.router.layer.weight",
		model.RoleDown:   "{p}layers.{l}.block_sparse_moe.output_linear.weight",
	}),
	fused(source{name: "{p}layers.{l}.block_sparse_moe.input_linear.weight"}, model.RoleGate, model.RoleUp),
), with(stackedExperts("block_sparse_moe"), named(map[model.Role]string{
	model.RoleRouter: "{p}layers.{l}.block_sparse_moe.router.weight",
})))

// mixedFamilies are mixtures of experts.
var mixedFamilies = map[string]*family{
	"granitemoe": {
		class:    "GraniteMoeForCausalLM",
		read:     readGraniteMoE,
		tensors:  llamaTensors,
		experts:  graniteMoETensors,
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "embedding_multiplier": 1.0, "logits_scaling": 1.0,
			"residual_multiplier": 1.0, "attention_multiplier": 1.0, "num_local_experts": 8, "num_experts_per_tok": 2,
			"rope_theta": 10000}`,
	},
	"granitemoehybrid": {
		class:     "GraniteMoeHybridForCausalLM",
		read:      readGraniteHybrid,
		tensors:   with(llamaTensors, graniteShared(model.RoleGate, model.RoleUp, model.RoleDown)),
		experts:   merge(graniteMoETensors, graniteShared(model.RoleSharedGate, model.RoleSharedUp, model.RoleSharedDown)),
		recurrent: mamba("mamba"),
		prefixes:  modelPrefix,
		aliases:   map[string]string{"layers_block_type": "layer_types"},
		defaults: `{"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
			"num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": false, "attention_bias": false, "embedding_multiplier": 1.0, "logits_scaling": 1.0,
			"residual_multiplier": 1.0, "attention_multiplier": 1.0, "num_local_experts": 8, "num_experts_per_tok": 2,
			"shared_intermediate_size": 1024, "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256,
			"mamba_d_head": "auto", "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": true, "mamba_proj_bias": false,
			"rope_theta": 10000}`,
	},
	"phimoe": {
		class:   "PhimoeForCausalLM",
		read:    readPhiMoE,
		tensors: biasedTensors,
		experts: either(
			perExpert("block_sparse_moe", "w1", "w3", "w2"), perExpert("mlp", "w1", "w3", "w2"),
			with(stackedExperts("mlp"), named(map[model.Role]string{model.RoleRouter: "{p}layers.{l}.mlp.router.weight"})),
		),
		prefixes: modelPrefix,
		defaults: `{"vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 6400, "num_hidden_layers": 32,
			"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
			"rms_norm_eps": 1e-05, "tie_word_embeddings": false, "num_experts_per_tok": 2, "num_local_experts": 16,
			"router_jitter_noise": 0.01, "attention_bias": false, "lm_head_bias": false, "rope_theta": 1000000}`,
	},
	"olmoe": {
		class:    "OlmoeForCausalLM",
		read:     readOLMoE,
		tensors:  llamaTensors,
		experts:  either(perExpert("mlp", "gate_proj", "up_proj", "down_proj"), stackedExperts("mlp"), switchExperts("mlp")),
		prefixes: modelPrefix,
		aliases:  map[string]string{"num_local_experts": "num_experts"},
		defaults: `{"vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 2048, "num_hidden_layers": 16,
			"num_attention_heads": 16, "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
			"tie_word_embeddings": false, "attention_bias": false, "num_experts_per_tok": 8, "num_local_experts": 64,
			"norm_topk_prob": false, "rope_theta": 10000}`,
	},
}

// graniteShared are the names of the MLP that all tokens pass through.
func graniteShared(gate, up, down model.Role) map[model.Role]source {
	return merge(
		fused(source{name: "{p}layers.{l}.shared_mlp.input_linear.weight"}, gate, up),
		named(map[model.Role]string{down: "{p}layers.{l}.shared_mlp.output_linear.weight"}),
	)
}

// readPhiMoE: LayerNorm, and two experts whose weights are softmaxes among near ones. Of longrope, the frequencies are
// always the short ones; only the scale is that of the length.
func readPhiMoE(d *draft) {
	d.heads()
	d.layerNorm("rms_norm_eps")
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.spec.HeadBias = d.bool("lm_head_bias", false)
	d.uniformWindow(d.slidingWindow())
	r := model.Routing{Experts: d.size("num_local_experts", 0), TopK: 2, Mixer: float32(2 * d.float("router_jitter_noise", 0.01))}
	if n := d.size("num_experts_per_tok", 2); n != 2 {
		d.fail("num_experts_per_tok", "%d: models of this family send a token to 2 experts", n)
	}
	if !(r.Mixer > 0) {
		d.fail("router_jitter_noise", "want a number above 0")
	}
	d.each(func(_ int, y *model.Layer) { y.MLP.Routing = r })
	d.onlyIn(d.ropeObject(), "original_max_position_embeddings")
	params := d.rope(false, map[string]string{"default": "default", "longrope": "longrope", "su": "longrope"})
	if rope := &d.spec.RoPE[0]; rope.LongFrom > 0 {
		rope.Scale, rope.LongScale = float32(params.positiveFloat("short_mscale")), float32(params.positiveFloat("long_mscale"))
		rope.LongInvFreq = rope.InvFreq
	}
}

// positiveFloat reads a required number above 0.
func (o *object) positiveFloat(key string) float64 {
	f := o.float(key, 0)
	if !(f > 0) {
		o.fail(key, "want a number above 0")
	}
	return f
}

// readOLMoE: queries, keys and values are bounded after the norms.
func readOLMoE(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.qkNorm(model.QKNormProjection)
	d.clip("clip_qkv")
	r := model.Routing{
		Experts: d.size("num_local_experts", 0), TopK: d.size("num_experts_per_tok", 0), NormalizeTopK: d.bool("norm_topk_prob", false),
	}
	d.each(func(_ int, y *model.Layer) { y.MLP.Routing = r })
}

// readGraniteHybrid reads models whose layers all have attention. All tokens pass through one MLP, beside experts if
// there are any.
func readGraniteHybrid(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.multipliers()
	shared, experts := d.size("shared_intermediate_size", 0), d.int("num_local_experts", 0)
	top := d.int("num_experts_per_tok", 2)
	d.each(func(_ int, y *model.Layer) {
		if experts == 0 {
			y.MLP.Intermediate = shared
			return
		}
		y.MLP.Shared = shared
		y.MLP.Routing = model.Routing{Experts: experts, TopK: top, NormalizeTopK: true}
	})
	if d.string("position_embedding_type", "") == "rope" {
		d.rope(false, ropeNames)
	}
	d.graniteMamba()
}

func readGraniteMoE(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.multipliers()
	d.each(func(_ int, y *model.Layer) {
		y.MLP.Experts = d.size("num_local_experts", 0)
		y.MLP.TopK = d.size("num_experts_per_tok", 0)
		y.MLP.NormalizeTopK = true
	})
}
