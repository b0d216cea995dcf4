package hf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Config is the content of a config.json.
type Config struct {
	Spec *model.Spec
	// Quantization is the quant_method of the weights; empty: they are not quantized.
	Quantization string
	// Notes say what was left out, and where the file contradicts itself.
	Notes []string
	// Ignored are the keys that were not read: nothing that the model computes depends on them.
	Ignored []string
}

// ReadConfig reads a config.json, of old and of new key style.
//
// A key that transformers' code of the family reads is understood, or refused by name unless its
// value changes nothing. All other keys are ignored.
func ReadConfig(data []byte) (*Config, error) {
	c, err := parseConfig(data)
	if err != nil {
		return nil, err
	}
	out := &Config{Spec: c.spec, Notes: c.notes, Ignored: c.ignored}
	if c.quant != nil {
		out.Quantization = c.quant.method
	}
	return out, nil
}

// ParseConfig reads a config.json into a Spec.
func ParseConfig(data []byte) (*model.Spec, error) {
	c, err := ReadConfig(data)
	if err != nil {
		return nil, err
	}
	return c.Spec, nil
}

// config is what a config.json says: the model, and the family that knows its tensors.
type config struct {
	spec   *model.Spec
	family *family
	top    *object       // the whole file
	text   *object       // the language model in it: top itself, or its text_config
	quant  *quantization // how weights were quantized, nil: not at all
	adjustments
	notes   []string
	ignored []string // keys that were not read
}

// adjustments are what is done to stored weights before a model computes with them.
type adjustments struct {
	unitHead    bool                   // the rows of the head are divided by their lengths
	unitColumns bool                   // its columns are
	factors     map[model.Role]float32 // what tensors are multiplied by; 1 of those that are not listed
}

func parseConfig(data []byte) (*config, error) {
	top, err := parseDocument(data)
	if err != nil {
		return nil, err
	}
	c := &config{top: top, text: top}
	name, err := c.familyName()
	if err != nil {
		return nil, err
	}
	if err := c.read(name); err != nil {
		return nil, fmt.Errorf("model_type %q: %w", name, err)
	}
	c.notes = append(c.notes, top.allNotes()...)
	c.ignored = top.unread()
	return c, nil
}

// familyName returns the key of families: model_type or, if that is missing, as in the oldest files,
// the family whose class architectures names.
func (c *config) familyName() (string, error) {
	name := c.top.string("model_type", "")
	if err := c.top.firstError(); err != nil {
		return "", err
	}
	if _, ok := families[name]; ok {
		return name, nil
	}
	supported := strings.Join(slices.Sorted(maps.Keys(families)), ", ")
	if what := otherModel(name); what != "" {
		return "", fmt.Errorf("model_type %q is %s; want a decoder-only language model", name, what)
	}
	if part := missingPart(name); part != "" {
		return "", fmt.Errorf("model_type %q is not supported: it needs %s, which llama-webgpu does not compute; supported: %s", name, part, supported)
	}
	if inner := c.top.languageModel(); name != "" && inner != "" {
		return "", fmt.Errorf("model_type %q is not supported: it wraps a language model (%s) in a way that is not known here; supported: %s", name, inner, supported)
	}
	if name != "" {
		return "", fmt.Errorf("unsupported model_type %q; supported: %s", name, supported)
	}
	for _, class := range c.top.classes() {
		for name, f := range families {
			if f.class == class && !f.borrows {
				c.top.note("model_type is missing; %s makes it %q", class, name)
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("model_type is missing: this is no config.json of transformers; supported: %s", supported)
}

// read fills in what c says of a model of the family called name.
func (c *config) read(name string) error {
	c.family = families[name]
	inner := name
	if c.family.holds != nil {
		var err error
		if inner, err = c.nest(); err != nil {
			return err
		}
	}
	if err := c.readQuantization(); err != nil {
		return err
	}
	c.text.defaults = parsedDefaults[inner]
	for _, key := range slices.Sorted(maps.Keys(c.family.aliases)) {
		c.text.alias(key, c.family.aliases[key])
	}
	d, err := readDraft(name, c.family, c.text)
	if err != nil {
		return err
	}
	c.spec, c.adjustments = d.spec, d.adjustments
	c.checkFeatures()
	if c.family.remote {
		c.refuseUnknown()
	}
	return cmp.Or(c.top.firstError(), c.spec.Validate())
}

// nest enters the text_config of a multimodal model, and returns the key of families that its language model has.
func (c *config) nest() (string, error) {
	outer := c.family
	c.text = c.top.object("text_config")
	if c.text == nil && outer.holds.flat {
		c.text = c.top
	}
	if c.text == nil {
		return "", cmp.Or(c.top.firstError(), errors.New("text_config is missing"))
	}
	name, err := outer.holds.family(c.text)
	if err != nil {
		return "", err
	}
	c.family = outer.around(families[name])
	c.text.ignore("model_type")
	c.tie(outer.holds)
	if c.top.has("vision_config") {
		c.notes = append(c.notes, "the vision part of the model is left out")
	}
	return name, nil
}

// family returns the family of the language model that a text_config describes.
func (h *held) family(text *object) (string, error) {
	name := text.string("model_type", h.families[0])
	switch {
	case slices.Contains(h.families, name):
		return name, nil
	case len(h.families) == 1:
		return h.families[0], nil
	}
	return "", fmt.Errorf("key %q: a language model of type %q is not supported here; supported: %s", text.path+"model_type", name, strings.Join(h.families, ", "))
}

// around returns the family of a language model as this one holds it.
func (f *family) around(inner *family) *family {
	both := *inner
	both.class, both.prefixes, both.holds = f.class, textPrefix, f.holds
	if f.read != nil {
		both.read = func(d *draft) {
			inner.read(d)
			f.read(d)
		}
	}
	return &both
}

// tie gives text_config the tie_word_embeddings that counts.
func (c *config) tie(h *held) {
	const key = "tie_word_embeddings"
	inner := c.text.bool(key, false)
	outer := c.top.bool(key, h.tied)
	switch {
	case h.ties == outerTies:
		c.text.values[key] = truth(outer)
	case h.ties == eitherTies:
		c.text.values[key] = truth(outer || inner)
	}
}

func truth(b bool) jsontext.Value {
	if b {
		return jsontext.Value("true")
	}
	return jsontext.Value("false")
}

// quantizationKeys are the keys that say how weights were quantized: MLX's has the name that it is
// written with, and usually the usual one as well.
var quantizationKeys = []string{"quantization_config", "compression_config", "quantization"}

// readQuantization reads the quantization_config of the model, or of the language model in it.
func (c *config) readQuantization() error {
	c.top.ignore(quantizationKeys...)
	c.text.ignore(quantizationKeys...)
	for _, o := range []*object{c.top, c.text} {
		for _, key := range quantizationKeys {
			q, method := o.object(key), ""
			if err := o.firstError(); err != nil {
				return err
			}
			if q == nil {
				continue
			}
			if key == "compression_config" {
				method = methodCompressed // the only one that calls it so
			}
			var err error
			c.quant, err = readQuantization(q, strings.TrimSuffix(q.path, "."), method)
			return err
		}
	}
	return nil
}

// readDraft lets the family read its keys.
func readDraft(name string, f *family, o *object) (*draft, error) {
	d := newDraft(name, o)
	if err := o.firstError(); err != nil {
		return nil, err
	}
	f.read(d)
	if err := o.firstError(); err != nil {
		return nil, err
	}
	d.finish()
	return d, nil
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
