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

// Config is what a config.json says.
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
	spec    *model.Spec
	family  *family
	top     *object       // the whole file
	text    *object       // the language model in it: top itself, or its text_config
	quant   *quantization // how weights were quantized, nil: not at all
	notes   []string
	ignored []string // keys that were not read
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
	supported := strings.Join(slices.Sorted(maps.Keys(families)), ", ")
	name := c.top.string("model_type", "")
	if err := c.top.firstError(); err != nil {
		return "", err
	}
	if _, ok := families[name]; ok {
		return name, nil
	}
	if what := otherModel(name); what != "" {
		return "", fmt.Errorf("model_type %q is %s; want a decoder-only language model", name, what)
	}
	if name != "" {
		return "", fmt.Errorf("unsupported model_type %q; supported: %s", name, supported)
	}
	for _, class := range c.top.classes() {
		for name, f := range families {
			if f.class == class {
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
	if c.family.nested {
		if err := c.nest(); err != nil {
			return err
		}
	}
	if err := c.readQuantization(); err != nil {
		return err
	}
	c.text.defaults = parsedDefaults[name]
	for _, key := range slices.Sorted(maps.Keys(c.family.aliases)) {
		c.text.alias(key, c.family.aliases[key])
	}
	var err error
	if c.spec, err = readSpec(name, c.family, c.text); err != nil {
		return err
	}
	c.checkFeatures()
	return cmp.Or(c.top.firstError(), c.spec.Validate())
}

// nest enters the text_config of a multimodal model.
func (c *config) nest() error {
	c.text = c.top.object("text_config")
	if c.text == nil {
		return cmp.Or(c.top.firstError(), errors.New("text_config is missing"))
	}
	c.text.ignore("model_type")
	if key := "tie_word_embeddings"; c.family.outerTies {
		delete(c.text.values, key)
		if v := c.top.value(key); v != nil {
			c.text.values[key] = v
		}
	}
	if c.top.has("vision_config") {
		c.notes = append(c.notes, "the vision part of the model is left out")
	}
	return nil
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

// readSpec lets the family read its keys.
func readSpec(name string, f *family, o *object) (*model.Spec, error) {
	d := newDraft(name, o)
	if err := o.firstError(); err != nil {
		return nil, err
	}
	f.read(d)
	if err := o.firstError(); err != nil {
		return nil, err
	}
	d.finish()
	return d.spec, nil
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
