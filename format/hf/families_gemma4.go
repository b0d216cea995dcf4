package hf

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// gemma4Families are Gemma 4 by itself, and with the parts for images and sounds, which are left out.
var gemma4Families = map[string]*family{
	"gemma4": {class: "Gemma4ForConditionalGeneration", holds: &held{families: []string{"gemma4_text"}, ties: outerTies, tied: true}},
	"gemma4_text": {
		class:    "Gemma4ForCausalLM",
		read:     readGemma4,
		tensors:  gemma4Tensors,
		experts:  gemma4Experts,
		prefixes: textPrefix,
		defaults: `{"vocab_size": 262144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30,
			"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072, "rms_norm_eps": 1e-06,
			"tie_word_embeddings": true, "attention_bias": false, "sliding_window": 512, "hidden_size_per_layer_input": 256,
			"vocab_size_per_layer_input": 262144, "attention_k_eq_v": false, "num_kv_shared_layers": 0, "enable_moe_block": false,
			"use_double_wide_mlp": false}`,
	},
	"gemma4_unified": {class: "Gemma4UnifiedForConditionalGeneration", holds: &held{families: []string{"gemma4_unified_text"}, ties: outerTies, tied: true}},
	"gemma4_unified_text": {
		class:    "Gemma4UnifiedForCausalLM",
		read:     readGemma4Unified,
		tensors:  gemma4Tensors,
		prefixes: textPrefix,
		defaults: gemma4UnifiedDefaults,
	},
}

const gemma4UnifiedDefaults = `{"vocab_size": 262144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30,
	"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
	"hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 262144, "rms_norm_eps": 1e-06,
	"tie_word_embeddings": true, "attention_bias": false, "sliding_window": 1024, "attention_k_eq_v": false,
	"num_kv_shared_layers": 0, "use_double_wide_mlp": false, "use_bidirectional_attention": "vision"}`

// gemma4RoPE are the rotations of Gemma 4 where config.json does not say them.
var gemma4RoPE = jsontext.Value(`{"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
	"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0}}`)

var gemma4Tensors = with(gemmaTensors, map[model.Role]source{
	model.RoleOutScale:      {name: "{p}layers.{l}.layer_scalar"},
	model.RoleLayerEmbed:    {name: "{p}embed_tokens_per_layer.weight"},
	model.RoleLayerProject:  {name: "{p}per_layer_model_projection.weight"},
	model.RoleLayerNorm:     {name: "{p}per_layer_projection_norm.weight"},
	model.RoleInputGate:     {name: "{p}layers.{l}.per_layer_input_gate.weight"},
	model.RoleInputOut:      {name: "{p}layers.{l}.per_layer_projection.weight"},
	model.RolePostInputNorm: {name: "{p}layers.{l}.post_per_layer_input_norm.weight"},
})

// gemma4Experts are the experts of a layer, beside a dense MLP that every token passes through.
var gemma4Experts = merge(
	either(
		merge(
			named(map[model.Role]string{model.RoleDown: "{p}layers.{l}.experts.down_proj"}),
			fused(source{name: "{p}layers.{l}.experts.gate_up_proj"}, model.RoleGate, model.RoleUp),
		),
		named(map[model.Role]string{ // as quantizing tools take them apart
			model.RoleGate: "{p}layers.{l}.experts.{e}.gate_proj.weight",
			model.RoleUp:   "{p}layers.{l}.experts.{e}.up_proj.weight",
			model.RoleDown: "{p}layers.{l}.experts.{e}.down_proj.weight",
		}),
		named(map[model.Role]string{ // as MLX stacks them
			model.RoleGate: "{p}layers.{l}.experts.switch_glu.gate_proj.weight",
			model.RoleUp:   "{p}layers.{l}.experts.switch_glu.up_proj.weight",
			model.RoleDown: "{p}layers.{l}.experts.switch_glu.down_proj.weight",
		}),
	),
	named(map[model.Role]string{
		model.RoleRouter:      "{p}layers.{l}.router.proj.weight",
		model.RoleRouterNorm:  "{p}layers.{l}.router.scale",
		model.RoleExpertScale: "{p}layers.{l}.router.per_expert_scale",
		model.RoleSharedGate:  "{p}layers.{l}.mlp.gate_proj.weight",
		model.RoleSharedUp:    "{p}layers.{l}.mlp.up_proj.weight",
		model.RoleSharedDown:  "{p}layers.{l}.mlp.down_proj.weight",
		model.RolePostShared:  "{p}layers.{l}.post_feedforward_layernorm_1.weight",
		model.RoleExpertsNorm: "{p}layers.{l}.pre_feedforward_layernorm_2.weight",
		model.RolePostExperts: "{p}layers.{l}.post_feedforward_layernorm_2.weight",
	}),
)

