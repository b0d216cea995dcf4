package hf

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// keyTable is what transformers' sources say; testdata/make_config.py makes it.
type keyTable struct {
	Families map[string]struct {
		Model    string
		Aliases  map[string]string
		Defaults map[string]any
		Theta    map[string]float64  `json:"default_theta"`
		Keys     map[string][]string // → places in the family's files that read it
		Shared   []string            // keys that files of all families read
	}
	Where       map[string][]string // → places in files of all families
	Activations []string
	Causal      []string // values of model_type that make logits
}

func readKeyTable(t *testing.T) keyTable {
	t.Helper()
	var table keyTable
	if err := json.Unmarshal(read(t, "testdata/config_keys.json"), &table); err != nil || len(table.Families) < 16 {
		t.Fatalf("%d families, %v", len(table.Families), err)
	}
	return table
}

// places returns the keys that transformers reads of a family, and where.
func (k *keyTable) places(family string) map[string][]string {
	all := map[string][]string{}
	f := k.Families[family]
	for key, where := range f.Keys {
		if len(where) > 0 {
			all[key] = where
		}
	}
	for _, key := range f.Shared {
		all[key] = append(all[key], k.Where[key]...)
	}
	return all
}

// unused are keys that transformers reads, but not to make logits, by the reason why. "FAMILY:KEY" holds for one
// family, "!FAMILY,FAMILY:KEY" for all others.
var unused = map[string][]string{
	"only in training": {
		"attention_dropout", "embd_pdrop", "resid_pdrop", "attn_pdrop", "residual_dropout", "embedding_dropout",
		"hidden_dropout", "!phimoe:router_jitter_noise", "input_jitter_noise", "gradient_checkpointing", "dropout", "layerdrop", "embed_dropout", "resid_dropout",
		"hidden_dropout_prob", "attention_probs_dropout_prob", "activation_dropout", "altup_coef_clip",
	},
	"only for the loss":                   {"output_router_logits", "router_aux_loss_coef", "z_loss_coefficient"},
	"only for heads that classify":        {"num_labels", "id2label", "problem_type"},
	"ids of tokens: tokens.go reads them": {"bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id"},
	"how to compute, not what": {
		"mamba_chunk_size", "chunk_size", "num_logits_to_keep", "use_mamba_kernels", "residual_in_fp32",
		"attn_implementation", "experts_implementation", "fusion_config", "base_model_tp_plan", "base_model_pp_plan",
		"dtype", "torch_dtype", "output_attentions", "reorder_and_upcast_attn", "name_or_path",
		"attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "enable_moe_fp32_combine", "use_cache", "output_hidden_states", "return_dict", "pretraining_tp", "slow_but_exact",
	},
	"only checked, or for kinds of layers that no family here has": {"!gpt_neo,mamba2:num_heads", "embed_dim", "number_of_conv_states", "mtp_layer_types"},
	"for weights that are made up": {
		"youtu:initializer_range", "youtu:embedding_initializer_range", "time_step_max", "time_step_floor", "mamba_dt_max", "mamba_dt_init_floor",
		"mamba2:time_step_min", "time_step_rank",
	},
	"the class gives the size itself": {"solar_open:intermediate_size"},
	"another limit counts, and the sizes are given": each([]string{"nemotron_h"},
		"expand", "mamba_expand", "time_step_limit", "mamba_dt_limit", "mamba_chunk_size"),
	"read and then not used": {"gemma3_text:attn_logit_softcapping"},
	"only for the size of the cache; a note says that the model has no window": append(of("sliding_window", windowless...), "!llama4_text:attention_chunk_size"),
	"all positions of a text's token are the same":                             of("rope_parameters.mrope_section", slices.DeleteFunc(slices.Sorted(maps.Keys(textIn)), func(s string) bool { return !strings.HasPrefix(s, "qwen") })...),
	"not rotated": each(notRotated,
		"rope_theta", "rope_scaling", "partial_rotary_factor", "rope_parameters", "original_max_position_embeddings", "rope_parameters.*"),
	"for rotations, of which there are none":                          of("head_dim", "gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "mpt", "biogpt"),
	"each kind of layer has parameters of its own in rope_parameters": append(each(kindsOfRoPE, "rope_theta"), "mellum:rope_scaling"),
	"rotated in one way only, by rotary_dim": each([]string{"gptj", "codegen"},
		"rope_theta", "rope_scaling", "partial_rotary_factor", "rope_parameters", "original_max_position_embeddings", "head_dim", "rope_parameters.*"),
	"computed anew from other keys":         {"cohere2:head_dim"},
	"another key counts, as a note says":    {"gpt_neo:attention_types", "phimoe:original_max_position_embeddings"},
	"an old name counts, as a note says":    {"gpt_neox:rope_theta", "gpt_neox:partial_rotary_factor"},
	"the configuration's class replaces it": {"deepseek_v2:head_dim", "deepseek_v32:head_dim", "glm_moe_dsa:head_dim", "minicpm3:head_dim"},
	"of what chooses positions, of which all are chosen in contexts up to index_topk": slices.Concat(
		of("index_n_heads", "deepseek_v32", "glm_moe_dsa"), of("index_head_dim", "deepseek_v32", "glm_moe_dsa"),
		each([]string{"glm_moe_dsa"}, "indexer_types", "index_topk_pattern", "index_topk_freq", "index_skip_topk_offset")),
	"of layers that predict further tokens, which are left out": {"mellum:num_mtp_layers", "mtp_mlp_layer_types", "mtp_layers_block_type", "mtp_hybrid_override_pattern"},
	"a note says that such layers are left out":                 {"nemotron_h:num_nextn_predict_layers"},
	"another name of a key that is there, as a note says":       {"nemotron_h:num_local_experts"},
	"half of each head is rotated, as a note says":              {"bamba:partial_rotary_factor"},
	"of types of RoPE that are refused here": each([]string{"gemma4_text", "gemma4_unified_text"},
		"original_max_position_embeddings", "partial_rotary_factor", "rope_parameters.original_max_position_embeddings",
		"rope_parameters.attention_factor", "rope_parameters.beta_fast", "rope_parameters.beta_slow", "rope_parameters.truncate", "rope_parameters.mscale",
		"rope_parameters.mscale_all_dim", "rope_parameters.low_freq_factor", "rope_parameters.high_freq_factor", "rope_parameters.short_factor",
		"rope_parameters.long_factor"),
	"of types of RoPE that the family does not have": each([]string{"phi3", "phimoe"},
		"rope_parameters.beta_fast", "rope_parameters.beta_slow", "rope_parameters.truncate", "rope_parameters.mscale",
		"rope_parameters.mscale_all_dim", "rope_parameters.low_freq_factor", "rope_parameters.high_freq_factor"),
}

// windowless are the families whose layers have no windows, whatever sliding_window says.
var windowless = []string{
	"llama", "gpt2", "olmo2", "granite", "gpt_neox", "llama4_text", "gemma", "glm", "glm4", "seed_oss", "ernie4_5", "arcee", "granitemoe",
	"qwen3_vl_text", "qwen3_vl_moe_text", "phi", "stablelm", "cohere", "nemotron", "olmo", "falcon", "gptj", "gpt_neo", "gpt_bigcode", "opt",
	"glm4_moe", "minimax_m2", "deepseek_v2", "deepseek_v3", "glm4_moe_lite", "ernie4_5_moe", "youtu", "solar_open", "hunyuan_v1_moe",
	"apertus", "olmoe", "bloom", "mpt", "hunyuan_v1_dense", "granitemoehybrid", "deepseek_v32", "glm_moe_dsa", "helium", "hy_v3",
	"lfm2", "lfm2_moe", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text",
	"granitemoeshared", "hyperclovax", "minicpm3", "flex_olmo", "jais2", "nanochat", "biogpt", "codegen", "nemotron_h", "mamba2", "bamba", "falcon_h1",
}

// notRotated are the families without RoPE.
var notRotated = []string{"gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "mpt", "biogpt", "nemotron_h", "mamba2"}

// kindsOfRoPE are the families that have parameters of RoPE for each kind of layer only.
var kindsOfRoPE = []string{"mellum", "gemma4_text", "gemma4_unified_text"}

// of returns the entries of a key for several families.
func of(key string, families ...string) []string {
	entries := make([]string, len(families))
	for i, f := range families {
		entries[i] = f + ":" + key
	}
	return entries
}

// each returns the entries of several keys for each of several families.
func each(names []string, keys ...string) []string {
	var entries []string
	for _, key := range keys {
		entries = append(entries, of(key, names...)...)
	}
	return entries
}

// older are keys that are read although transformers 5 does not read them.
var older = map[string]string{
	"compression_config":                "the first files of compressed-tensors",
	"quantization":                      "that of MLX",
	"kv_sharing_modes":                  "refused",
	"decoder":                           "refused: a model inside the model",
	"generator":                         "refused: a model inside the model",
	"text_encoder":                      "refused: a model inside the model",
	"text_config":                       "refused: a model inside the model",
	"architectures":                     "refused if the model has no head; auto classes of transformers read it",
	"auto_map":                          "named in a note; auto classes of transformers read it",
	"num_nextn_predict_layers":          "named in a note",
	"num_hidden_layers":                 "of nemotron_h, whose list of layers counts",
	"num_attention_heads":               "1 of a family without attention",
	"layer_types":                       "of a family whose layers are all alike",
	"is_causal":                         "refused, also of a family without attention",
	"max_position_embeddings":           "the context that a model was trained for, as most families call it",
	"rope_parameters.full_attention":    "one of several sets of parameters",
	"rope_parameters.sliding_attention": "one of several sets of parameters",
	"attn_config.clip_qkv":              "of an object of its own, into which the script does not look, as are the next",
	"attn_config.softmax_scale":         "as above",
	"attn_config.alibi_bias_max":        "refused",
}

// reasons returns why keys of a family are unused.
func reasons(t *testing.T, table keyTable) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for family := range table.Families {
		all[family] = map[string]string{}
	}
	for why, keys := range unused {
		for _, key := range keys {
			found := false
			for family := range table.Families {
				name := nameIn(family, key)
				for k := range table.places(family) {
					if k == name || strings.HasSuffix(name, ".*") && strings.HasPrefix(k, strings.TrimSuffix(name, "*")) {
						all[family][k], found = why, true
					}
				}
			}
			if !found {
				t.Errorf("%s is said to be unused (%s), but transformers does not read it", key, why)
			}
		}
	}
	return all
}

// nameIn returns the key that an entry of unused names, "" if it does not hold for the family.
func nameIn(family, entry string) string {
	only, name, one := strings.Cut(entry, ":")
	if !one {
		return entry
	}
	other, not := strings.CutPrefix(only, "!")
	if not == slices.Contains(strings.Split(other, ","), family) {
		return ""
	}
	return name
}
