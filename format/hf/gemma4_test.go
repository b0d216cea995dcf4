package hf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// transformers pads the numbers of layers with zeros, so that they sort; null means that no layer differs.
func TestLayerConfigs(t *testing.T) {
	base := string(read(t, configOf(configs+"gemma4")))
	want, err := ReadConfig([]byte(base))
	if err != nil {
		t.Fatal(err)
	}
	for name, layers := range map[string]string{
		"padded":      `{"01": {"head_dim": 16, "num_key_value_heads": 1}, "003": {"head_dim": 16, "num_key_value_heads": 1}}`,
		"all of them": `{"0": {"head_dim": 8}, "1": {"head_dim": 16, "num_key_value_heads": 1}, "2": {"num_key_value_heads": 2}, "3": {"head_dim": 16, "num_key_value_heads": 1}}`,
	} {
		have, err := ReadConfig(changed(t, "gemma4", `{"per_layer_config": `+layers+`}`))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want.Spec, have.Spec); diff != "" {
			t.Errorf("%s: the Spec changed (as it was, now):\n%s", name, diff)
		}
	}
	for _, none := range []string{"null", "{}"} {
		have, err := ReadConfig(changed(t, "gemma4", `{"per_layer_config": `+none+`}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, y := range have.Spec.Kinds {
			if y.Attention.HeadDim != 8 || y.Attention.KVHeads != 2 {
				t.Errorf("%s: %d heads of %d for keys and values, want 2 of 8", none, y.Attention.KVHeads, y.Attention.HeadDim)
			}
		}
	}
	for layers, message := range map[string]string{
		`{"4": {"head_dim": 16}}`:              `per_layer_config.4": want the number of a layer, 0 to 3`,
		`{"-1": {"head_dim": 16}}`:             `per_layer_config.-1": want the number of a layer, 0 to 3`,
		`{"full_attention": {"head_dim": 16}}`: `per_layer_config.full_attention": want the number of a layer, 0 to 3`,
		`{"01": {}, "1": {}}`:                  `per_layer_config.1": layer 1 is listed twice`,
		`{"1": {"intermediate_size": 16}}`:     `per_layer_config.1.intermediate_size": layers of this family differ in`,
	} {
		if _, err := ReadConfig(changed(t, "gemma4", `{"per_layer_config": `+layers+`}`)); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: error %v, want %q", layers, err, message)
		}
	}
}
