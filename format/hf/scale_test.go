package hf

import (
	"math"
	"strings"
	"testing"
)

const plainLlama = `{"model_type": "llama", "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
	"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 32, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, ROPE}`

// TestScaleRoPE gives a model scalings in every notation, over old and new key styles, and compares
// the result with the config.json that says the same.
func TestScaleRoPE(t *testing.T) {
	old, fresh := `"rope_theta": 50000.0`, `"rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}`
	cases := []struct{ scaling, positions, rope string }{
		{"linear:4", "512", `{"rope_type": "linear", "factor": 4.0}`},
		{"dynamic:2", "256", `{"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 128}`},
		{"yarn:8", "1024", `{"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 128}`},
		{
			`{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}`, "128",
			`{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}`,
		},
	}
	for _, c := range cases {
		said := strings.Replace(plainLlama, `"max_position_embeddings": 128`, `"max_position_embeddings": `+c.positions, 1)
		want, err := ParseConfig([]byte(strings.Replace(said, "ROPE", old+`, "rope_scaling": `+c.rope, 1)))
		if err != nil {
			t.Fatal(c.scaling, err)
		}
		for _, style := range []string{old, fresh} {
			edit, err := ScaleRoPE(c.scaling)
			if err != nil {
				t.Fatal(err)
			}
			config, err := edit([]byte(strings.Replace(plainLlama, "ROPE", style, 1)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseConfig(config)
			if err != nil {
				t.Fatalf("%s: %v\n%s", c.scaling, err, config)
			}
			if got.MaxPositions != want.MaxPositions {
				t.Errorf("%s: %d positions, want %d", c.scaling, got.MaxPositions, want.MaxPositions)
			}
			for _, length := range []int{128, 1000} {
				a, s := got.RoPE[0].For(length)
				b, r := want.RoPE[0].For(length)
				for j := range b {
					if math.Abs(float64(a[j]-b[j])) > 0 || s != r {
						t.Fatalf("%s, length %d: frequencies %v × %v, want %v × %v", c.scaling, length, a, s, b, r)
					}
				}
			}
		}
	}
}

func TestScaleRoPEErrors(t *testing.T) {
	for _, scaling := range []string{"", "yarn", "yarn:", "yarn:0.5", "llama3:8", "twist:2", "{", `{"rope_type": 3`} {
		if _, err := ScaleRoPE(scaling); err == nil {
			t.Errorf("%q: no error", scaling)
		}
	}
	edit, err := ScaleRoPE("linear:2")
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{"[]", `{"rope_parameters": {"full_attention": {}}}`, `{"rope_parameters": 3}`, `{"text_config": 1}`, `{"max_position_embeddings": "x"}`} {
		if _, err := edit([]byte(config)); err == nil {
			t.Errorf("%s: no error", config)
		}
	}
}
