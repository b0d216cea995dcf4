package hf

import (
	"strings"
	"testing"
)

// What a Baichuan is follows from which keys it has: the sizes of 13B have ALiBi, the first models no unit rows.
func TestBaichuan(t *testing.T) {
	for _, c := range []struct {
		change        string
		rotated, unit bool
	}{
		{`{}`, true, true},
		{`{"max_position_embeddings": null}`, false, true},
		{`{"vocab_size": 64000}`, true, false},
	} {
		config, err := parseConfig(changed(t, "baichuan", c.change))
		if err != nil {
			t.Fatal(err)
		}
		a := &config.spec.Kinds[0].Attention
		if rotated := a.RoPE >= 0 && a.ALiBi == 0; rotated != c.rotated || config.unitHead != c.unit || config.spec.MaxPositions != 128 {
			t.Errorf("%s: rotated %v, unit rows %v, %d positions", c.change, rotated, config.unitHead, config.spec.MaxPositions)
		}
	}
}

func TestRemoteConfigs(t *testing.T) {
	for _, c := range []struct{ family, change, want string }{
		{"qwen", `{"use_dynamic_ntk": false, "use_logn_attn": false}`, ""},
		{"qwen", `{"no_bias": false}`, `key "no_bias": only models with true`},
		{"qwen", `{"kv_channels": 16}`, `key "kv_channels": 16`},
		{"qwen", `{"magic": 3}`, `key "magic": unknown`},
		{"deepseek", `{"n_routed_experts": null}`, ""},
		{"deepseek", `{"scoring_func": "sigmoid"}`, `key "scoring_func": "sigmoid" is not supported`},
		{"phi-msft", `{"n_head_kv": 2}`, `key "n_head_kv": 2`},
		{"deepseek_v32", `{"q_lora_rank": null}`, `key "q_lora_rank"`},
		{"deepseek_v32", `{"layer_types": ["indexed_attention", "sliding_attention", "indexed_attention"]}`, "layer 1"},
		{"mellum", `{"rope_parameters": {"full_attention": {"rope_theta": 100}}}`, `key "rope_parameters.sliding_attention": missing`},
		{"mellum", `{"mlp_layer_types": ["dense", "thin", "sparse"]}`, `layer 1: "thin" is unknown`},
		{"bailing_moe", `{"score_function": "sigmoid", "n_group": 2, "topk_group": 1, "norm_topk_prob": true}`, ""},
		{"bailing_moe", `{"score_function": "magic"}`, `key "score_function": "magic" is not supported`},
		{"bailing_moe", `{"use_bias": true}`, `key "use_bias": true is not supported`},
		{"bailing_moe", `{"moe_shared_expert_intermediate_size": 7}`, `key "moe_shared_expert_intermediate_size": 7`},
		{"bailing_moe_v2", `{"norm_topk_prob": false}`, `key "norm_topk_prob": false is not supported`},
		{"minimind", `{"hidden_dim": null, "use_moe": true}`, ""},
		{"minimind", `{"use_moe": true, "scoring_func": "sigmoid"}`, `key "scoring_func": "sigmoid" is not supported`},
		{"minimind", `{"dim": null, "hidden_size": 32}`, `key "dim": missing`},
		{"hy_v3", `{"mlp_bias": true}`, `key "mlp_bias"`},
	} {
		_, err := ParseConfig(changed(t, c.family, c.change))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: %v, want %q", c.family, c.change, err, c.want)
		}
	}
}
