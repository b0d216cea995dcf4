package hf

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// textIn are the fixtures in which the language models are that have none of their own.
var textIn = map[string]string{
	"qwen3_5_text": "qwen3_5", "qwen3_5_moe_text": "qwen3_5_moe", "gemma3n_text": "gemma3n", "gemma4_text": "gemma4", "gemma4_unified_text": "gemma4_unified",
	"qwen2_vl_text": "qwen2_5_vl", "qwen2_5_vl_text": "qwen2_5_vl", "qwen3_vl_text": "qwen3_vl_moe", "qwen3_vl_moe_text": "qwen3_vl_moe",
}

// basesOf returns configurations of a family: those of its fixtures, with each type of RoPE.
func basesOf(t *testing.T, family string) []map[string]any {
	t.Helper()
	var bases []map[string]any
	for _, dir := range allFixtures(t) {
		m := parseAny(t, string(read(t, configOf(dir))))
		switch m["model_type"] {
		case family:
		case textIn[family]:
			m, _ = m["text_config"].(map[string]any)
			m["model_type"] = family
		default:
			continue
		}
		c, err := ReadConfig(encode(t, m))
		if err != nil {
			t.Fatal(err)
		}
		delete(m, "quantization_config")
		bases = append(bases, m)
		if len(c.Spec.RoPE) == 0 || len(bases) > 1 {
			continue
		}
		params, _ := m["rope_parameters"].(map[string]any)
		for _, p := range ropeSets(c.Spec) {
			n := maps.Clone(m)
			for _, key := range []string{"partial_rotary_factor", "llama_4_scaling_beta"} {
				if v, ok := params[key]; ok {
					p[key] = v
				}
			}
			n["rope_parameters"] = p
			if params["full_attention"] != nil {
				p["rope_theta"] = 10000.0
				n["rope_parameters"] = map[string]any{"full_attention": p, "sliding_attention": p}
			}
			if _, err := ReadConfig(encode(t, n)); err == nil {
				bases = append(bases, n)
			}
		}
		if family == "granitemoehybrid" || family == "nemotron_h" {
			continue // which list their layers in all files
		}
		plain := maps.Clone(m) // as old files are
		for _, key := range []string{"rope_parameters", "layer_types", "no_rope_layers", "moe_layers", "num_local_experts", "layer_rope_theta", "per_layer_config"} {
			delete(plain, key)
		}
		bases = append(bases, plain)
	}
	if len(bases) == 0 {
		t.Fatalf("no fixture of %s", family)
	}
	return bases
}

