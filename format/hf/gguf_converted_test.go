package hf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/gguf/gguftest"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// convertedGGUF is what llama.cpp's converter made of a fixture: testdata/gguf.json.
type convertedGGUF struct {
	Metadata map[string][2]any `json:"metadata"` // type and value
	Tensors  map[string][]any  `json:"tensors"`  // type, shape, the beginning of the SHA-256; values, of factors of RoPE and decays
}

func readConverted(t testing.TB) map[string]convertedGGUF {
	t.Helper()
	text, err := os.ReadFile("../../testdata/gguf.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]convertedGGUF
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// ggufUnsaid are what a fixture has and a GGUF file cannot say, so that it is read as llama.cpp computes it.
var ggufUnsaid = map[string]string{
	"gemma2":                 `{"query_pre_attn_scalar": 12}`,
	"gemma3":                 `{"query_pre_attn_scalar": 12, "layer_types": null}`,
	"gpt2":                   `{"scale_attn_by_inverse_layer_idx": false}`,
	"lfm2_moe":               `{"routed_scaling_factor": 1.0}`,
	"granitemoehybrid_mamba": `{"time_step_limit": null, "max_position_embeddings": 1048576}`,
	"afmoe":                  `{"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]}`,
	"qwen2_5_vl":             `{"text_config": {"use_sliding_window": false, "layer_types": null}}`,
	"nemotron":               `{"rope_parameters": {"partial_rotary_factor": 0.25}}`,
	"deepseek_v2":            `{"topk_method": "greedy", "rope_parameters": {"mscale": 0.9}}`,
	"llama_bias":             `{"hidden_act": "silu"}`,
	"mistral":                `{"model_type": "llama", "sliding_window": null}`,
	"mixtral":                `{"sliding_window": null}`,
	"qwen2":                  `{"use_sliding_window": false, "layer_types": null}`,
	"qwen3":                  `{"use_sliding_window": false, "layer_types": null}`,
	"smollm3":                `{"use_sliding_window": false, "layer_types": null, "no_rope_layers": null, "no_rope_layer_interval": 4}`,
	"starcoder2":             `{"sliding_window": null}`,
	"dots1":                  `{"sliding_window": null, "layer_types": null}`,
	"gpt_oss":                `{"swiglu_limit": 7.0}`,
	"olmoe":                  `{"clip_qkv": null}`,
	"llama4": `{"attention_chunk_size": 8192, "no_rope_layers": [1, 1, 1, 0], "layer_types": null,
		"attn_scale": 0.1, "floor_scale": 8192}`,
}

// edited merges members into a configuration, also into those of its objects.
func edited(more string) Edit {
	return func(config []byte) ([]byte, error) {
		if more == "" {
			return config, nil
		}
		var c, m map[string]json.RawMessage
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(more), &m); err != nil {
			return nil, err
		}
		for key, v := range m {
			if nested, ok := c[key]; ok && v[0] == '{' && nested[0] == '{' {
				inner, err := edited(string(v))(nested)
				if err != nil {
					return nil, err
				}
				v = inner
			}
			c[key] = v
		}
		return json.Marshal(c)
	}
}

// converted returns what the converter makes of a fixture. Each tensor is compared with the converter's.
func converted(t *testing.T, of *Checkpoint, want convertedGGUF) *gguftest.File {
	f := &gguftest.File{}
	for _, key := range slices.Sorted(maps.Keys(want.Metadata)) {
		f.Values = append(f.Values, gguftest.Value{Key: key, Value: typedValue(t, want.Metadata[key])})
	}
	arch := want.Metadata["general.architecture"][1].(string)
	for _, name := range slices.Sorted(maps.Keys(want.Tensors)) {
		entry := want.Tensors[name]
		x := gguftest.Tensor{Name: name}
		for _, d := range entry[1].([]any) {
			x.Shape = append(x.Shape, int(d.(float64)))
		}
		values := forward(t, of, arch, name)
		if len(entry) > 3 {
			for _, v := range entry[3].([]any) {
				values = append(values, float32(v.(float64)))
			}
		}
		if entry[0] == "F16" {
			x.Type = 1
			for _, v := range values {
				x.Data = binary.LittleEndian.AppendUint16(x.Data, float16.Fromfloat32(v).Bits())
			}
		} else {
			for _, v := range values {
				x.Data = binary.LittleEndian.AppendUint32(x.Data, math.Float32bits(v))
			}
		}
		if sum := sha256.Sum256(x.Data); hex.EncodeToString(sum[:8]) != entry[2] {
			t.Errorf("tensor %q is not what the converter makes", name)
		}
		f.Tensors = append(f.Tensors, x)
	}
	return f
}

func typedValue(t testing.TB, v [2]any) any {
	t.Helper()
	switch v[0] {
	case "UINT32":
		return uint32(v[1].(float64))
	case "INT32":
		return int32(v[1].(float64))
	case "FLOAT32":
		return float32(v[1].(float64))
	}
	list, _ := v[1].([]any)
	switch v[0] {
	case "ARRAY:BOOL":
		return listOf(list, func(x any) bool { return x.(bool) })
	case "ARRAY:UINT32", "ARRAY:INT32":
		return listOf(list, func(x any) int32 { return int32(x.(float64)) })
	case "ARRAY:FLOAT32":
		return listOf(list, func(x any) float32 { return float32(x.(float64)) })
	}
	return v[1] // strings, bools
}

func listOf[T any](list []any, as func(any) T) []T {
	out := make([]T, len(list))
	for i, x := range list {
		out[i] = as(x)
	}
	return out
}

// forward computes the values of a tensor as the converter does.
func forward(t *testing.T, of *Checkpoint, arch, name string) []float32 {
	layer := model.NoLayer
	generic := name
	if p := strings.Split(name, "."); p[0] == "blk" {
		layer, _ = strconv.Atoi(p[1])
		generic = "blk.{l}." + strings.Join(p[2:], ".")
	}
	var parts [][]float32
	for _, role := range rolesOf(arch, generic) {
		for i, x := range of.Tensors() {
			if x.Layer == layer && x.Role == role {
				parts = append(parts, permuted(of, arch, x, allRows(t, of, i)))
			}
		}
	}
	turns := 1
	switch generic {
	case "blk.{l}.attn_q.weight":
		turns = of.Spec().Layer(layer).Attention.Heads // whose gates lie behind them, if there are any
	case "blk.{l}.ssm_ba.weight":
		turns = of.Spec().Layer(layer).Recurrence.KeyHeads
	}
	var values []float32
	for turn := range turns {
		for _, p := range parts {
			n := len(p) / turns
			values = append(values, p[turn*n:(turn+1)*n]...)
		}
	}
	return values
}

// recurrentRoles are the roles whose rows lie in tensors of layers with a recurrence. Decays are stored as values.
var recurrentRoles = map[string][]model.Role{
	"ssm_in.weight":             {model.RoleOutGate, model.RoleV, model.RoleK, model.RoleQ, model.RoleDecay},
	"ssm_conv1d.weight":         {model.RoleConvV, model.RoleConvK, model.RoleConvQ},
	"ssm_conv1d.bias":           {model.RoleConvVBias, model.RoleConvKBias, model.RoleConvQBias},
	"ssm_dt.bias":               {model.RoleDecayBias},
	"ssm_a":                     {},
	"ssm_ba.weight":             {model.RoleWrite, model.RoleDecay},
	"ssm_alpha.weight":          {model.RoleDecay},
	"ssm_beta.weight":           {model.RoleWrite},
	"attn_gate.weight":          {model.RoleOutGate},
	"ssm_d":                     {model.RoleSkip},
	"ssm_norm.weight":           {model.RoleHeadsNorm},
	"ssm_out.weight":            {model.RoleO},
	"shortconv.in_proj.weight":  {model.RoleInGate, model.RoleOutGate, model.RoleV},
	"shortconv.conv.weight":     {model.RoleConvV},
	"shortconv.out_proj.weight": {model.RoleO},
}

// rolesOf lists the roles whose rows lie in a tensor, in the order in which they do.
func rolesOf(arch, name string) (roles []model.Role) {
	switch {
	case strings.HasPrefix(arch, "qwen") && strings.HasSuffix(name, "ssm_conv1d.weight"):
		return []model.Role{model.RoleConvQ, model.RoleConvK, model.RoleConvV}
	case strings.HasSuffix(name, "attn_q.weight") && ggufArchs[arch].names[model.RoleOutGate] == name:
		return []model.Role{model.RoleQ, model.RoleOutGate}
	case strings.HasSuffix(name, "attn_qkv.weight"):
		return []model.Role{model.RoleQ, model.RoleK, model.RoleV}
	case strings.HasSuffix(name, "attn_qkv.bias"):
		return []model.Role{model.RoleQBias, model.RoleKBias, model.RoleVBias}
	case (arch == "phi3" || arch == "glm4") && strings.HasSuffix(name, "ffn_up.weight"):
		return []model.Role{model.RoleGate, model.RoleUp}
	}
	if roles, ok := recurrentRoles[strings.TrimPrefix(name, "blk.{l}.")]; ok {
		return roles
	}
	for role, n := range ggufArchs[arch].names {
		if n == name {
			return []model.Role{role}
		}
	}
	for _, names := range []map[model.Role]string{ggufNames, ggufExperts} {
		for role, n := range names {
			if n == name {
				roles = append(roles, role)
			}
		}
	}
	return roles
}
