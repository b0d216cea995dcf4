package hf

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// draft is a Spec in the making: one Layer for each layer, not yet gathered into kinds.
type draft struct {
	*object
	spec   *model.Spec
	layers []model.Layer
	adjustments
}

// newDraft reads the keys that all families have, under the names that most of them use. Every
// layer is that of a Llama without RoPE.
func newDraft(name string, o *object) *draft {
	d := &draft{object: o, spec: &model.Spec{
		Family:       name,
		Vocab:        o.size("vocab_size", 0),
		Hidden:       o.size("hidden_size", 0),
		MaxPositions: o.size("max_position_embeddings", 2048),
		EmbedScale:   1,
		LogitScale:   1,
		TiedHead:     o.bool("tie_word_embeddings", false),
	}}
	heads := o.size("num_attention_heads", 0)
	layer := model.Layer{
		PreNorm:       true,
		ResidualScale: 1,
		Attention: model.Attention{
			Heads:   heads,
			KVHeads: heads,
			HeadDim: max(1, d.spec.Hidden/heads),
			RoPE:    -1,
		},
	}
	layer.Attention.Scale = invSqrt(float64(layer.Attention.HeadDim))
	n := o.size("num_hidden_layers", 0)
	if n > maxLayers {
		o.fail("num_hidden_layers", "%d are too many", n)
		n = 1
	}
	for range n {
		d.layers = append(d.layers, layer)
	}
	return d
}

func invSqrt(x float64) float32 { return float32(math.Pow(x, -0.5)) }

// repeat makes n layers, all like the first. It replaces num_hidden_layers where other keys say how many there are.
func (d *draft) repeat(n int) {
	switch {
	case n > maxLayers:
		d.fail("num_hidden_layers", "%d layers are too many", n)
		return
	case n > 0:
		d.layers = slices.Repeat(d.layers[:1], n)
	}
}

func (d *draft) each(f func(i int, y *model.Layer)) {
	for i := range d.layers {
		f(i, &d.layers[i])
	}
}

// heads reads the number of key and value heads and the size of heads. Without the first, or if it is
// null, there are as many as query heads; without the second, they share hidden_size.
func (d *draft) heads() {
	n := d.size("num_key_value_heads", d.layers[0].Attention.Heads)
	if heads := d.layers[0].Attention.Heads; !d.has("head_dim") && d.spec.Hidden%heads != 0 {
		d.fail("head_dim", "missing, and hidden_size, %d, is no multiple of the %d attention heads", d.spec.Hidden, heads)
	}
	size := d.size("head_dim", d.layers[0].Attention.HeadDim)
	d.each(func(_ int, y *model.Layer) {
		y.Attention.KVHeads, y.Attention.HeadDim = n, size
		y.Attention.Scale = invSqrt(float64(size))
	})
}

// dividedHeads refuses a hidden_size that the heads cannot share.
func (d *draft) dividedHeads() {
	if n := d.layers[0].Attention.Heads; d.spec.Hidden%n != 0 {
		d.fail("hidden_size", "%d is no multiple of the %d attention heads", d.spec.Hidden, n)
	}
}

// headsShare refuses a head_dim that is not the heads' share of hidden_size.
func (d *draft) headsShare() {
	if n := d.layers[0].Attention.HeadDim; d.has("head_dim") && d.int("head_dim", n) != n {
		d.fail("head_dim", "%d: heads of this family have %d elements, hidden_size over num_attention_heads", d.int("head_dim", n), n)
	}
}

// rms reads the usual normalization.
func (d *draft) rms() {
	d.spec.Norm = model.Norm{Kind: model.RMSNorm, Eps: d.epsilon("rms_norm_eps", 1e-6)}
}

// floatValue returns a number as a key has it.
func floatValue(f float64) jsontext.Value {
	return jsontext.Value(strconv.FormatFloat(f, 'g', -1, 64))
}

// epsilon reads what a normalization adds to the variance.
func (d *draft) epsilon(key string, fallback float64) float32 {
	eps := d.float(key, fallback)
	if !(eps >= 0 && eps < 1) {
		d.fail(key, "want a number from 0 to 1, have %g", eps)
	}
	return float32(eps)
}

// layerNorm reads the normalization with mean and bias.
func (d *draft) layerNorm(eps string) {
	d.spec.Norm = model.Norm{Kind: model.LayerNorm, Eps: d.epsilon(eps, 1e-5), Bias: true}
}

// activations are the names that transformers gives to those that can be computed.
var activations = map[string]model.Activation{
	"silu": model.SiLU, "swish": model.SiLU, "relu": model.ReLU, "relu2": model.ReLU2,
	"gelu": model.GELU, "gelu_python": model.GELU,
	"gelu_new": model.GELUTanh, "gelu_fast": model.GELUTanh, "gelu_accurate": model.GELUTanh,
	"gelu_pytorch_tanh": model.GELUTanh, "gelu_python_tanh": model.GELUTanh,
}