func readGemma4(d *draft) {
	readGemma4Unified(d)
	if d.bool("enable_moe_block", false) {
		d.expertsBeside()
	} else {
		d.ignore("num_experts", "top_k_experts", "moe_intermediate_size")
	}
	d.layerInputs()
}

// layerInputs reads the embeddings for each layer.
func (d *draft) layerInputs() {
	if d.int("hidden_size_per_layer_input", 0) == 0 {
		d.ignore("vocab_size_per_layer_input")
		return
	}
	d.tokenVectors()
	if d.spec.LayerInputs.Tokens < d.spec.Vocab {
		d.fail("vocab_size_per_layer_input", "%d rows for a vocabulary of %d", d.spec.LayerInputs.Tokens, d.spec.Vocab)
	}
}

// tokenVectors gives each layer a vector of the token.
func (d *draft) tokenVectors() {
	n := d.size("hidden_size_per_layer_input", 0)
	d.spec.LayerInputs = model.LayerInputs{
		Width: n, Tokens: d.size("vocab_size_per_layer_input", 0),
		EmbedScale: float32(math.Sqrt(float64(n))), ProjectScale: invSqrt(float64(d.spec.Hidden)), SumScale: math.Sqrt2 / 2,
	}
	d.each(func(_ int, y *model.Layer) { y.TakesInput = true })
}

// sharedKV has the last layers read keys and values of those before them.
func (d *draft) sharedKV() {
	wide := d.bool("use_double_wide_mlp", false)
	d.lastShareKV(d.int("num_kv_shared_layers", 0), func(y *model.Layer) {
		if wide {
			y.MLP.Intermediate *= 2
		}
	})
}

// lastShareKV has the last n layers read keys and values of those before them.
func (d *draft) lastShareKV(n int, each func(y *model.Layer)) {
	if n < 0 || n >= len(d.layers) {
		d.fail("num_kv_shared_layers", "%d of %d layers", n, len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		if i < len(d.layers)-n {
			return
		}
		y.Attention.SharedKV, y.Attention.KeyValues = true, false
		each(y)
	})
}

// readGemma4Unified reads what all of Gemma 4 has in common.
func readGemma4Unified(d *draft) {
	d.heads()
	d.rms()
	d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	d.mlp(true, "hidden_activation", "")
	d.attentionBias("attention_bias", false)
	d.spec.LogitSoftcap = d.softcap("final_logit_softcapping")
	if d.string("use_bidirectional_attention", "vision") != "vision" { // which is about tokens of images
		d.fail("use_bidirectional_attention", "only causal attention is supported")
	}
	d.gemma4Windows()
	d.qkNorm(model.QKNormHead)
	d.each(func(_ int, y *model.Layer) {
		y.PostNorm, y.OutScale, y.Attention.ValueNorm, y.Attention.Scale = true, true, true, 1
	})
	d.globalHeads()
	d.gemma4RoPE()
	d.sharedKV()
}

// gemma4Windows reads layer_types, of which the last is taken for full_attention whatever it is.
func (d *draft) gemma4Windows() {
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if (i+1)%6 == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	d.layers[len(d.layers)-1].Attention.Window = 0
}

// globalHeads gives layers without a window heads of their own: global_head_dim and num_global_key_value_heads or, as newer
// files have it, per_layer_config.
func (d *draft) globalHeads() {
	same := d.bool("attention_k_eq_v", false)
	size, n := d.size("global_head_dim", 512), d.layers[0].Attention.KVHeads
	if same {
		n = d.size("num_global_key_value_heads", n)
	} else {
		d.ignore("num_global_key_value_heads")
	}
	plain := !d.has("per_layer_config") && d.values["per_layer_config"] == nil // null means that no layer differs
	own := d.layerConfigs()
	d.each(func(i int, y *model.Layer) {
		a := &y.Attention
		if a.Window == 0 {
			a.KeyValues = same
		}
		switch o := own[i]; {
		case plain && a.Window == 0:
			a.HeadDim, a.KVHeads = size, n
		case o != nil:
			a.HeadDim, a.KVHeads = o.size("head_dim", a.HeadDim), o.size("num_key_value_heads", a.KVHeads)
			for _, key := range slices.Sorted(maps.Keys(o.values)) {
				if !o.read[key] {
					o.fail(key, "layers of this family differ in head_dim and num_key_value_heads alone")
				}
			}
		}
	})
}

