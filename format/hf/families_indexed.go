package hf

import "slices"

// indexedFamilies have latent attention, and an indexer that chooses index_topk positions for each token to read. In
// contexts that are no longer than that, it chooses all.
var indexedFamilies = map[string]*family{
	"deepseek_v32": indexed("DeepseekV32ForCausalLM", `{"vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
			"num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "n_shared_experts": 1,
			"num_local_experts": 256, "routed_scaling_factor": 2.5, "kv_lora_rank": 512, "q_lora_rank": 1536,
			"qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "n_group": 8, "topk_group": 4,
			"num_experts_per_tok": 8, "first_k_dense_replace": 3, "norm_topk_prob": true, "hidden_act": "silu",
			"max_position_embeddings": 163840, "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "attention_bias": false,
			"index_topk": 2048, "rope_theta": 10000}`),
	"glm_moe_dsa": indexed("GlmMoeDsaForCausalLM", `{"vocab_size": 154880, "hidden_size": 6144, "intermediate_size": 12288, "moe_intermediate_size": 2048,
			"num_hidden_layers": 78, "num_attention_heads": 64, "num_key_value_heads": 64, "n_shared_experts": 1,
			"num_local_experts": 256, "routed_scaling_factor": 2.5, "kv_lora_rank": 512, "q_lora_rank": 2048,
			"qk_rope_head_dim": 64, "v_head_dim": 256, "qk_nope_head_dim": 192, "n_group": 1, "topk_group": 1,
			"num_experts_per_tok": 8, "first_k_dense_replace": 3, "norm_topk_prob": true, "hidden_act": "silu",
			"max_position_embeddings": 202752, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "attention_bias": false,
			"index_topk": 2048, "rope_theta": 10000}`),
}

// indexed is DeepSeek V3's family with an indexer, and other defaults.
func indexed(class, defaults string) *family {
	f := *deepSeekV3
	f.class, f.read, f.prefixes, f.defaults = class, readIndexed, modelPrefix, defaults
	return &f
}

// indexedTypes are the names of these layers in layer_types.
var indexedTypes = []string{"indexed_attention", "deepseek_sparse_attention"}

// readIndexed reads DeepSeek V3.2 and what is built like it.
func readIndexed(d *draft) {
	d.rms()
	d.mlp(true, "hidden_act", "")
	if !d.has("q_lora_rank") {
		d.fail("q_lora_rank", "want a number: queries of this family come from a latent vector")
	}
	d.latent("qk_rope_head_dim")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
	d.magnitude()
	if d.has("num_experts") { // an old name, which counts
		d.replace("num_local_experts", "num_experts")
	}
	d.denseOrSparse(d.deepExperts(), d.int("first_k_dense_replace", 3))
	for i, kind := range d.strings("layer_types") {
		if !slices.Contains(indexedTypes, kind) && layerType(kind) != fullAttention {
			d.fail("layer_types", "layer %d: %q is unknown; supported: indexed_attention", i, kind)
		}
	}
	d.endsAt("index_topk", "an indexer chooses the positions that a token reads")
}
