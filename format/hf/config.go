package hf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// inert are keys that every family may have and that do not change what the model computes.
var inert = strings.Fields(`
	model_type architectures auto_map torch_dtype dtype transformers_version use_cache
	initializer_range initializer_factor attention_dropout hidden_dropout embd_pdrop resid_pdrop
	attn_pdrop embedding_dropout residual_dropout classifier_dropout dropout pretraining_tp
	bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id decoder_start_token_id
	output_router_logits router_aux_loss_coef router_jitter_noise router_z_loss_coef
	output_attentions output_hidden_states return_dict return_dict_in_generate torchscript
	use_return_dict tf_legacy_loss use_bfloat16 chunk_size_feed_forward gradient_checkpointing
	problem_type id2label label2id num_labels finetuning_task task_specific_params
	name_or_path tokenizer_class tokenizer_name is_decoder is_encoder_decoder cache_implementation
	attn_implementation prefix max_length min_length do_sample num_beams temperature top_k top_p
	typical_p repetition_penalty length_penalty no_repeat_ngram_size diversity_penalty
	num_beam_groups num_return_sequences early_stopping encoder_no_repeat_ngram_size
	unsloth_version unsloth_fixed transformers.js_config base_model_tp_plan
`)

// ParseConfig reads a config.json, of old and of new key style, into a Spec.
func ParseConfig(data []byte) (*model.Spec, error) {
	c, err := parseConfig(data)
	if err != nil {
		return nil, err
	}
	return c.spec, nil
}

// config is what a config.json says: the model, and the family that knows its tensors.
type config struct {
	spec   *model.Spec
	family *family
	top    *object       // the whole file
	text   *object       // the language model in it: top itself, or its text_config
	quant  *quantization // how weights were quantized, nil: not at all
	notes  []string
}

func parseConfig(data []byte) (*config, error) {
	top, err := parseObject("", data)
	if err != nil {
		return nil, err
	}
	c := &config{top: top, text: top}
	name := top.string("model_type", "")
	f, ok := families[name]
	if !ok {
		return nil, unknownFamily(name, top)
	}
	c.family = f
	if f.nested {
		if err := c.nest(); err != nil {
			return nil, err
		}
	}
	if err := c.readQuantization(); err != nil {
		return nil, err
	}
	c.text.defaults = parsedDefaults[name]
	c.text.ignore(inert)
	c.text.ignore(f.inert)
	c.spec, err = readSpec(name, f, c.text)
	if err == nil {
		err = top.firstError()
	}
	if err != nil {
		return nil, fmt.Errorf("model_type %q: %w", name, err)
	}
	if unread := top.unread(); unread != nil {
		return nil, fmt.Errorf("model_type %q: keys not understood: %s", name, strings.Join(unread, ", "))
	}
	if err := c.spec.Validate(); err != nil {
		return nil, fmt.Errorf("model_type %q: %w", name, err)
	}
	return c, nil
}

// nest enters the text_config of a multimodal model.
func (c *config) nest() error {
	c.text = c.top.object("text_config")
	if c.text == nil {
		return cmp.Or(c.top.firstError(), errors.New("text_config is missing"))
	}
	if v, ok := c.top.values["tie_word_embeddings"]; ok { // the outer one decides
		c.text.values["tie_word_embeddings"] = v
	}
	c.top.ignore(inert)
	c.top.ignore(strings.Fields(`tie_word_embeddings vision_config mm_tokens_per_image image_token_index
		image_token_id boi_token_index eoi_token_index boi_token_id eoi_token_id vision_feature_layer
		vision_feature_select_strategy projector_hidden_act multimodal_projector_bias spatial_merge_size`))
	if c.top.has("vision_config") {
		c.notes = append(c.notes, "the vision part of the model is left out")
	}
	return nil
}

// readQuantization reads the quantization_config of the model, or of the language model in it.
func (c *config) readQuantization() error {
	for _, o := range []*object{c.top, c.text} {
		q := o.object("quantization_config")
		if err := o.firstError(); err != nil {
			return err
		}
		if q == nil {
			continue
		}
		var err error
		c.quant, err = readQuantization(q, strings.TrimSuffix(q.path, "."), "")
		return err
	}
	return nil
}

// unknownFamily says what is supported, and which keys a Llama would not have.
func unknownFamily(name string, top *object) error {
	top.ignore(inert)
	f := families["llama"]
	top.ignore(f.inert)
	if _, err := readSpec("llama", f, top); err != nil {
		top.err = err // only the keys matter
	}
	supported := strings.Join(slices.Sorted(maps.Keys(families)), ", ")
	err := fmt.Errorf("unsupported model_type %q; supported: %s", name, supported)
	if unread := top.unread(); unread != nil {
		err = fmt.Errorf("%w; keys that were not understood: %s", err, strings.Join(unread, ", "))
	}
	return err
}