// layerConfigs reads the keys that single layers have of their own, by layer. transformers writes the number of a layer
// with zeros in front, as "05".
func (d *draft) layerConfigs() map[int]*object {
	configs := map[int]*object{}
	all := d.object.object("per_layer_config")
	if all == nil {
		return configs
	}
	for _, key := range slices.Sorted(maps.Keys(all.values)) {
		i, err := strconv.Atoi(key)
		switch {
		case err != nil || i < 0 || i >= len(d.layers):
			all.fail(key, "want the number of a layer, 0 to %d", len(d.layers)-1)
		case configs[i] != nil:
			all.fail(key, "layer %d is listed twice", i)
		default:
			configs[i] = all.object(key)
		}
	}
	return configs
}

// gemma4RoPE gives layers with a window another rotation than the others.
func (d *draft) gemma4RoPE() {
	if old := d.object.object("rope_scaling"); old != nil && len(old.values) > 0 {
		d.fail("rope_scaling", "this family has its rotations in rope_parameters, by the type of the layer; transformers does not load this key either")
	}
	all := d.object
	if !d.has("rope_parameters") {
		all = d.with("rope_parameters", gemma4RoPE)
		d.children = append(d.children, all)
	}
	params := all.object("rope_parameters")
	if params == nil {
		return
	}
	for i, kind := range []string{fullAttention, slidingAttention} {
		size := 0
		d.each(func(_ int, y *model.Layer) {
			switch a := &y.Attention; {
			case (a.Window > 0) != (i > 0):
			case size > 0 && a.HeadDim != size:
				d.fail("per_layer_config", "heads of %d and of %d elements in layers of %s", size, a.HeadDim, kind)
			default:
				size, a.RoPE = a.HeadDim, len(d.spec.RoPE)
			}
		})
		if size == 0 {
			params.ignore(kind)
			continue
		}
		o := params.object(kind)
		if o == nil {
			params.fail(kind, "missing")
			return
		}
		d.spec.RoPE = append(d.spec.RoPE, d.proportional(o, size))
	}
}

// proportional reads a rotation of heads of so many elements, of which the slower part may be left as it is.
func (d *draft) proportional(o *object, size int) model.RoPE {
	theta, factor, kind := float32(o.float("rope_theta", 0)), 1.0, o.string("rope_type", o.string("type", "default"))
	turning := size / 2
	switch kind {
	case "default":
		o.ignore("partial_rotary_factor", "factor") // as transformers does
	case "proportional":
		part := o.float("partial_rotary_factor", 1)
		if !(part >= 0 && part <= 1) {
			o.fail("partial_rotary_factor", "want a number from 0 to 1, have %g", part)
		}
		turning, factor = int(part*float64(size)/2), o.float("factor", 1)
		if !(factor > 0) {
			o.fail("factor", "want a number above 0, have %g", factor)
		}
	default:
		o.fail("rope_type", "unsupported rope type %q; supported: default, proportional", kind)
	}
	if !(theta > 0) {
		o.fail("rope_theta", "want a number above 0, have %g", theta)
	}
	if size%2 != 0 {
		d.fail("head_dim", "%d elements cannot be rotated in pairs", size)
	}
	r := model.RoPE{Dim: size / 2 * 2, Scale: 1, InvFreq: model.Frequencies(theta, size/2*2)}
	for j := range r.InvFreq {
		if r.InvFreq[j] /= float32(factor); j >= turning {
			r.InvFreq[j] = 0
		}
	}
	return r
}

// expertsBeside adds experts to the MLP of every layer.
func (d *draft) expertsBeside() {
	n := d.size("num_experts", 0)
	routing := model.Routing{Experts: n, TopK: d.size("top_k_experts", 0), NormalizeTopK: true, ExpertScale: true}
	width := d.size("moe_intermediate_size", 0)
	d.each(func(_ int, y *model.Layer) {
		m := &y.MLP
		m.Routing, m.Shared, m.Intermediate = routing, m.Intermediate, width
		m.Apart, m.RouterScale = true, invSqrt(float64(d.spec.Hidden))
	})
}
