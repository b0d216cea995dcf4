package hf

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Keys that no code reads, or only for training, generation and bookkeeping, change nothing, whatever
// they say; those that say something are named.
func TestIgnored(t *testing.T) {
	for _, c := range []struct {
		family, changes string
		want            []string // among those that are named
	}{
		{
			"llama", `{"is_llama_config": true, "max_sequence_length": 2048, "rope_interleaved": true, "pretraining_tp": 2, "use_cache": false, "output_past": true}`,
			[]string{"is_llama_config", "max_sequence_length", "output_past", "pretraining_tp", "rope_interleaved"},
		},
		{"llama", `{"use_magic": 7, "nothing": null, "off": false, "zero": 0.0, "none": [], "_note": 7, "inner": {"a": {"b": 1}}}`, []string{"inner", "use_magic"}},
		{
			"llama", `{"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32, "mrope_section": [2, 2]}}`,
			[]string{"rope_parameters.mrope_section"},
		},
		{
			"gpt2", `{"predict_special_tokens": true, "output_past": true, "n_ctx": 1024, "summary_type": "cls_index", "reorder_and_upcast_attn": true, "head_dim": 3, "num_key_value_heads": 3, "attn_pdrop": 0.5}`,
			[]string{"attn_pdrop", "head_dim", "n_ctx", "num_key_value_heads", "output_past", "predict_special_tokens", "reorder_and_upcast_attn", "summary_type"},
		},
		{
			"qwen2", `{"use_mrope": true, "dual_chunk_attention_config": {"chunk_size": 8}, "add_cross_attention": true, "use_bidirectional_attention": true, "is_decoder": true}`,
			[]string{"add_cross_attention", "dual_chunk_attention_config", "is_decoder", "use_bidirectional_attention", "use_mrope"},
		},
		{
			"qwen3_moe", `{"use_qk_norm": true, "qkv_bias": true, "router_aux_loss_coef": 0.5, "max_window_layers": 2, "shared_expert_intermediate_size": 20, "output_router_logits": true}`,
			[]string{"max_window_layers", "output_router_logits", "qkv_bias", "router_aux_loss_coef", "shared_expert_intermediate_size", "use_qk_norm"},
		},
		{"mixtral", `{"router_jitter_noise": 0.5, "attention_bias": true, "mlp_bias": true}`, []string{"attention_bias", "mlp_bias", "router_jitter_noise"}},
		{"smollm3", `{"nope_layer_interval": 3, "max_window_layers": 1}`, []string{"max_window_layers", "nope_layer_interval"}},
		{"gemma2", `{"hidden_act": "relu", "sliding_window_size": 7, "cache_implementation": "hybrid"}`, []string{"cache_implementation", "hidden_act", "sliding_window_size"}},
		{"gemma3", `{"attn_logit_softcapping": 50, "_sliding_window_pattern": 3}`, []string{"attn_logit_softcapping"}},
		{"phi3", `{"attention_bias": true, "embd_pdrop": 0.1, "full_attn_mod": 1}`, []string{"attention_bias", "embd_pdrop", "full_attn_mod"}},
		{"gpt_neox", `{"is_decoder": true, "hidden_dropout": 0.1, "attention_probs_dropout_prob": 0.1}`, []string{"attention_probs_dropout_prob", "hidden_dropout", "is_decoder"}},
		{"olmo2", `{"clip_qkv": 8.0, "mlp_bias": true}`, []string{"clip_qkv", "mlp_bias"}},
		{"llama4", `{"for_llm_compressor": true, "router_aux_loss_coef": 0.1}`, []string{"for_llm_compressor", "router_aux_loss_coef"}},
	} {
		t.Run(c.family, func(t *testing.T) {
			want, err := ReadConfig(read(t, configOf(configs+c.family)))
			if err != nil {
				t.Fatal(err)
			}
			have, err := ReadConfig(changed(t, c.family, c.changes))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Spec, have.Spec); diff != "" {
				t.Errorf("the Spec changed (as it was, now):\n%s", diff)
			}
			var more []string
			for _, key := range have.Ignored {
				if !slices.Contains(want.Ignored, key) || slices.Contains(c.want, key) {
					more = append(more, key)
				}
			}
			if diff := cmp.Diff(c.want, more); diff != "" {
				t.Errorf("ignored (want, have):\n%s", diff)
			}
		})
	}
}

