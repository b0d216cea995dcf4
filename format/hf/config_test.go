package hf

import (
	"encoding/json"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// changed returns a config.json: a fixture's, changed. The value "absent" deletes a key.
func changed(t testing.TB, family string, changes string) []byte {
	t.Helper()
	m := parseAny(t, string(read(t, configOf(configs+family))))
	for k, v := range parseAny(t, changes) {
		if v == "absent" {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Old files say the same as new ones, under other keys.
func TestOldKeys(t *testing.T) {
	for _, c := range []struct{ name, family, old string }{
		{"llama3", "llama", `{"rope_parameters": "absent", "dtype": "absent", "torch_dtype": "bfloat16", "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}}`},
		{"linear", "llama_linear", `{"rope_parameters": "absent", "rope_theta": 10000, "rope_scaling": {"type": "linear", "factor": 2.5}}`},
		{"default theta", "llama_linear", `{"rope_parameters": "absent", "rope_scaling": {"type": "linear", "factor": 2.5}}`},
		{"dynamic", "llama_dynamic", `{"rope_parameters": "absent", "rope_scaling": {"type": "dynamic", "factor": 3.0}}`},
		{"yarn", "llama_yarn", `{"rope_parameters": "absent", "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "finetuned": true}}`},
		{"no rope keys", "mistral", `{"rope_parameters": "absent"}`},
		{"gemma3 bases", "gemma3", `{"rope_parameters": "absent", "layer_types": "absent", "sliding_window_pattern": 2, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}`},
		{"gemma3 default bases", "gemma3", `{"rope_parameters": "absent", "layer_types": "absent", "sliding_window_pattern": 2, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}`},
		{"phi3", "phi3_longrope", `{"rope_parameters": "absent", "partial_rotary_factor": 0.75, "rope_scaling": {"type": "su", "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.0, 1.5, 2.0]}}`},
		{"gpt_neox", "gpt_neox", `{"rope_parameters": "absent", "rotary_pct": 0.5, "rotary_emb_base": 10000}`},
		{"qwen3_moe", "qwen3_moe", `{"num_local_experts": "absent", "num_experts": 6}`},
		{"qwen2 layer types", "qwen2", `{"layer_types": "absent"}`},
		{"smollm3", "smollm3", `{"layer_types": "absent", "no_rope_layers": "absent"}`},
		{"llama4", "llama4", `{"layer_types": "absent", "moe_layers": "absent", "attn_temperature_tuning": 4, "for_llm_compressor": false}`},
		{"gemma2 layer types", "gemma2", `{"layer_types": "absent"}`},
		{"harmless keys", "llama", `{"use_magic": false, "factor": null, "groups": 0, "name": "", "_note": 7, "head_dim": null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := ParseConfig(read(t, configOf(configs+c.family)))
			if err != nil {
				t.Fatal(err)
			}
			have, err := ParseConfig(changed(t, c.family, c.old))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("(new keys, old keys)\n%s", diff)
			}
		})
	}
}

// What a key does to the Spec.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name, family, changes string
		have                  func(*model.Spec) any
		want                  any
	}{
		{"window", "mistral", `{"sliding_window": 5}`, func(s *model.Spec) any { return s.Kinds[0].Attention.Window }, 5},
		{"null is no window", "mistral", `{"sliding_window": null}`, func(s *model.Spec) any { return s.Kinds[0].Attention.Window }, 0},
		{"an absent window is not null", "mistral", `{"sliding_window": "absent"}`, func(s *model.Spec) any { return s.Kinds[0].Attention.Window }, 4096},
		{"switched off", "qwen2", `{"use_sliding_window": false, "layer_types": "absent"}`, func(s *model.Spec) any { return len(s.Kinds) }, 1},
		{"switched off in moe", "qwen3_moe_plain", `{"use_sliding_window": false}`, func(s *model.Spec) any { return s.Kinds[0].Attention.Window }, 0},
		{"kinds by window", "qwen2", `{}`, func(s *model.Spec) any { return s.Layers }, []int{0, 0, 1}},
		{"dense layers", "qwen3_moe", `{"mlp_only_layers": [0, 2]}`, func(s *model.Spec) any { return s.Layers }, []int{0, 1, 0}},
		{"tied by default", "gemma2", `{"tie_word_embeddings": "absent"}`, func(s *model.Spec) any { return s.TiedHead }, true},
		{"not tied by default", "mistral", `{"tie_word_embeddings": "absent"}`, func(s *model.Spec) any { return s.TiedHead }, false},
		{"as many key heads", "llama", `{"num_key_value_heads": "absent"}`, func(s *model.Spec) any { return s.Kinds[0].Attention.KVHeads }, 4},
		{"softcap", "gemma2", `{"attn_logit_softcapping": null}`, func(s *model.Spec) any { return s.Kinds[0].Attention.Softcap }, float32(0)},
		{"inner width", "gpt2", `{"n_inner": null}`, func(s *model.Spec) any { return s.Kinds[0].MLP.Intermediate }, 128},
		{"scale by layer", "gpt2", `{"scale_attn_by_inverse_layer_idx": true, "scale_attn_weights": false}`, func(s *model.Spec) any { return s.Layer(1).Attention.Scale }, float32(0.5)},
		{"untempered", "llama4", `{"attn_temperature_tuning": false}`, func(s *model.Spec) any { return s.Layer(1).Attention.TemperatureFloor }, 0},
		{"without norm", "llama4", `{"use_qk_norm": false}`, func(s *model.Spec) any { return s.Layer(0).Attention.QKNorm }, model.QKNormNone},
		{"logits", "granite", `{"logits_scaling": 8}`, func(s *model.Spec) any { return s.LogitScale }, float32(0.125)},
		{"null is no bias", "bamba", `{"mamba_conv_bias": null}`, func(s *model.Spec) any { return s.Kinds[0].Recurrence.ConvBias }, false},
		{"a bias by default", "bamba", `{"mamba_conv_bias": "absent"}`, func(s *model.Spec) any { return s.Kinds[0].Recurrence.ConvBias }, true},
		{"yarn attention", "llama_yarn", `{}`, func(s *model.Spec) any { return s.RoPE[0].Scale }, float32(0.1*math.Log(4) + 1)},
		{"longrope factors", "phi3_longrope", `{"max_position_embeddings": 16}`, func(s *model.Spec) any { return s.RoPE[0].Scale }, float32(1)},
		{"su by its other name", "phi3_longrope", `{"rope_parameters": {"type": "yarn", "partial_rotary_factor": 0.75, "short_factor": [1, 1, 1], "long_factor": [2, 2, 2]}}`, func(s *model.Spec) any { return s.RoPE[0].LongFrom }, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, err := ParseConfig(changed(t, c.family, c.changes))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, c.have(spec)); diff != "" {
				t.Errorf("(want, have)\n%s", diff)
			}
		})
	}
}

// Every family's defaults are read by it, and its fixture exists.
func TestEveryFamilyHasAFixture(t *testing.T) {
	seen := map[string]bool{"gemma3": true, "llama4": true, "kimi_k2": true, "kimi_k25": true, "xgenmm": true} // around gemma3_text, llama4_text and phi3; DeepSeek V3 by another name
	for name := range textIn {
		seen[name], seen[strings.TrimSuffix(name, "_text")] = true, true
	}
	for _, dir := range allFixtures(t) {
		spec, err := ParseConfig(read(t, configOf(dir)))
		if err != nil {
			t.Fatal(err)
		}
		seen[spec.Family] = true
	}
	for name, f := range families {
		if !seen[name] {
			t.Errorf("no fixture of %s", name)
		}
		var fusedWith []model.Role
		for role, s := range f.tensors {
			if s.fused != nil && !slices.Contains(s.fused, role) {
				fusedWith = append(fusedWith, role)
			}
		}
		if fusedWith != nil || strings.Contains(f.tensors[model.RoleEmbed].name, "{l}") {
			t.Errorf("%s: table of tensors is wrong at %v", name, fusedWith)
		}
	}
}

func FuzzConfig(f *testing.F) {
	dirs, err := filepath.Glob(configs + "*")
	if err != nil || len(dirs) == 0 {
		f.Fatal("no fixtures", err)
	}
	for _, dir := range dirs {
		f.Add(read(f, configOf(dir)))
	}
	for _, name := range []string{"awq", "ct_int4", "fp8_block", "gptq_act"} {
		f.Add(read(f, configOf(quantized+name)))
	}
	f.Add([]byte(`{"model_type":"gemma3","text_config":{},"vision_config":{}}`))
	f.Add([]byte(`{"model_type":"llama4","text_config":{"rope_scaling":{"rope_type":"llama3","factor":8}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := ParseConfig(data)
		if err != nil {
			return
		}
		if err := spec.Validate(); err != nil {
			t.Errorf("accepted, but: %v", err)
		}
		for i := range spec.RoPE {
			freq, scale := spec.RoPE[i].For(1 << 20)
			if len(freq)*2 != spec.RoPE[i].Dim || math.IsNaN(float64(scale)) {
				t.Errorf("rope %d: %d frequencies, scale %g", i, len(freq), scale)
			}
		}
		for _, tensor := range spec.Tensors() {
			if tensor.Rows() < 1 || tensor.Cols() < 1 {
				t.Errorf("%s: shape %v", tensor.Role, tensor.Shape)
			}
		}
	})
}

// What is said to be missing is no family that is read.
func TestMissingParts(t *testing.T) {
	for _, m := range missingParts {
		for _, name := range strings.Fields(m.types) {
			if families[name] != nil {
				t.Errorf("%s is read, but said to need %s", name, m.part)
			}
		}
	}
}

// Whatever becomes of a single key, a configuration is read or refused; never does the reader panic.
func TestConfigKeysOfAnyKind(t *testing.T) {
	values := []any{[]any{}, []any{nil}, []any{[]any{[]any{map[string]any{}}}}, map[string]any{}, -1, "x", nil}
	for _, dir := range allFixtures(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			var whole map[string]any
			if err := json.Unmarshal(read(t, configOf(dir)), &whole); err != nil {
				t.Fatal(err)
			}
			objects := []map[string]any{whole}
			for _, key := range []string{"text_config", "rope_parameters"} {
				for _, o := range objects {
					if inner, ok := o[key].(map[string]any); ok {
						objects = append(objects, inner)
					}
				}
			}
			for _, o := range objects {
				for key, was := range maps.Clone(o) {
					for _, v := range values {
						o[key] = v
						if spec, err := ParseConfig(encode(t, whole)); err == nil && spec.Validate() != nil {
							t.Errorf("%s of %v: accepted, but: %v", key, v, spec.Validate())
						}
					}
					o[key] = was
				}
			}
		})
	}
}

// An error speaks of a key by the name that it has in the file.
func TestConfigErrorNames(t *testing.T) {
	for _, c := range []struct{ family, changes, want string }{
		{"gpt2", `{"n_embd": "x"}`, `key "n_embd": want a whole number, have "x"`},
		{"deepseek_v3", `{"num_local_experts": "absent", "n_routed_experts": -1}`, `key "n_routed_experts": want a number from 1`},
		{"olmo3", `{"rope_parameters": "absent", "rope_theta": 10000}`, `key "rope_theta": versions of transformers disagree`},
		{"gpt_neox", `{"rope_parameters": "absent", "rotary_emb_base": "x"}`, `key "rotary_emb_base": want a number, have "x"`},
		{"llama_yarn", `{"original_max_position_embeddings": -1}`, `original_max_position_embeddings": want a number above 0, have -1`},
		{"nemotron_h", `{"layers_block_type": []}`, `key "layers_block_type": want an entry for each layer, have none`},
		{"qwen3_moe", `{"mlp_only_layers": [null]}`, `key "mlp_only_layers": want an array of whole numbers, have [null]`},
		{"llama4", `{"no_rope_layers": [[1]]}`, `key "no_rope_layers": want an array of whole numbers, have [[1]]`},
	} {
		if _, err := ReadConfig(changed(t, c.family, c.changes)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error %v, want %s", c.family, c.changes, err, c.want)
		}
	}
}
