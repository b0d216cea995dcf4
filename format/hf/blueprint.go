package hf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// blueprint says how a checkpoint stores the tensors of a Spec: which stored tensors there are, and
// which rows of which logical tensor go where.
type blueprint struct {
	config  *config
	tensors []model.Tensor // logical ones
	stored  []*target
	byName  map[string]*target
}

// target is a tensor to be stored.
type target struct {
	name   string
	shape  []int
	dtype  string
	pieces []piece
}

// piece is a logical tensor, or one expert of it, in a target.
type piece struct {
	tensor int // index of the logical tensor
	expert int // −1: all of them
	place  bound
}

// newBlueprint derives the layout from a configuration. Tensors have the names that transformers gives
// them.
func newBlueprint(data []byte) (*blueprint, error) {
	c, err := parseConfig(data)
	if err != nil {
		return nil, err
	}
	l := &blueprint{config: c, tensors: c.spec.Tensors(), byName: map[string]*target{}}
	b := &binder{family: c.family, spec: c.spec, shapes: map[roleAt][]int{}, prefix: c.family.prefixes[0], adjustments: c.adjustments}
	for _, t := range l.tensors {
		b.shapes[roleAt{t.Role, t.Layer}] = t.Shape
	}
	for i := range l.tensors {
		t := &l.tensors[i]
		s := b.source(t.Role, t.Layer)
		if s.name == "" {
			return nil, fmt.Errorf("the family has no name for tensor %s of layer %d", t.Role, t.Layer)
		}
		d := b.layout(s, t)
		shape := d.storedShape(t)
		if !strings.Contains(s.name, "{e}") {
			l.add(b.name(s, t.Layer, ""), shape, piece{i, -1, d})
			continue
		}
		for e := range d.experts {
			l.add(b.name(s, t.Layer, strconv.Itoa(e)), shape[1:], piece{i, e, d})
		}
	}
	return l, nil
}

func (l *blueprint) add(name string, shape []int, p piece) {
	t := l.byName[name]
	if t == nil {
		t = &target{name: name, shape: shape}
		l.byName[name] = t
		l.stored = append(l.stored, t)
	}
	t.pieces = append(t.pieces, p)
}

// elements reports how many elements the target has.
func (t *target) elements() int64 {
	n := int64(1)
	for _, d := range t.shape {
		n *= int64(d)
	}
	return n
}

// plainConfig returns a config.json for weights of the given torch type: of a multimodal model that of
// the language model in it, and nothing of how weights were quantized.
func plainConfig(data []byte, dtype string) ([]byte, error) {
	list, err := members(data)
	if err != nil {
		return nil, err
	}
	top, err := parseObject("", data)
	if err != nil {
		return nil, err
	}
	family, err := (&config{top: top}).familyName()
	if err != nil {
		return nil, err
	}
	c := configText{list}
	c.set("model_type", strconv.Quote(family)) // the oldest files lack it
	if h := families[family].holds; h != nil {
		if c, family, err = c.languageModel(h); err != nil {
			return nil, err
		}
	}
	if other := families[family].alone; other != nil {
		c.call(family, other)
	}
	for _, key := range quantizationKeys {
		c.remove(key)
	}
	for _, key := range []string{"torch_dtype", "dtype"} {
		if c.get(key) != nil {
			c.set(key, strconv.Quote(dtype))
		}
	}
	return c.marshal()
}

// configText are the members of a configuration in their order.
type configText struct{ list []member }

func (c *configText) index(key string) int {
	return slices.IndexFunc(c.list, func(m member) bool { return m.name == key })
}

// get returns a value, nil if there is none.
func (c *configText) get(key string) jsontext.Value {
	if i := c.index(key); i >= 0 {
		return c.list[i].value
	}
	return nil
}

func (c *configText) set(key, value string) {
	if i := c.index(key); i >= 0 {
		c.list[i].value = jsontext.Value(value)
		return
	}
	c.list = append(c.list, member{key, jsontext.Value(value)})
}

func (c *configText) remove(key string) {
	c.list = slices.DeleteFunc(c.list, func(m member) bool { return m.name == key })
}

// languageModel returns the text_config as a configuration by itself, and its family.
func (c *configText) languageModel(h *held) (configText, string, error) {
	whole, err := c.marshal()
	if err != nil {
		return configText{}, "", err
	}
	top, err := parseObject("", whole)
	if err != nil {
		return configText{}, "", err
	}
	all := &config{top: top, family: &family{holds: h}}
	name, err := all.nest()
	if err != nil {
		return configText{}, "", err
	}
	text := *c // flat
	if inner := c.get("text_config"); inner != nil {
		if text.list, err = members(inner); err != nil {
			return configText{}, "", err
		}
	}
	text.remove("vision_config")
	text.set("model_type", strconv.Quote(name))
	text.set("architectures", "["+strconv.Quote(families[name].class)+"]")
	if h.ties != innerTies {
		text.set("tie_word_embeddings", string(all.text.values["tie_word_embeddings"]))
	}
	for _, key := range []string{"bos_token_id", "eos_token_id", "pad_token_id", "torch_dtype", "dtype", "transformers_version"} {
		if v := c.get(key); v != nil && text.get(key) == nil {
			text.set(key, string(v))
		}
	}
	return text, name, nil
}

// call makes the configuration of a family one of another family that computes the same. What absent keys mean is
// written out.
func (c *configText) call(name string, other *alone) {
	for _, key := range slices.Sorted(maps.Keys(parsedDefaults[name])) {
		if c.get(key) == nil {
			c.set(key, string(parsedDefaults[name][key]))
		}
	}
	c.set("model_type", strconv.Quote(other.modelType))
	c.set("architectures", "["+strconv.Quote(families[other.modelType].class)+"]")
	for _, key := range slices.Sorted(maps.Keys(other.keys)) {
		c.set(key, other.keys[key])
	}
}

func (c *configText) marshal() ([]byte, error) {
	out, err := joined(c.list)
	if err != nil {
		return nil, err
	}
	if err := out.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}