// ropeSets are parameters of each type.
func ropeSets(s *model.Spec) []map[string]any {
	factors := slices.Repeat([]any{1.5}, s.RoPE[0].Dim/2)
	return []map[string]any{
		{"rope_type": "linear", "factor": 2.0},
		{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32.0, "mscale": 1.0, "mscale_all_dim": 0.5},
		{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32.0},
		{"rope_type": "longrope", "short_factor": factors, "long_factor": factors, "original_max_position_embeddings": 32.0},
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// keysRead returns the keys that were read in an object and those in it, with the names of today.
func keysRead(o *object, into map[string]bool) {
	path := strings.Replace(o.path, "rope_scaling.", "rope_parameters.", 1)
	for _, kind := range []string{"full_attention.", "sliding_attention."} {
		path = strings.TrimSuffix(path, kind)
	}
	for key := range o.read {
		into[path+key] = true
	}
	for _, c := range o.children {
		if c.path != "quantization_config." && !strings.HasPrefix(c.path, "per_layer_config.") {
			keysRead(c, into)
		}
	}
}

// Every key that transformers reads of a family is read here or known to be unused, and no other is read.
func TestKeysAsTransformers(t *testing.T) {
	table := readKeyTable(t)
	why := reasons(t, table)
	for family := range table.Families {
		have := map[string]bool{}
		for _, m := range basesOf(t, family) {
			c, err := parseConfig(encode(t, m))
			if err != nil {
				t.Fatal(err)
			}
			keysRead(c.top, have)
		}
		want := table.places(family)
		for key, where := range want {
			switch reason, listed := why[family][key]; {
			case !have[key] && !listed:
				t.Errorf("%s: key %q, which transformers reads (%s), is not read: read it, refuse it, or list it in keys_table_test.go with the reason why it is unused", family, key, strings.Join(where, ", "))
			case have[key] && listed && !strings.Contains(reason, "note"):
				t.Errorf("%s: key %q is read, but said to be unused: %s", family, key, reason)
			}
		}
		f := table.Families[family]
		declared := slices.Concat(slices.Collect(maps.Keys(f.Keys)), slices.Collect(maps.Values(f.Aliases)))
		for key := range have {
			if want[key] == nil && !slices.Contains(declared, key) && older[key] == "" {
				t.Errorf("%s: key %q is read, but not by transformers", family, key)
			}
		}
		if families[family].class != f.Model {
			t.Errorf("%s: class %s, want %s", family, families[family].class, f.Model)
		}
	}
}

// candidates are values to try for a key.
var candidates = []string{
	"true", "false", "null", "0", "1", "2", "3", "7", "16", "0.5", "1e-3", "64", `"gelu"`, `"relu"`, `"linear"`, "[]", "[0]", "[1, 0, 1]", "[1, 0, 1, 1]",
	`["full_attention", "full_attention", "sliding_attention"]`, `{"1": {"head_dim": 4}}`, `{"rope_type": "linear", "factor": 3.0}`, `{"quant_method": "magic"}`, `"other.safetensors"`,
}

// with sets a key of a configuration; rope_parameters.KEY in each of its rotations.
func withKey(m map[string]any, key string, value any) map[string]any {
	m = maps.Clone(m)
	inner, ok := strings.CutPrefix(key, "rope_parameters.")
	params, _ := m["rope_parameters"].(map[string]any)
	switch {
	case !ok:
		m[key] = value
	case params["full_attention"] != nil && inner != "full_attention" && inner != "sliding_attention":
		p := maps.Clone(params)
		for kind, v := range p {
			p[kind] = withKey(map[string]any{"rope_parameters": v}, key, value)["rope_parameters"]
		}
		m["rope_parameters"] = p
	default:
		p := maps.Clone(params)
		if p == nil {
			p = map[string]any{}
		}
		p[inner] = value
		m["rope_parameters"] = p
	}
	return m
}

// Each key that is read can change the Spec, or is refused; each that is unused does neither.
func TestKeysMatter(t *testing.T) {
	table := readKeyTable(t)
	why := reasons(t, table)
	for family := range table.Families {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			bases := basesOf(t, family)
			var unused []string
			for key := range table.places(family) {
				if _, listed := why[family][key]; key == "model_type" {
					continue
				} else if listed {
					unused = append(unused, key)
				} else if effectOf(t, bases, key) == "" {
					t.Errorf("key %q is read, but no value of it changes anything", key)
				}
			}
			all := effectOf(t, bases[:1], unused...)
			if all == "" {
				return
			}
			for _, key := range unused {
				if effect := effectOf(t, bases[:1], key); effect != "" {
					t.Errorf("key %q is said to be unused (%s), but %s", key, why[family][key], effect)
				}
			}
		})
	}
}

// effectOf says what setting keys to one of the candidates changes.
func effectOf(t *testing.T, bases []map[string]any, keys ...string) string {
	t.Helper()
	for _, base := range bases {
		before, err := ParseConfig(encode(t, base))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range candidates {
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Fatal(err)
			}
			m := base
			for _, key := range keys {
				m = withKey(m, key, value)
			}
			after, err := ParseConfig(encode(t, m))
			if err != nil {
				return fmt.Sprintf("with %s: %v", text, err)
			}
			if !reflect.DeepEqual(before, after) {
				return fmt.Sprintf("with %s: (before, after) %s", text, cmp.Diff(before, after))
			}
		}
	}
	return ""
}

// inCode are defaults that stand in the code of a configuration, not among its fields.
var inCode = map[string]map[string]any{
	"qwen3_next":       {"full_attention_interval": 4.0, "partial_rotary_factor": 0.25},
	"qwen3_5_text":     {"full_attention_interval": 4.0, "partial_rotary_factor": 0.25},
	"qwen3_5_moe_text": {"full_attention_interval": 4.0, "partial_rotary_factor": 0.25},
	"nemotron_h":       {"num_hidden_layers": 4.0},
	"mamba2":           {"num_attention_heads": 1.0},
	"glm":              {"partial_rotary_factor": 0.5}, "glm4": {"partial_rotary_factor": 0.5},
	"glm4_moe": {"partial_rotary_factor": 0.5}, "phi": {"partial_rotary_factor": 0.5}, "nemotron": {"partial_rotary_factor": 0.5},
	"stablelm": {"partial_rotary_factor": 0.25}, "cohere2": {"sliding_window_pattern": 4.0},
	"cwm": {"rope_parameters": map[string]any{
		"rope_theta": 1e6, "factor": 16.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192.0, "rope_type": "llama3",
	}},
	"mellum": {"rope_parameters": map[string]any{
		"full_attention": map[string]any{"rope_type": "default", "rope_theta": 5e5}, "sliding_attention": map[string]any{"rope_type": "default", "rope_theta": 1e4},
	}},
	"apertus": {"rope_parameters": map[string]any{
		"rope_type": "llama3", "rope_theta": 12e6, "factor": 8.0, "original_max_position_embeddings": 8192.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
	}},
	"ministral3": {"rope_parameters": map[string]any{
		"type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16384.0, "beta_fast": 32.0, "beta_slow": 1.0,
		"mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1,
	}},
}

