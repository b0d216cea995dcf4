package hf

import (
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// gemma3nFamilies are Gemma 3n by itself, and with the parts for images and sounds, which are left out.
var gemma3nFamilies = map[string]*family{
	"gemma3n": {class: "Gemma3nForConditionalGeneration", holds: &held{families: []string{"gemma3n_text"}, ties: outerTies, tied: true}},
	"gemma3n_text": {
		class: "Gemma3nForCausalLM",
		read:  readGemma3n,
		tensors: with(gemma4Tensors, named(map[model.Role]string{
			model.RoleStreamIn:      "{p}altup_projections.{e}.weight",
			model.RoleStreamOut:     "{p}altup_unembed_projections.{e}.weight",
			model.RoleStreamNorm:    "{p}layers.{l}.altup.router_norm.weight",
			model.RoleStreamRouter:  "{p}layers.{l}.altup.modality_router.weight",
			model.RoleStreamPredict: "{p}layers.{l}.altup.prediction_coefs.weight",
			model.RoleStreamCorrect: "{p}layers.{l}.altup.correction_coefs.weight",
			model.RoleStreamScale:   "{p}layers.{l}.altup.correct_output_scale",
			model.RoleShortcutIn:    "{p}layers.{l}.laurel.linear_left.weight",
			model.RoleShortcutOut:   "{p}layers.{l}.laurel.linear_right.weight",
			model.RoleShortcutNorm:  "{p}layers.{l}.laurel.post_laurel_norm.weight",
		})),
		prefixes: textPrefix,
		defaults: `{"vocab_size": 262400, "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 35,
			"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
			"max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "attention_bias": false,
			"sliding_window": 512, "final_logit_softcapping": 30.0, "vocab_size_per_layer_input": 262144,
			"hidden_size_per_layer_input": 256, "altup_active_idx": 0, "altup_correct_scale": true, "altup_num_inputs": 4,
			"num_kv_shared_layers": 15, "laurel_rank": 64, "rope_theta": 1000000, "rope_local_base_freq": 10000}`,
	},
}

func readGemma3n(d *draft) {
	d.heads()
	d.rms()
	d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	d.attentionBias("attention_bias", false)
	d.spec.LogitSoftcap = d.softcap("final_logit_softcapping")
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if (i+1)%5 == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	d.qkNorm(model.QKNormHead)
	d.localAndGlobalRoPE("rope_local_base_freq")
	rank := d.size("laurel_rank", 0)
	d.each(func(_ int, y *model.Layer) {
		y.PostNorm, y.Attention.ValueNorm, y.Attention.Scale = true, true, 1
		y.Shortcut, y.ShortcutScale = rank, math.Sqrt2/2
	})
	d.sparseGates()
	d.tokenVectors()
	d.lastShareKV(d.int("num_kv_shared_layers", 0), func(*model.Layer) {})
	d.spec.Streams = model.Streams{
		Count: d.size("altup_num_inputs", 0), RouterScale: 1 / float32(d.spec.Hidden), InputScaled: d.bool("altup_correct_scale", true),
	}
	if d.spec.Streams.Count != 4 {
		d.fail("altup_num_inputs", "%d residual streams: want 4", d.spec.Streams.Count)
	}
	if n := d.int("altup_active_idx", 0); n != 0 {
		d.fail("altup_active_idx", "layers that work on residual stream %d, not 0, are not supported", n)
	}
}

// sparseGates reads the MLPs: intermediate_size may be one number for each layer, and so is activation_sparsity_pattern, the
// share of gates that are 0.
func (d *draft) sparseGates() {
	act := d.activation("hidden_activation")
	widths := d.perLayer("intermediate_size")
	shares := d.floats("activation_sparsity_pattern")
	if !d.has("activation_sparsity_pattern") {
		shares = make([]float64, len(d.layers))
		for i := range min(10, len(shares)) {
			if len(shares) > 10 {
				shares[i] = 0.95
			}
		}
	}
	if len(shares) != len(d.layers) {
		d.fail("activation_sparsity_pattern", "%d numbers for %d layers", len(shares), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		y.MLP = model.MLP{Gated: true, Activation: act, Intermediate: widths[i]}
		switch p := shares[i]; {
		case !(p < 1):
			d.fail("activation_sparsity_pattern", "layer %d: want a number below 1, have %g", i, p)
		case p > 0:
			y.MLP.Sparse, y.MLP.Cutoff = true, float32(math.Sqrt2*math.Erfinv(2*p-1))
		}
	})
}

// perLayer reads a size that all layers have, or a list of those of each.
func (d *draft) perLayer(key string) []int {
	if d.value(key).Kind() != '[' {
		return slices.Repeat([]int{d.size(key, 0)}, len(d.layers))
	}
	list, _ := d.ints(key)
	if len(list) != len(d.layers) {
		d.fail(key, "%d numbers for %d layers", len(list), len(d.layers))
		return slices.Repeat([]int{1}, len(d.layers))
	}
	return list
}