// Where a file contradicts itself, or names what is not used, a note says what counts.
func TestConfigNotes(t *testing.T) {
	for _, c := range []struct{ name, family, changes, want string }{
		{"both scalings", "llama_linear", `{"rope_scaling": {"type": "linear", "factor": 4.0}}`, "rope_scaling and rope_parameters are both there; rope_scaling counts"},
		{"both of one kind of layers", "gemma3", `{"rope_scaling": {"factor": 4.0}}`, "the former changes the latter's full_attention"},
		{"old and new names", "gpt_neox", `{"rope_parameters": "absent", "rotary_pct": 0.5, "partial_rotary_factor": 0.25}`, "rotary_pct is 0.5, but partial_rotary_factor is 0.25; the former counts"},
		{"only the new name", "gpt_neox", `{"rope_parameters": "absent", "rotary_pct": 0.5, "rope_theta": 500000}`, "rotary_emb_base is 10000, but rope_theta is 500000; the former counts"},
		{"two thetas", "llama_linear", `{"rope_theta": 500}`, "rope_parameters.rope_theta is 10000, but rope_theta is 500; the former counts"},
		{"two parts", "phi3", `{"partial_rotary_factor": 0.25, "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}`, "rope_parameters.partial_rotary_factor is 0.5, but partial_rotary_factor is 0.25; the former"},
		{"two contexts", "llama_yarn", `{"original_max_position_embeddings": 16}`, "original_max_position_embeddings is 16, but rope_parameters.original_max_position_embeddings is 32; the former"},
		{"two contexts, of which one counts", "phimoe", `{"original_max_position_embeddings": 64}`, "rope_parameters.original_max_position_embeddings is 16, but original_max_position_embeddings is 64; the former counts"},
		{"two lists of layers", "gpt_neo", `{"attention_layers": ["local", "global", "global", "local"]}`, "attention_layers and attention_types make different layers; the former counts"},
		{"two widths", "gpt2", `{"hidden_size": 64}`, "hidden_size is 64, but n_embd is 32; the former counts"},
		{"own code", "qwen2", `{"auto_map": {"AutoModel": "modeling_qwen.Qwen2Model"}}`, "(auto_map: modeling_qwen.Qwen2Model) is not run"},
		{"window of another family", "llama", `{"sliding_window": 16}`, "sliding_window 16 is not applied"},
		{"another head", "gemma2", `{"architectures": ["Gemma2ForSequenceClassification"]}`, "Gemma2ForSequenceClassification has a head of another kind"},
		{"another class", "mistral", `{"architectures": ["MyForCausalLM"]}`, "architectures names MyForCausalLM; the model is read as MistralForCausalLM"},
		{"further tokens", "mistral", `{"num_nextn_predict_layers": 1}`, "(num_nextn_predict_layers 1) are left out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have, err := ReadConfig(changed(t, c.family, c.changes))
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(have.Notes, "\n"); !strings.Contains(notes, c.want) {
				t.Errorf("notes %q, want %q", notes, c.want)
			}
		})
	}
}

// Old and new names side by side are no contradiction when they say the same.
func TestNoNotes(t *testing.T) {
	for _, c := range []struct{ family, changes string }{
		{"gpt_neox", `{"rope_parameters": "absent", "rotary_pct": 0.5, "partial_rotary_factor": 0.50, "rotary_emb_base": 10000, "rope_theta": 10000.0}`},
		{"gpt2", `{"hidden_size": 32.0}`},
		{"llama", `{"sliding_window": 4096, "rope_scaling": {}, "layer_types": ["full_attention", "attention", "full_attention"], "architectures": ["LlamaModel", "LlamaForCausalLM"]}`},
		{"gpt2", `{"architectures": ["GPT2DoubleHeadsModel"]}`},
		{"mistral", `{"architectures": "broken", "auto_map": 3}`},
	} {
		have, err := ReadConfig(changed(t, c.family, c.changes))
		if err != nil || len(have.Notes) > 0 {
			t.Errorf("%s, %s: notes %q, error %v", c.family, c.changes, have.Notes, err)
		}
	}
}

