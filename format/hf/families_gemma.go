package hf

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// gemmaTensors names a norm before and after each branch.
var gemmaTensors = with(llamaTensors, named(map[model.Role]string{
	model.RolePostAttnNorm: "{p}layers.{l}.post_attention_layernorm.weight",
	model.RoleMLPNorm:      "{p}layers.{l}.pre_feedforward_layernorm.weight",
	model.RolePostMLPNorm:  "{p}layers.{l}.post_feedforward_layernorm.weight",
}))

// gemma reads what Gemma 2 and 3 have in common.
func gemma(d *draft) {
	d.heads()
	d.rms()
	d.spec.Norm.PlusOne = true
	d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	d.mlp(true, "hidden_activation", "")
	d.attentionBias("attention_bias", false)
	scalar := d.float("query_pre_attn_scalar", 0)
	if !(scalar > 0) {
		d.fail("query_pre_attn_scalar", "want a number above 0")
	}
	d.each(func(_ int, y *model.Layer) {
		y.PostNorm = true
		y.Attention.Scale = invSqrt(scalar)
	})
	d.spec.LogitSoftcap = d.softcap("final_logit_softcapping")
}

func (d *draft) softcap(key string) float32 {
	c := d.float(key, 0)
	if c < 0 || d.has(key) && c == 0 {
		d.fail(key, "want a number above 0 or null, have %g", c)
	}
	return float32(c)
}

func readGemma2(d *draft) {
	readCappedGemma(d)
	d.causalOnly()
}

// readCappedGemma: scores have a cap, and every second layer has a window.
func readCappedGemma(d *draft) {
	gemma(d)
	d.rope(false, ropeNames)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		return []string{slidingAttention, fullAttention}[i%2]
	})
	c := d.softcap("attn_logit_softcapping")
	d.each(func(_ int, y *model.Layer) { y.Attention.Softcap = c })
}

// gemma3 is Gemma 3 by itself. The sizes of its 4B model are defaults, since files leave them out.
var gemma3 = &family{
	class:    "Gemma3ForCausalLM",
	read:     readGemma3,
	tensors:  gemmaTensors,
	prefixes: textPrefix,
	defaults: `{"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
			"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
			"max_position_embeddings": 131072, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, "attention_bias": false,
			"query_pre_attn_scalar": 256, "sliding_window": 4096, "use_bidirectional_attention": false, "rope_theta": 1000000,
			"rope_local_base_freq": 10000, "sliding_window_pattern": 6}`,
}

func readGemma3(d *draft) {
	gemma(d)
	d.causalOnly()
	d.qkNorm(model.QKNormHead)
	pattern := d.size("sliding_window_pattern", 6)
	d.windows(d.slidingWindow(), 0, func(i int) string {
		if (i+1)%pattern == 0 {
			return fullAttention
		}
		return slidingAttention
	})
	d.localAndGlobalRoPE("rope_local_base_freq")
}

// refuseCap refuses what the multimodal model's code leaves out, and other programs do not.
func refuseCap(d *draft) {
	if d.spec.LogitSoftcap != 0 {
		d.fail("final_logit_softcapping", "programs disagree on whether it counts inside gemma3; set it to null, or make a gemma3_text of the model")
	}
}

// ropeByKind gives layers with a window another RoPE than the others, each with parameters of its own in rope_parameters.
func (d *draft) ropeByKind(partial bool, names map[string]string) {
	params := d.object.object("rope_parameters")
	if params == nil {
		d.fail("rope_parameters", "missing")
		return
	}
	for i, kind := range []string{fullAttention, slidingAttention} {
		o := params.object(kind)
		if o == nil {
			params.fail(kind, "missing")
			return
		}
		d.spec.RoPE = append(d.spec.RoPE, d.frequencies(o, 0, partial, names))
		d.each(func(_ int, y *model.Layer) {
			if (y.Attention.Window > 0) == (i > 0) {
				y.Attention.RoPE = i
			}
		})
	}
	for _, key := range slices.Sorted(maps.Keys(params.values)) {
		if v := params.values[key]; !params.read[key] && !trivial(v) {
			params.fail(key, "want the parameters under full_attention and sliding_attention")
		}
	}
}

// localAndGlobalRoPE gives layers with a window another RoPE than the others; its base is under the key localBase.
// rope_scaling changes that of the others alone. It returns the parameters of layers with a window.
func (d *draft) localAndGlobalRoPE(localBase string) *object {
	global, local := d.emptyRoPE(), d.emptyRoPE()
	if params := d.object.object("rope_parameters"); params != nil {
		global, local = cmp.Or(params.object(fullAttention), global), cmp.Or(params.object(slidingAttention), local)
		for key, v := range params.values {
			if !params.read[key] && !trivial(v) {
				params.fail(key, "want the parameters under full_attention and sliding_attention")
			}
		}
	}
	if scaling := d.object.object("rope_scaling"); scaling != nil && len(scaling.values) > 0 {
		if t := scaling.string("type", "default"); t != "default" && !scaling.has("rope_type") {
			scaling.fail("type", "versions of transformers disagree on whether it counts in this family; write rope_type")
		}
		if len(global.values) > 0 {
			d.note("rope_scaling and rope_parameters are both there; the former changes the latter's full_attention, as in transformers")
		}
		for key, v := range global.values {
			if _, ok := scaling.values[key]; !ok {
				scaling.values[key] = v
			}
			global.ignore(key)
		}
		global = scaling
	}
	d.spec.RoPE = []model.RoPE{
		d.frequencies(global, d.float("rope_theta", 0), false, ropeNames),
		d.frequencies(local, d.float(localBase, 0), false, ropeNames),
	}
	d.each(func(_ int, y *model.Layer) {
		y.Attention.RoPE = 0
		if y.Attention.Window > 0 {
			y.Attention.RoPE = 1
		}
	})
	return local
}
