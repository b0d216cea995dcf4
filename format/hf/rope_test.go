package hf

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
)

// The frequencies are those of transformers to the last bit but one: powers may be rounded
// differently there, and again when they are multiplied.
func TestFrequencies(t *testing.T) {
	var cases map[string]struct {
		Params  json.RawMessage `json:"rope_parameters"`
		InvFreq []float64       `json:"inv_freq"`
		Long    []float64       `json:"long_inv_freq"`
		Scale   float64         `json:"scale"`
	}
	if err := json.Unmarshal(read(t, "../../testdata/rope.json"), &cases); err != nil || len(cases) < 8 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spec, err := ParseConfig(fmt.Appendf(nil, `{"model_type": "llama", "vocab_size": 8, "hidden_size": 256,
				"intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 4,
				"max_position_embeddings": 131072, "rope_parameters": %s}`, c.Params))
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string, have []float32, scale float32, want []float64) {
				if len(have) != len(want) || math.Abs(float64(scale)-c.Scale) > 1e-7*c.Scale {
					t.Fatalf("%s: %d frequencies, scale %g; want %d, %g", what, len(have), scale, len(want), c.Scale)
				}
				for j := range have {
					if d := math.Abs(float64(have[j])/want[j] - 1); d > 4.0/(1<<23) {
						t.Errorf("%s: frequency %d is %g, want %g, off by %.1g", what, j, have[j], want[j], d)
					}
				}
			}
			r := &spec.RoPE[0]
			freq, scale := r.For(4096)
			check("short", freq, scale, c.InvFreq)
			if c.Long != nil {
				freq, scale = r.For(131072 + 32768)
				check("long", freq, scale, c.Long)
			}
		})
	}
}
