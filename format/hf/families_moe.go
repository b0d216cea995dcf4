package hf

import "github.com/llama-webgpu/llama-webgpu/format/model"

// graniteMoETensors: the gates and up projections of all experts lie in one tensor, the down projections in another.
var graniteMoETensors = merge(
	named(map[model.Role]string{
		model.RoleRouter: "{p}layers.{l}.block_sparse_moe.router.layer.weight",
		model.RoleDown:   "{p}layers.{l}.block_sparse_moe.output_linear.weight",
	}),
	fused(source{name: "{p}layers.{l}.block_sparse_moe.input_linear.weight"}, model.RoleGate, model.RoleUp),
)

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