// activation reads the name of an activation.
func (d *draft) activation(key string) model.Activation {
	name := d.string(key, "")
	a, ok := activations[name]
	if !ok {
		d.fail(key, "activation %q is not supported; supported: %s", name, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	return a
}

// mlp gives all layers the same MLP.
func (d *draft) mlp(gated bool, act, bias string) {
	m := model.MLP{Gated: gated, Activation: d.activation(act), Intermediate: d.size("intermediate_size", 0)}
	if bias != "" {
		m.Bias = d.bool(bias, false)
	}
	d.each(func(_ int, y *model.Layer) { y.MLP = m })
}

// mlpOf gives all layers the same gated MLP, whose activation no key names.
func (d *draft) mlpOf(act model.Activation) {
	m := model.MLP{Gated: true, Activation: act, Intermediate: d.size("intermediate_size", 0)}
	d.each(func(_ int, y *model.Layer) { y.MLP = m })
}

// attentionBias reads the switch for biases of all four projections.
func (d *draft) attentionBias(key string, fallback bool) {
	b := d.bool(key, fallback)
	d.each(func(_ int, y *model.Layer) { y.Attention.QKVBias, y.Attention.OutBias = b, b })
}

// windows applies layer_types: which layers see a window of the given width or a chunk of the
// given size. Without layer_types, fallback says it.
func (d *draft) windows(window, chunk int, fallback func(i int) string) {
	types := d.strings("layer_types")
	if d.has("layer_types") && len(types) != len(d.layers) {
		d.fail("layer_types", "%d entries for %d layers", len(types), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		kind := fallback(i)
		if types != nil {
			kind = layerType(types[i])
		}
		switch {
		case kind == fullAttention:
		case kind == slidingAttention && window > 0:
			y.Attention.Window = window
		case kind == "chunked_attention" && chunk > 0:
			y.Attention.Chunk = chunk
		default:
			d.fail("layer_types", "layer %d: %q is unknown or has no size; supported: full_attention, sliding_attention with sliding_window, chunked_attention with attention_chunk_size", i, kind)
		}
	})
}

// What layer_types calls layers with attention to all positions, to those in a window, and with a recurrence.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
	linearAttention  = "linear_attention"
)

// maxLayers bounds what a file says, so that nothing large is made of a mistake.
const maxLayers = 1 << 12

// layerType returns the name of today for one that layer_types may have.
func layerType(name string) string {
	if name == "attention" {
		return fullAttention
	}
	return name
}

// endsAt limits the context to what a key says, because the model computes otherwise beyond it.
func (d *draft) endsAt(key, beyond string) {
	n := d.size(key, 0)
	d.spec.ContextLimit, d.spec.MaxPositions = n, min(n, d.spec.MaxPositions)
	d.note("contexts end at %d tokens (%s): beyond, %s, which is not computed here", n, key, beyond)
}

// denseOrSparse gives an MLP to the layers that mlp_layer_types calls sparse; without it, to those from the given one on.
func (d *draft) denseOrSparse(m model.MLP, from int) {
	kinds := d.strings("mlp_layer_types")
	if d.has("mlp_layer_types") && len(kinds) != len(d.layers) {
		d.fail("mlp_layer_types", "%d entries for %d layers", len(kinds), len(d.layers))
		return
	}
	d.each(func(i int, y *model.Layer) {
		switch {
		case kinds == nil && i >= from, kinds != nil && kinds[i] == "sparse":
			y.MLP = m
		case kinds != nil && kinds[i] != "dense":
			d.fail("mlp_layer_types", "layer %d: %q is unknown; supported: dense, sparse", i, kinds[i])
		}
	})
}

// slidingWindow reads the width of the window, 0 if there is none.
func (d *draft) slidingWindow() int {
	if !d.has("sliding_window") {
		return 0
	}
	return d.size("sliding_window", 0)
}

// everywhere is a fallback for windows: all layers alike.
func everywhere(window int) func(int) string {
	if window > 0 {
		return func(int) string { return slidingAttention }
	}
	return func(int) string { return fullAttention }
}

// finish gathers equal layers into kinds.
func (d *draft) finish() {
	index := map[model.Layer]int{}
	for _, y := range d.layers {
		k, ok := index[y]
		if !ok {
			k = len(d.spec.Kinds)
			index[y] = k
			d.spec.Kinds = append(d.spec.Kinds, y)
		}
		d.spec.Layers = append(d.spec.Layers, k)
	}
}
