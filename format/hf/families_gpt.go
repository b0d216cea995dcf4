package hf

import (
	"math"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

func readStarCoder2(d *draft) {
	d.heads()
	d.layerNorm("norm_epsilon")
	d.mlp(false, "hidden_act", "use_bias")
	d.attentionBias("use_bias", true)
	d.rope(false, ropeNames)
	d.uniformWindow(d.slidingWindow())
}

// gptNeoXTensors: query, key and value lie head by head in one tensor.
var gptNeoXTensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}embed_in.weight",
		model.RoleAttnNorm:      "{p}layers.{l}.input_layernorm.weight",
		model.RoleAttnNormBias:  "{p}layers.{l}.input_layernorm.bias",
		model.RoleO:             "{p}layers.{l}.attention.dense.weight",
		model.RoleOBias:         "{p}layers.{l}.attention.dense.bias",
		model.RoleMLPNorm:       "{p}layers.{l}.post_attention_layernorm.weight",
		model.RoleMLPNormBias:   "{p}layers.{l}.post_attention_layernorm.bias",
		model.RoleUp:            "{p}layers.{l}.mlp.dense_h_to_4h.weight",
		model.RoleUpBias:        "{p}layers.{l}.mlp.dense_h_to_4h.bias",
		model.RoleDown:          "{p}layers.{l}.mlp.dense_4h_to_h.weight",
		model.RoleDownBias:      "{p}layers.{l}.mlp.dense_4h_to_h.bias",
		model.RoleFinalNorm:     "{p}final_layer_norm.weight",
		model.RoleFinalNormBias: "{p}final_layer_norm.bias",
	}),
	map[model.Role]source{
		model.RoleHead: {name: "{h}embed_out.weight", instead: []source{{name: "{h}lm_head.weight"}}}, // transformers 5 calls it so in memory
	},
	fused(source{name: "{p}layers.{l}.attention.query_key_value.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}layers.{l}.attention.query_key_value.bias", byHead: true}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

func readGPTNeoX(d *draft) {
	d.dividedHeads()
	d.headsShare()
	d.layerNorm("layer_norm_eps")
	d.mlp(false, "hidden_act", "")
	d.attentionBias("attention_bias", true)
	d.replace("rope_theta", "rotary_emb_base")
	d.replace("partial_rotary_factor", "rotary_pct")
	d.spec.RoPE = []model.RoPE{d.frequencies(d.ropeObject(), d.float("rope_theta", 0), true, ropeNames)}
	parallel := d.bool("use_parallel_residual", true)
	d.each(func(_ int, y *model.Layer) {
		y.Parallel = parallel
		y.MLP.Bias = true
		y.Attention.RoPE = 0
	})
}

// gpt2Tensors: matrices are stored [in][out], and query, key and value lie in one tensor.
var gpt2Tensors = merge(
	named(map[model.Role]string{
		model.RoleEmbed:         "{p}wte.weight",
		model.RolePositions:     "{p}wpe.weight",
		model.RoleAttnNorm:      "{p}h.{l}.ln_1.weight",
		model.RoleAttnNormBias:  "{p}h.{l}.ln_1.bias",
		model.RoleOBias:         "{p}h.{l}.attn.c_proj.bias",
		model.RoleMLPNorm:       "{p}h.{l}.ln_2.weight",
		model.RoleMLPNormBias:   "{p}h.{l}.ln_2.bias",
		model.RoleUpBias:        "{p}h.{l}.mlp.c_fc.bias",
		model.RoleDownBias:      "{p}h.{l}.mlp.c_proj.bias",
		model.RoleFinalNorm:     "{p}ln_f.weight",
		model.RoleFinalNormBias: "{p}ln_f.bias",
		model.RoleHead:          "{h}lm_head.weight",
	}),
	map[model.Role]source{
		model.RoleO:    {name: "{p}h.{l}.attn.c_proj.weight", transposed: true},
		model.RoleUp:   {name: "{p}h.{l}.mlp.c_fc.weight", transposed: true},
		model.RoleDown: {name: "{p}h.{l}.mlp.c_proj.weight", transposed: true},
	},
	fused(source{name: "{p}h.{l}.attn.c_attn.weight", transposed: true}, model.RoleQ, model.RoleK, model.RoleV),
	fused(source{name: "{p}h.{l}.attn.c_attn.bias"}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
)

func readGPT2(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.Positions = d.spec.MaxPositions
	m := model.MLP{
		Activation:   d.activation("activation_function"),
		Intermediate: d.size("n_inner", 4*d.spec.Hidden),
		Bias:         true,
	}
	if d.bool("add_cross_attention", false) {
		d.fail("add_cross_attention", "cross attention is not supported")
	}
	scaled, byLayer := d.bool("scale_attn_weights", true), d.bool("scale_attn_by_inverse_layer_idx", false)
	d.each(func(i int, y *model.Layer) {
		y.MLP = m
		y.Attention.QKVBias, y.Attention.OutBias = true, true
		if !scaled {
			y.Attention.Scale = 1
		}
		if byLayer {
			y.Attention.Scale /= float32(i + 1)
		}
	})
}

// gptFamilies are relatives of GPT-2.
var gptFamilies = map[string]*family{
	"gptj": {
		class: "GPTJForCausalLM",
		read:  readGPTJ,
		tensors: with(gptTensors, named(map[model.Role]string{
			model.RoleQ:        "{p}h.{l}.attn.q_proj.weight",
			model.RoleK:        "{p}h.{l}.attn.k_proj.weight",
			model.RoleV:        "{p}h.{l}.attn.v_proj.weight",
			model.RoleO:        "{p}h.{l}.attn.out_proj.weight",
			model.RoleUp:       "{p}h.{l}.mlp.fc_in.weight",
			model.RoleUpBias:   "{p}h.{l}.mlp.fc_in.bias",
			model.RoleDown:     "{p}h.{l}.mlp.fc_out.weight",
			model.RoleDownBias: "{p}h.{l}.mlp.fc_out.bias",
		})),
		prefixes: gptPrefix,
		aliases:  gptAliases,
		defaults: `{"vocab_size": 50400, "max_position_embeddings": 2048, "hidden_size": 4096, "num_hidden_layers": 28,
			"num_attention_heads": 16, "rotary_dim": 64, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
			"tie_word_embeddings": false}`,
	},
	"codegen": {
		class: "CodeGenForCausalLM",
		read:  readCodeGen,
		tensors: with(gptTensors, fused(source{name: "{p}h.{l}.attn.qkv_proj.weight", groups: 4}, model.RoleQ, model.RoleV, model.RoleK),
			named(map[model.Role]string{
				model.RoleO:        "{p}h.{l}.attn.out_proj.weight",
				model.RoleUp:       "{p}h.{l}.mlp.fc_in.weight",
				model.RoleUpBias:   "{p}h.{l}.mlp.fc_in.bias",
				model.RoleDown:     "{p}h.{l}.mlp.fc_out.weight",
				model.RoleDownBias: "{p}h.{l}.mlp.fc_out.bias",
			})),
		prefixes: gptPrefix,
		aliases:  gptAliases,
		defaults: `{"vocab_size": 50400, "max_position_embeddings": 2048, "hidden_size": 4096, "num_hidden_layers": 28,
			"num_attention_heads": 16, "rotary_dim": 64, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
			"tie_word_embeddings": false}`,
	},
	"gpt_neo": {
		class: "GPTNeoForCausalLM",
		read:  readGPTNeo,
		tensors: with(gptTensors, named(map[model.Role]string{
			model.RoleQ:     "{p}h.{l}.attn.attention.q_proj.weight",
			model.RoleK:     "{p}h.{l}.attn.attention.k_proj.weight",
			model.RoleV:     "{p}h.{l}.attn.attention.v_proj.weight",
			model.RoleO:     "{p}h.{l}.attn.attention.out_proj.weight",
			model.RoleOBias: "{p}h.{l}.attn.attention.out_proj.bias",
		})),
		prefixes: gptPrefix,
		aliases:  map[string]string{"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"},
		defaults: `{"vocab_size": 50257, "max_position_embeddings": 2048, "hidden_size": 2048, "num_hidden_layers": 24,
			"num_attention_heads": 16, "window_size": 256, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
			"tie_word_embeddings": true}`,
	},
	"gpt_bigcode": {
		class: "GPTBigCodeForCausalLM",
		read:  readGPTBigCode,
		tensors: with(gptTensors, merge(
			fused(source{name: "{p}h.{l}.attn.c_attn.weight", byHead: true}, model.RoleQ, model.RoleK, model.RoleV),
			fused(source{name: "{p}h.{l}.attn.c_attn.bias", byHead: true}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
		)),
		prefixes: gptPrefix,
		aliases:  gptAliases,
		defaults: `{"vocab_size": 50257, "max_position_embeddings": 1024, "hidden_size": 768, "num_hidden_layers": 12,
			"num_attention_heads": 12, "activation_function": "gelu_pytorch_tanh", "layer_norm_epsilon": 1e-05,
			"scale_attn_weights": true, "multi_query": true, "add_cross_attention": false, "tie_word_embeddings": true}`,
	},
	"biogpt": {
		class: "BioGptForCausalLM",
		read:  readBioGPT,
		tensors: with(optTensors, named(map[model.Role]string{
			model.RoleFinalNorm:     "{p}layer_norm.weight",
			model.RoleFinalNormBias: "{p}layer_norm.bias",
			model.RoleHead:          "{h}output_projection.weight",
		})),
		prefixes: []prefix{{"biogpt.", ""}, {"", ""}},
		defaults: `{"vocab_size": 42384, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
			"intermediate_size": 4096, "hidden_act": "gelu", "max_position_embeddings": 1024, "scale_embedding": true,
			"tie_word_embeddings": true}`,
	},
	"opt": {
		class:    "OPTForCausalLM",
		read:     readOPT,
		tensors:  optTensors,
		prefixes: []prefix{{"model.decoder.", ""}, {"decoder.", ""}, {"", ""}},
		defaults: `{"vocab_size": 50272, "hidden_size": 768, "num_hidden_layers": 12, "ffn_dim": 3072,
			"max_position_embeddings": 2048, "do_layer_norm_before": true, "num_attention_heads": 12,
			"activation_function": "relu", "enable_bias": true, "layer_norm_elementwise_affine": true,
			"tie_word_embeddings": true}`,
	},
}

// optTensors are the names of OPT, whose table of positions begins with two rows that belong to none.
var optTensors = with(biasedTensors, named(map[model.Role]string{
	model.RoleAttnNorm:      "{p}layers.{l}.self_attn_layer_norm.weight",
	model.RoleAttnNormBias:  "{p}layers.{l}.self_attn_layer_norm.bias",
	model.RoleO:             "{p}layers.{l}.self_attn.out_proj.weight",
	model.RoleOBias:         "{p}layers.{l}.self_attn.out_proj.bias",
	model.RoleMLPNorm:       "{p}layers.{l}.final_layer_norm.weight",
	model.RoleMLPNormBias:   "{p}layers.{l}.final_layer_norm.bias",
	model.RoleUp:            "{p}layers.{l}.fc1.weight",
	model.RoleUpBias:        "{p}layers.{l}.fc1.bias",
	model.RoleDown:          "{p}layers.{l}.fc2.weight",
	model.RoleDownBias:      "{p}layers.{l}.fc2.bias",
	model.RoleFinalNorm:     "{p}final_layer_norm.weight",
	model.RoleFinalNormBias: "{p}final_layer_norm.bias",
}), map[model.Role]source{model.RolePositions: {name: "{p}embed_positions.weight", skip: 2}})

var (
	gptPrefix  = []prefix{{"transformer.", ""}, {"", ""}}
	gptAliases = map[string]string{"hidden_size": "n_embd", "max_position_embeddings": "n_positions", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"}
)

// gptTensors are the names of GPT-2 for matrices that are stored [out][in].
var gptTensors = with(gpt2Tensors, named(map[model.Role]string{
	model.RoleO:        "{p}h.{l}.attn.c_proj.weight",
	model.RoleUp:       "{p}h.{l}.mlp.c_fc.weight",
	model.RoleDown:     "{p}h.{l}.mlp.c_proj.weight",
	model.RoleHeadBias: "{h}lm_head.bias",
}))

// readGPTJ: both branches read one norm, and the front of each head is rotated in pairs of neighbors.
func readCodeGen(d *draft) {
	if n := d.layers[0].Attention.Heads; n%4 != 0 {
		d.fail("n_head", "%d: heads of this family are stored in 4 groups", n)
		return
	}
	readGPTJ(d)
}

func readGPTJ(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.gptMLP("n_inner")
	d.parallel()
	d.spec.HeadBias = true
	n := d.size("rotary_dim", 0)
	if head := d.layers[0].Attention.HeadDim; n%2 != 0 || n > head {
		d.fail("rotary_dim", "%d of a head of %d: want an even number of rotated elements", n, head)
		return
	}
	d.spec.RoPE = []model.RoPE{{Dim: n, Interleaved: true, Scale: 1, InvFreq: model.Frequencies(10000, n)}}
	d.each(func(_ int, y *model.Layer) { y.Attention.RoPE = 0 })
}

// readBioGPT: an OPT whose embedding is scaled.
func readBioGPT(d *draft) {
	d.dividedHeads()
	d.spec.Positions = d.spec.MaxPositions
	d.spec.Norm = model.Norm{Kind: model.LayerNorm, Eps: 1e-5, Bias: true} // layer_norm_eps is not read
	m := model.MLP{Activation: d.activation("hidden_act"), Intermediate: d.size("intermediate_size", 0), Bias: true}
	d.each(func(_ int, y *model.Layer) { y.MLP, y.Attention.QKVBias, y.Attention.OutBias = m, true, true })
	if d.bool("scale_embedding", true) {
		d.spec.EmbedScale = float32(math.Sqrt(float64(d.spec.Hidden)))
	}
}

// gptMLP reads an MLP with biases; its width is four times that of the residual stream unless a key says another.
func (d *draft) gptMLP(width string) {
	m := model.MLP{Activation: d.activation("activation_function"), Intermediate: d.size(width, 4*d.spec.Hidden), Bias: true}
	d.each(func(_ int, y *model.Layer) { y.MLP = m })
}

// readGPTNeo: scores are not scaled, and layers see a window where attention_layers or attention_types say so.
func readGPTNeo(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.Positions = d.spec.MaxPositions
	d.gptMLP("intermediate_size")
	kinds, window := d.layerKinds(), d.size("window_size", 256)
	if d.err != nil {
		return
	}
	if len(kinds) != len(d.layers) {
		d.fail("attention_types", "%d entries for %d layers", len(kinds), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		y.Attention.OutBias = true
		y.Attention.Scale = 1
		switch kinds[i] {
		case "global":
		case "local":
			y.Attention.Window = window
		default:
			d.fail("attention_types", "layer %d: want global or local, have %q", i, kinds[i])
		}
	})
}

// layerKinds reads attention_layers, which has an entry for each layer or, without it, attention_types; without both,
// layers are global and local by turns.
func (d *draft) layerKinds() []string {
	types := d.value("attention_types")
	kinds, ok := turns(types, len(d.layers))
	switch list := d.strings("attention_layers"); {
	case list != nil:
		if types != nil && !slices.Equal(kinds, list) {
			d.note("attention_layers and attention_types make different layers; the former counts, as in transformers")
		}
		return list
	case types == nil:
		return slices.Repeat([]string{"global", "local"}, (len(d.layers)+1)/2)[:len(d.layers)]
	case !ok:
		d.fail("attention_types", "want pairs of what comes by turns and how often, have %s", short(types))
	}
	return kinds
}

// turns expands a list of pairs, of what comes by turns and how often, at most limit times.
func turns(v jsontext.Value, limit int) (all []string, ok bool) {
	var list []jsontext.Value
	if json.Unmarshal(v, &list) != nil {
		return nil, false
	}
	for _, v := range list {
		var pair []jsontext.Value
		var turn []string
		var times int
		if json.Unmarshal(v, &pair) != nil || len(pair) != 2 || json.Unmarshal(pair[0], &turn) != nil ||
			json.Unmarshal(pair[1], &times) != nil || times < 0 || times > limit {
			return nil, false
		}
		all = append(all, slices.Repeat(turn, times)...)
	}
	return all, true
}

func readGPTBigCode(d *draft) {
	d.dividedHeads()
	d.layerNorm("layer_norm_epsilon")
	d.spec.Positions = d.spec.MaxPositions
	d.gptMLP("n_inner")
	if d.bool("add_cross_attention", false) {
		d.fail("add_cross_attention", "cross attention is not supported")
	}
	scaled, one := d.bool("scale_attn_weights", true), d.bool("multi_query", true)
	d.each(func(_ int, y *model.Layer) {
		y.Attention.QKVBias, y.Attention.OutBias = true, true
		if one {
			y.Attention.KVHeads = 1
		}
		if !scaled {
			y.Attention.Scale = 1
		}
	})
}

// readOPT: the first two rows of the table of positions stand for no position.
func readOPT(d *draft) {
	d.dividedHeads()
	d.spec.Positions = d.spec.MaxPositions
	affine, bias := d.bool("layer_norm_elementwise_affine", true), d.bool("enable_bias", true)
	d.spec.Norm = model.Norm{Kind: model.LayerNorm, Eps: 1e-5, Bias: affine, Unweighted: !affine}
	m := model.MLP{Activation: d.activation("activation_function"), Intermediate: d.size("ffn_dim", 0), Bias: bias}
	d.each(func(_ int, y *model.Layer) {
		y.MLP = m
		y.Attention.QKVBias, y.Attention.OutBias = bias, bias
	})
	if n := d.int("word_embed_proj_dim", d.spec.Hidden); n != d.spec.Hidden {
		d.fail("word_embed_proj_dim", "%d: an embedding of another width than hidden_size (%d) is not supported", n, d.spec.Hidden)
	}
	if !d.bool("do_layer_norm_before", true) {
		d.fail("do_layer_norm_before", "layers that normalize the residual stream itself, after each branch, are not supported")
	}
	if d.bool("_remove_final_layer_norm", false) {
		d.fail("_remove_final_layer_norm", "a model without a norm before the head is not supported")
	}
}
