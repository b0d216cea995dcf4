package hf

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// llama4 is Llama 4 by itself.
var llama4 = &family{
	class: "Llama4ForCausalLM",
	read:  readLlama4,
	tensors: with(llamaTensors, named(map[model.Role]string{
		model.RoleGate:       "{p}layers.{l}.feed_forward.gate_proj.weight",
		model.RoleUp:         "{p}layers.{l}.feed_forward.up_proj.weight",
		model.RoleDown:       "{p}layers.{l}.feed_forward.down_proj.weight",
		model.RoleRouter:     "{p}layers.{l}.feed_forward.router.weight",
		model.RoleSharedGate: "{p}layers.{l}.feed_forward.shared_expert.gate_proj.weight",
		model.RoleSharedUp:   "{p}layers.{l}.feed_forward.shared_expert.up_proj.weight",
		model.RoleSharedDown: "{p}layers.{l}.feed_forward.shared_expert.down_proj.weight",
	})),
	experts: either(
		merge(
			fused(source{name: "{p}layers.{l}.feed_forward.experts.gate_up_proj", transposed: true}, model.RoleGate, model.RoleUp),
			map[model.Role]source{
				model.RoleDown: {name: "{p}layers.{l}.feed_forward.experts.down_proj", transposed: true},
			},
		),
		perExpert("feed_forward", "gate_proj", "up_proj", "down_proj"), // as llm-compressor takes them apart
	),
	prefixes: textPrefix,
	defaults: `{"vocab_size": 202048, "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
			"num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "silu",
			"max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "tie_word_embeddings": false, "num_experts_per_tok": 1,
			"num_local_experts": 16, "interleave_moe_layer_step": 1, "use_qk_norm": true, "no_rope_layer_interval": 4,
			"attention_chunk_size": 8192, "attn_temperature_tuning": true, "floor_scale": 8192, "attn_scale": 0.1,
			"attention_bias": false, "rope_theta": 500000}`,
}

func readLlama4(d *draft) {
	d.heads()
	d.rms()
	d.mlp(true, "hidden_act", "")
	d.attentionBias("attention_bias", false)
	d.rope(false, ropeNames)
	d.spec.RoPE[0].Interleaved = true
	d.noRoPELayers()
	chunk := 0
	if d.has("attention_chunk_size") {
		chunk = d.size("attention_chunk_size", 0)
	}
	d.windows(0, chunk, func(i int) string {
		if chunk > 0 && d.layers[i].Attention.RoPE >= 0 {
			return "chunked_attention"
		}
		return fullAttention
	})
	d.llama4Queries()
	d.llama4Experts()
}

// llama4Queries: layers with RoPE may normalize queries and keys, those without may scale queries
// by position.
func (d *draft) llama4Queries() {
	norm := d.bool("use_qk_norm", true)
	scale, floor := float32(d.float("attn_scale", 0)), d.size("floor_scale", 0)
	tuned := d.truth("attn_temperature_tuning")
	d.each(func(_ int, y *model.Layer) {
		a := &y.Attention
		switch {
		case a.RoPE >= 0 && norm:
			a.QKNorm = model.QKNormUnweighted
		case a.RoPE < 0 && tuned:
			a.TemperatureScale, a.TemperatureFloor = scale, floor
		}
	})
}

// truth reads a switch that some files set by a number.
func (d *draft) truth(key string) bool {
	if v := d.value(key); v.Kind() == '0' {
		return d.float(key, 0) != 0
	}
	return d.bool(key, false)
}

func (d *draft) llama4Experts() {
	list, present := d.ints("moe_layers")
	step := 1
	if present {
		d.ignore("interleave_moe_layer_step")
	} else {
		step = d.size("interleave_moe_layer_step", 1)
	}
	act := d.layers[0].MLP.Activation
	width := d.size("intermediate_size", 0)
	dense := model.MLP{Gated: true, Activation: act, Intermediate: d.size("intermediate_size_mlp", 0)}
	experts := model.MLP{Gated: true, Activation: act, Intermediate: width, Shared: width, Routing: model.Routing{Sigmoid: true, WeightInput: true}}
	if present && len(list) == 0 { // dense: files have 0 experts
		d.ignore("num_local_experts", "num_experts_per_tok")
	} else {
		experts.Experts, experts.TopK = d.size("num_local_experts", 0), d.size("num_experts_per_tok", 0)
	}
	d.each(func(i int, y *model.Layer) {
		moe := (i+1)%step == 0
		if present {
			moe = slices.Contains(list, i)
		}
		y.MLP = dense
		if moe {
			y.MLP = experts
		}
	})
}
