package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
)

// NoToken stands for a special token that a model has not.
const NoToken = -1

// Tokens are the ids of special tokens.
type Tokens struct {
	BOS int // put before a text; NoToken: none
	EOS []int
	Pad int // NoToken: none
}

// Tokens returns the ids of special tokens, as generation_config.json says or else config.json.
func (c *Checkpoint) Tokens() Tokens { return c.tokens }

// ChatTemplate returns the text of the chat template, in Jinja; empty if there is none.
func (c *Checkpoint) ChatTemplate() string { return c.template }

// readTokens reads token ids and chat template from the small files beside the weights.
func (c *Checkpoint) readTokens(dir string) error {
	sources := []*object{c.config.text, c.config.top}
	generation, err := c.optionalObject(filepath.Join(dir, "generation_config.json"))
	if err != nil {
		return err
	}
	if generation != nil {
		sources = append(sources, generation)
	}
	c.tokens = Tokens{BOS: NoToken, Pad: NoToken}
	for _, o := range sources {
		if ids := c.tokenIDs(o, "bos_token_id"); len(ids) > 0 {
			c.tokens.BOS = ids[0]
		}
		if ids := c.tokenIDs(o, "eos_token_id"); len(ids) > 0 {
			c.tokens.EOS = ids
		}
		if ids := c.tokenIDs(o, "pad_token_id"); len(ids) > 0 {
			c.tokens.Pad = ids[0]
		}
		if err := o.firstError(); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return c.readTemplate(dir)
}

// tokenIDs reads a number or an array of numbers. Old files write −1, or the size of the
// vocabulary, for a token that is not there.
func (c *Checkpoint) tokenIDs(o *object, key string) []int {
	v := o.value(key)
	if v == nil {
		return nil
	}
	ids := []int{0}
	if v.Kind() == '[' {
		ids, _ = o.ints(key)
	} else {
		ids[0] = o.int(key, 0)
	}
	var valid []int
	for _, id := range ids {
		switch {
		case id < 0:
		case id >= c.config.spec.Vocab:
			c.note(fmt.Sprintf("%s %d is not in the vocabulary of %d and is left out", key, id, c.config.spec.Vocab))
		default:
			valid = append(valid, id)
		}
	}
	return valid
}

func (c *Checkpoint) note(text string) {
	for _, n := range c.notes {
		if n == text {
			return
		}
	}
	c.notes = append(c.notes, text)
}

// readTemplate takes chat_template.jinja, else the chat_template of tokenizer_config.json, which
// may be a list of named ones.
func (c *Checkpoint) readTemplate(dir string) error {
	text, err := c.optionalFile(filepath.Join(dir, "chat_template.jinja"))
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "tokenizer_config.json")
	o, err := c.optionalObject(path)
	if err != nil {
		return err
	}
	if text != nil {
		c.template = string(text)
		return nil
	}
	if o == nil {
		return nil
	}
	if v := o.value("chat_template"); v.Kind() != '[' {
		c.template = o.string("chat_template", "")
	} else if err := c.namedTemplate(v); err != nil {
		o.fail("chat_template", "%v", err)
	}
	if err := o.firstError(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// namedTemplate takes the template named default, or the only one.
func (c *Checkpoint) namedTemplate(v []byte) error {
	var list []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(v, &list); err != nil {
		return err
	}
	var others []string
	for _, t := range list {
		if t.Name == "default" || len(list) == 1 {
			c.template = t.Template
		} else {
			others = append(others, t.Name)
		}
	}
	if others != nil {
		c.note("chat templates left out: " + strings.Join(others, ", "))
	}
	return nil
}

// optionalFile reads a file, nil if it is not there.
func (c *Checkpoint) optionalFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, File{path, int64(len(data))})
	return data, nil
}

// optionalObject reads a file that says something about the tokens; nil if it is not there. One that
// is broken is left out, with a note: the weights are none the worse for it.
func (c *Checkpoint) optionalObject(path string) (*object, error) {
	data, err := c.optionalFile(path)
	if data == nil || err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	o, err := parseDocument(data)
	if err != nil {
		c.note(fmt.Sprintf("%s cannot be read and is left out: %v", name, err))
		return nil, nil
	}
	for _, n := range o.notes {
		c.note(name + ": " + n)
	}
	return o, nil
}
