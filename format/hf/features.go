package hf

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// checkFeatures reads what transformers reads of every model, whatever its family, and refuses what
// cannot be computed. The family has been read.
func (c *config) checkFeatures() {
	o := c.text
	if v, ok := o.values["is_causal"]; ok && trivial(v) { // null too: transformers asks whether it is true
		o.fail("is_causal", "only causal attention is supported")
	}
	o.ignore("is_causal")
	for _, f := range unsupported {
		if o.read[f.key] {
			continue
		}
		if v := o.value(f.key); v != nil && !trivial(v) {
			o.fail(f.key, "%s not supported", f.what)
		}
	}
	if name := o.string("transformers_weights", "model.safetensors"); !strings.HasPrefix(name, "model.safetensors") {
		o.fail("transformers_weights", "weights in %q are not found; rename the file to model.safetensors, and delete this key", name)
	}
	c.checkModelInside()
	c.checkLayerTypes()
	c.checkHead()
	c.noteClass()
	c.noteWindows()
	c.noteCode()
	if n := o.value("num_nextn_predict_layers"); n != nil && !trivial(n) {
		o.note("layers that predict further tokens (num_nextn_predict_layers %s) are left out", n)
	}
}

// unsupported are the switches of features that no family here has, unless it reads the key itself.
var unsupported = []struct{ key, what string }{
	{"is_encoder_decoder", "models with an encoder are"},
	{"per_layer_config", "configurations for single layers are"},
	{"kv_sharing_modes", "layers that share keys and values are"},
}

// checkModelInside refuses a model inside a language model.
func (c *config) checkModelInside() {
	for _, key := range []string{"text_config", "decoder", "generator", "text_encoder"} {
		if v := c.text.value(key); v.Kind() == '{' {
			c.text.fail(key, "this family has no model inside the model")
		}
	}
}

// languageModel says which key holds the configuration of a language model, and what model_type that has; "" if none does.
func (o *object) languageModel() string {
	for _, key := range []string{"text_config", "llm_config", "language_config", "thinker_config"} {
		if v := o.value(key); v.Kind() == '{' {
			kind, err := strconv.Unquote(string(o.mapping(key)["model_type"]))
			if err != nil {
				return key
			}
			return key + ": " + kind
		}
	}
	return ""
}

// checkLayerTypes refuses layers that attend to less than everything before them, where the family
// does not read layer_types: there transformers asks the key when it builds the cache.
func (c *config) checkLayerTypes() {
	o := c.text
	if o.read["layer_types"] {
		return
	}
	types := o.strings("layer_types")
	if o.has("layer_types") && len(types) != len(c.spec.Layers) {
		o.fail("layer_types", "%d entries for %d layers", len(types), len(c.spec.Layers))
	}
	for i, t := range types {
		if layerType(t) != fullAttention {
			o.fail("layer_types", "layer %d: this family has only layers of full attention, not of %q", i, t)
			return
		}
	}
}

// classes returns the names under architectures.
func (o *object) classes() []string {
	if v := o.value("architectures"); v.Kind() != '[' {
		return nil
	}
	return o.strings("architectures")
}

// headless reports whether a class makes something else of the last layer than logits of the next token,
// or needs what another model computes.
func headless(class string) bool {
	if strings.Contains(class, "Eagle") || strings.Contains(class, "Medusa") {
		return true
	}
	if strings.HasSuffix(class, "HeadModel") || strings.HasSuffix(class, "HeadsModel") { // GPT-2's
		return false
	}
	for _, end := range []string{"Model", "Classification", "QuestionAnswering", "MultipleChoice", "FeatureExtraction"} {
		if strings.HasSuffix(class, end) {
			return true
		}
	}
	return false
}

// checkHead refuses a model that was saved without the matrix that makes logits.
func (c *config) checkHead() {
	classes := c.top.classes()
	if len(classes) == 0 || slices.ContainsFunc(classes, func(s string) bool { return s == c.family.class || !headless(s) }) {
		return
	}
	if c.spec.TiedHead {
		c.top.note("%s has a head of another kind, which is left out; the embedding makes the logits", classes[0])
		return
	}
	c.top.fail("architectures", "%s makes no logits of the next token by itself, and there is no tied embedding (tie_word_embeddings) to make them with; if the checkpoint has lm_head.weight, write %s here",
		classes[0], c.family.class)
}

// noteClass says what a model is read as whose class is another than the family's.
func (c *config) noteClass() {
	classes := c.top.classes()
	for _, class := range classes {
		if class == c.family.class || headless(class) || strings.HasPrefix(class, "GPT2") {
			return
		}
	}
	if len(classes) > 0 {
		c.top.note("architectures names %s; the model is read as %s, which its model_type says", classes[0], c.family.class)
	}
}

// noteWindows says that a window is not applied that the family's code in transformers does not know.
func (c *config) noteWindows() {
	for _, key := range []string{"sliding_window", "attention_chunk_size"} {
		var n float64
		if v := c.text.values[key]; c.text.read[key] || v == nil || json.Unmarshal(v, &n) != nil {
			continue
		}
		if n > 0 && n < float64(c.spec.MaxPositions) {
			c.text.note("%s %g is not applied: models of this family have no windows", key, n)
		}
	}
}

// noteCode names the code that a checkpoint brings along.
func (c *config) noteCode() {
	var names []string
	for _, v := range c.top.mapping("auto_map") {
		if v.Kind() == '"' {
			names = append(names, strings.Trim(string(v), `"`))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		c.top.note("the code of its own that the checkpoint names (auto_map: %s) is not run; the model is read as transformers reads the family", strings.Join(slices.Compact(names), ", "))
	}
}

// mapping returns the members of an object that need not be one.
func (o *object) mapping(key string) map[string]jsontext.Value {
	v := o.value(key)
	if v.Kind() != '{' {
		return nil
	}
	list, err := members(v)
	if err != nil {
		o.fail(key, "%v", err)
	}
	m := map[string]jsontext.Value{}
	for _, x := range list {
		m[x.name] = x.value
	}
	return m
}