// The oldest files have no model_type.
func TestFamilyByClass(t *testing.T) {
	for _, family := range []string{"gpt2", "llama", "gemma3"} {
		want, err := ReadConfig(read(t, configOf(configs+family)))
		if err != nil {
			t.Fatal(err)
		}
		have, err := ReadConfig(changed(t, family, `{"model_type": "absent"}`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Spec, have.Spec); diff != "" || len(have.Notes) != 1 {
			t.Errorf("notes %q, Spec (with, without model_type):\n%s", have.Notes, diff)
		}
	}
}

// AutoRound stores its codes as GPTQ or AWQ do, and its records beside them.
func TestAutoRound(t *testing.T) {
	const name = "model.layers.0.mlp.up_proj.weight"
	for _, c := range []struct{ fixture, packing, from string }{
		{"gptq", "auto_round:auto_gptq", "quantize_config.json"},
		{"awq", "auto_round:auto_awq", ""},
	} {
		want := valuesOf(t, mustOpen(t, quantized+c.fixture), name)
		dir := copyDir(t, quantized+c.fixture)
		var q map[string]any
		if c.from != "" {
			q = parseAny(t, string(read(t, filepath.Join(dir, c.from))))
		} else {
			q = parseAny(t, string(read(t, configOf(dir))))["quantization_config"].(map[string]any)
			delete(q, "version")
		}
		q["quant_method"], q["packing_format"], q["data_type"] = "auto-round", c.packing, "int"
		q["autoround_version"], q["iters"], q["lr"], q["enable_quanted_input"] = "0.9.1", 200, 0.005, true
		q["extra_config"] = map[string]any{"lm_head": map[string]any{"bits": 16}}
		edit(t, configOf(dir), set("quantization_config", q))
		if have := valuesOf(t, mustOpen(t, dir), name); !slices.Equal(have, want) {
			t.Errorf("%s: the values differ", c.fixture)
		}
	}
}

// Inside the multimodal model, gemma3's outer tie counts, and llama4's inner one.
func TestNestedHeads(t *testing.T) {
	for _, c := range []struct {
		family, outer, inner string
		want                 bool
	}{
		{"gemma3", "", `, "tie_word_embeddings": false`, true},
		{"gemma3", `, "tie_word_embeddings": false`, `, "tie_word_embeddings": true`, false},
		{"llama4", "", `, "tie_word_embeddings": true`, true},
		{"llama4", `, "tie_word_embeddings": true`, "", false},
	} {
		s, err := ParseConfig([]byte(`{"model_type": "` + c.family + `"` + c.outer + `, "text_config": {"model_type": "` + c.family + `_text"` + c.inner + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		if s.TiedHead != c.want {
			t.Errorf("%s, outside %q, inside %q: tied %v", c.family, c.outer, c.inner, s.TiedHead)
		}
	}
	_, err := ParseConfig([]byte(`{"model_type": "gemma3", "text_config": {"final_logit_softcapping": 30}}`))
	if err == nil || !strings.Contains(err.Error(), `key "text_config.final_logit_softcapping": programs disagree`) {
		t.Errorf("a cap of logits inside gemma3: error %v", err)
	}
}

// A file without the keys that are ignored says the same.
func TestIgnoredMayGo(t *testing.T) {
	var configs [][]byte
	for _, dir := range allFixtures(t) {
		configs = append(configs, read(t, configOf(dir)))
	}
	var cases []modelCase
	if err := json.Unmarshal(read(t, "testdata/config_models.json"), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		configs = append(configs, c.Config)
	}
	gone := 0
	for _, data := range configs {
		want, err := ReadConfig(data)
		if err != nil {
			t.Fatal(err)
		}
		m := parseAny(t, string(data))
		for _, key := range want.Ignored {
			if _, top := m[key]; top {
				delete(m, key)
				gone++
			}
		}
		have, err := ReadConfig(encode(t, m))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Spec, have.Spec); diff != "" {
			t.Errorf("%s without %v (before, after):\n%s", data, want.Ignored, diff)
		}
	}
	if gone < 100 {
		t.Errorf("only %d keys were ignored", gone)
	}
}

// Pairs of settings that mean the same to transformers: null is false where a class allows it, and of two keys for one
// thing, only one counts.
func TestConfigTwins(t *testing.T) {
	const scaled = `{"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}`
	for _, c := range []struct{ family, one, other string }{
		{"deepseek_v3", `{"rope_interleave": null}`, `{"rope_interleave": false}`},
		{"youtu", `{"rope_interleave": null}`, `{"rope_interleave": false}`},
		{"sarvam_mla", `{"rope_interleave": "absent"}`, `{"rope_interleave": true}`},
		{"falcon_serial", `{"multi_query": null}`, `{"multi_query": false}`},
		{"falcon_serial", `{"parallel_attn": null}`, `{"parallel_attn": false}`},
		{"falcon", `{"multi_query": "absent", "parallel_attn": "absent"}`, `{"multi_query": true, "parallel_attn": true}`},
		{"falcon_h1_norm", `{"mamba_norm_before_gate": null}`, `{"mamba_norm_before_gate": false}`},
		{
			"olmo3", `{"rope_parameters": "absent", "rope_theta": 500000, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}`,
			`{"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 500000, "factor": 4.0, "original_max_position_embeddings": 32}, "sliding_attention": {"rope_type": "default", "rope_theta": 500000}}}`,
		},
		{"gpt_neo", `{"attention_layers": ["local", "global", "global", "local"]}`, `{"attention_layers": "absent", "attention_types": [[["local", "global"], 1], [["global", "local"], 1]]}`},
		{"phimoe", `{"original_max_position_embeddings": 64}`, `{}`},
		{"cohere2_moe", `{"rope_parameters": ` + scaled + `, "rope_scaling": {"type": "default"}}`, `{"rope_parameters": ` + scaled + `}`},
	} {
		one, err := ReadConfig(changed(t, c.family, c.one))
		if err != nil {
			t.Errorf("%s %s: %v", c.family, c.one, err)
			continue
		}
		other, err := ReadConfig(changed(t, c.family, c.other))
		if err != nil {
			t.Errorf("%s %s: %v", c.family, c.other, err)
			continue
		}
		if diff := cmp.Diff(one.Spec, other.Spec); diff != "" {
			t.Errorf("%s: %s is not %s:\n%s", c.family, c.one, c.other, diff)
		}
	}
}