// readSpec lets the family read its keys.
func readSpec(name string, f *family, o *object) (*model.Spec, error) {
	d := newDraft(name, o)
	if d.err != nil {
		return nil, d.err
	}
	f.read(d)
	if err := o.firstError(); err != nil {
		return nil, err
	}
	d.finish()
	return d.spec, nil
}

// draft is a Spec in the making: one Layer for each layer, not yet gathered into kinds.
type draft struct {
	*object
	spec   *model.Spec
	layers []model.Layer
}

// newDraft reads the keys that all families have, under the names that most of them use. Every
// layer is that of a Llama without RoPE.
func newDraft(name string, o *object) *draft {
	alias(o, "hidden_size", "n_embd")
	alias(o, "num_hidden_layers", "n_layer")
	alias(o, "num_attention_heads", "n_head")
	alias(o, "max_position_embeddings", "n_positions")
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
	if !o.has("head_dim") && d.spec.Hidden%heads != 0 {
		o.fail("hidden_size", "%d is no multiple of the %d attention heads", d.spec.Hidden, heads)
	}
	layer := model.Layer{
		PreNorm:       true,
		ResidualScale: 1,
		Attention: model.Attention{
			Heads:   heads,
			KVHeads: heads,
			HeadDim: o.size("head_dim", max(1, d.spec.Hidden/heads)),
			RoPE:    -1,
		},
	}
	layer.Attention.Scale = invSqrt(float64(layer.Attention.HeadDim))
	n := o.size("num_hidden_layers", 0)
	if n > 1<<12 {
		o.fail("num_hidden_layers", "%d are too many", n)
		n = 1
	}
	for range n {
		d.layers = append(d.layers, layer)
	}
	return d
}

// alias lets a key be found under the name that older families give it.
func alias(o *object, key, old string) {
	if _, ok := o.values[key]; ok {
		return
	}
	if v, ok := o.values[old]; ok {
		o.values[key] = v
		o.read[old] = true
	}
}

func invSqrt(x float64) float32 { return float32(math.Pow(x, -0.5)) }

func (d *draft) each(f func(i int, y *model.Layer)) {
	for i := range d.layers {
		f(i, &d.layers[i])
	}
}

// groupedHeads reads the number of key and value heads; without it, or if it is null, there are as
// many as query heads.
func (d *draft) groupedHeads() {
	n := d.size("num_key_value_heads", d.layers[0].Attention.Heads)
	d.each(func(_ int, y *model.Layer) { y.Attention.KVHeads = n })
}

// rms reads the usual normalization.
func (d *draft) rms() {
	d.spec.Norm = model.Norm{Kind: model.RMSNorm, Eps: d.epsilon("rms_norm_eps", 1e-6)}
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

// activations are the names that configurations give them.
var activations = map[string]model.Activation{
	"silu": model.SiLU, "swish": model.SiLU, "relu": model.ReLU,
	"gelu": model.GELU, "gelu_python": model.GELU,
	"gelu_new": model.GELUTanh, "gelu_pytorch_tanh": model.GELUTanh, "gelu_python_tanh": model.GELUTanh,
}

// activation reads the name of an activation.
func (d *draft) activation(key string) model.Activation {
	name := d.string(key, "")
	a, ok := activations[name]
	if !ok {
		d.fail(key, "unknown activation %q; supported: %s", name, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
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
			kind = types[i]
		}
		switch {
		case kind == "full_attention":
		case kind == "sliding_attention" && window > 0:
			y.Attention.Window = window
		case kind == "chunked_attention" && chunk > 0:
			y.Attention.Chunk = chunk
		default:
			d.fail("layer_types", "layer %d: %q is unknown or has no size; supported: full_attention, sliding_attention with sliding_window, chunked_attention with attention_chunk_size", i, kind)
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
		return func(int) string { return "sliding_attention" }
	}
	return func(int) string { return "full_attention" }
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

// parsedDefaults are the families' defaults, by model_type.
var parsedDefaults = func() map[string]map[string]jsontext.Value {
	all := map[string]map[string]jsontext.Value{}
	for name, f := range families {
		all[name] = map[string]jsontext.Value{}
		if f.defaults == "" {
			continue
		}
		list, err := members([]byte(f.defaults))
		if err != nil {
			panic(fmt.Sprintf("defaults of %s: %v", name, err))
		}
		for _, m := range list {
			all[name][m.name] = m.value
		}
	}
	return all
}()