// Absent keys mean what they mean to transformers.
func TestDefaultsAsTransformers(t *testing.T) {
	table := readKeyTable(t)
	why := reasons(t, table)
	for family, f := range table.Families {
		have := map[string]any{}
		for key, v := range parsedDefaults[family] {
			var x any
			if err := json.Unmarshal(v, &x); err != nil {
				t.Fatal(err)
			}
			have[key] = x
		}
		want := map[string]any{}
		names := map[string]string{} // of transformers → ours
		for key, other := range families[family].aliases {
			names[other] = key
		}
		for key, v := range f.Defaults {
			if _, listed := why[family][key]; v == nil || listed || len(f.Keys[key]) == 0 && !slices.Contains(f.Shared, key) && names[key] == "" {
				continue
			}
			if ours := names[key]; ours != "" {
				key = ours
			}
			want[key] = v
		}
		delete(want, "is_encoder_decoder") // false, as is what is absent
		maps.Copy(want, inCode[family])
		switch { // what stands in code, not in a class
		case family == "gpt_neox":
			want["rotary_emb_base"], want["rotary_pct"] = 10000.0, 0.25
		case f.Theta["global"] > 0:
			want["rope_theta"], want["rope_local_base_freq"] = f.Theta["global"], f.Theta["local"]
			if family != "gemma3n_text" {
				want["sliding_window_pattern"] = 6.0
			}
		case !slices.Contains(slices.Concat(notRotated, kindsOfRoPE, []string{"gptj", "codegen"}), family):
			want["rope_theta"] = f.Theta[""]
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: defaults (transformers, ours)\n%s", family, diff)
		}
	}
}

// Names of activations are known, and those that are not computed are refused by name.
func TestActivationsAsTransformers(t *testing.T) {
	table := readKeyTable(t)
	want := map[string]model.Activation{
		"silu": model.SiLU, "swish": model.SiLU, "relu": model.ReLU, "relu2": model.ReLU2, "gelu": model.GELU, "gelu_python": model.GELU, "gelu_new": model.GELUTanh,
		"gelu_fast": model.GELUTanh, "gelu_accurate": model.GELUTanh, "gelu_pytorch_tanh": model.GELUTanh, "gelu_python_tanh": model.GELUTanh,
	}
	for _, name := range table.Activations {
		spec, err := ParseConfig(changed(t, "llama", fmt.Sprintf(`{"hidden_act": %q}`, name)))
		switch {
		case want[name] == "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("activation %q is not supported", name))):
			t.Errorf("%s: error %v", name, err)
		case want[name] != "" && (err != nil || spec.Kinds[0].MLP.Activation != want[name]):
			t.Errorf("%s: have %v, error %v; want %s", name, spec, err, want[name])
		}
	}
	for name := range want {
		if !slices.Contains(table.Activations, name) {
			t.Errorf("transformers has no activation %s", name)
		}
	}
}

// The table has every family.
func TestKeyTableIsWhole(t *testing.T) {
	table := readKeyTable(t)
	for name, f := range families {
		if _, ok := table.Families[name]; !ok && f.holds == nil && !f.remote && !f.borrows {
			t.Errorf("%s lacks %s; add it to make_config.py", filepath.Join("testdata", "config_keys.json"), name)
		}
	}
}

// Of all that transformers makes logits of the next token with, a family is read, or a sentence says what it is or lacks.
func TestEveryTypeOfTransformers(t *testing.T) {
	table := readKeyTable(t)
	if len(table.Causal) < 150 {
		t.Fatalf("%d values of model_type", len(table.Causal))
	}
	for _, name := range table.Causal {
		_, err := ParseConfig(fmt.Appendf(nil, `{"model_type": %q}`, name))
		if err != nil && strings.Contains(err.Error(), "unsupported model_type") {
			t.Errorf("%s: no word on what it is", name)
		}
	}
}
