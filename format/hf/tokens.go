package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// NoToken stands for a special token that a model does not have.
const NoToken = -1

// Tokens are the ids of special tokens.
type Tokens struct {
	BOS int   // begins a text that has no other token; NoToken: none. The tokenizer says whether every text begins with it
	EOS []int // any of them ends a text
	Pad int   // NoToken: none
}

// Tokens returns the ids of special tokens: those of generation_config.json or else config.json, and where neither has
// one, those of the tokenizer's settings. The tokenizer's own eos_token ends a text, too. A model for which no file
// names a BOS token has none.
func (c *Checkpoint) Tokens() Tokens { return c.tokens }

// SpecialTokens returns the texts of special tokens by the names that chat templates know them by: bos_token, eos_token,
// pad_token, unk_token and others. It is nil if nothing says what they are.
func (c *Checkpoint) SpecialTokens() map[string]string { return c.special }

// Adds returns the value of add_bos_token or add_eos_token in tokenizer_config.json, and whether it
// is there.
func (c *Checkpoint) Adds(key string) (add, said bool) {
	add, said = c.adds[key]
	return add, said
}

// The small files beside the weights. A checkpoint works without them, so of one that cannot be read a note is made.
const (
	generationConfig = "generation_config.json"
	tokenizerConfig  = "tokenizer_config.json"
	specialTokensMap = "special_tokens_map.json"
)

// readTokens reads token ids, names and chat template from the small files.
func (c *Checkpoint) readTokens() {
	c.tokens = Tokens{BOS: NoToken, Pad: NoToken}
	for _, o := range []*object{c.config.text, c.config.top, c.settings(generationConfig)} {
		if o == nil {
			continue
		}
		if ids := c.tokenIDs(o, "bos_token_id"); len(ids) > 0 {
			c.tokens.BOS = ids[0]
		}
		if ids := c.tokenIDs(o, "eos_token_id"); len(ids) > 0 {
			c.tokens.EOS = ids
		}
		if ids := c.tokenIDs(o, "pad_token_id"); len(ids) > 0 {
			c.tokens.Pad = ids[0]
		}
	}
	settings := c.settings(tokenizerConfig)
	if settings != nil {
		c.adds = map[string]bool{}
		for _, key := range []string{"add_bos_token", "add_eos_token"} {
			if kind := settings.value(key).Kind(); kind == 't' || kind == 'f' {
				c.adds[key] = kind == 't'
			}
		}
	}
	c.readNames(settings)
	c.readTemplates(settings)
}

// tokenIDs reads a number or an array of numbers. Old files write −1, or the size of the
// vocabulary, for a token that is not there. What is no number is left out.
func (c *Checkpoint) tokenIDs(o *object, key string) (ids []int) {
	v := o.value(key)
	if v == nil {
		return nil
	}
	values := []jsontext.Value{v}
	if v.Kind() == '[' {
		if err := json.Unmarshal(v, &values); err != nil {
			c.note(fmt.Sprintf("%s: %v: it is left out", key, err))
			return nil
		}
	}
	for _, v := range values {
		var id float64
		switch err := json.Unmarshal(v, &id); {
		case v.Kind() != '0' || err != nil || id != float64(int(id)):
			c.note(fmt.Sprintf("%s: %s is no token id and is left out", key, short(v)))
		case id >= 0 && c.inVocabulary(key, int(id)):
			ids = append(ids, int(id))
		}
	}
	return ids
}

// inVocabulary reports whether the model has a token, and notes it if not.
func (c *Checkpoint) inVocabulary(what string, id int) bool {
	if id < c.config.spec.Vocab {
		return true
	}
	c.note(fmt.Sprintf("%s %d is not in the vocabulary of %d and is left out", what, id, c.config.spec.Vocab))
	return false
}

// nameTokens gives ids to the names that the tokenizer's settings have for special tokens.
func (c *Checkpoint) nameTokens(ids map[string]int) {
	eos, ok := ids["eos_token"]
	if ok && !slices.Contains(c.tokens.EOS, eos) && c.inVocabulary("eos_token", eos) {
		c.tokens.EOS = append(c.tokens.EOS, eos)
	}
	if bos, ok := ids["bos_token"]; ok && c.tokens.BOS == NoToken && c.inVocabulary("bos_token", bos) {
		c.tokens.BOS = bos
	}
	if _, ok := c.special["bos_token"]; !ok {
		c.tokens.BOS = NoToken
	}
	if pad, ok := ids["pad_token"]; ok && c.tokens.Pad == NoToken && c.inVocabulary("pad_token", pad) {
		c.tokens.Pad = pad
	}
}

func (c *Checkpoint) note(text string) {
	if !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}

// optionalFile reads a file beside the weights, nil if it is not there or cannot be read.
func (c *Checkpoint) optionalFile(name string) []byte {
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.unreadable(name, err)
		}
		return nil
	}
	c.files = append(c.files, File{path, int64(len(data))})
	return data
}

// settings reads a JSON object beside the weights, nil if it is not there or is none.
func (c *Checkpoint) settings(name string) *object {
	data := c.optionalFile(name)
	if data == nil {
		return nil
	}
	o, err := parseDocument(data)
	if err != nil {
		c.unreadable(name, err)
		return nil
	}
	for _, n := range o.notes {
		c.note(name + ": " + n)
	}
	return o
}

// unreadable notes that a file is left out.
func (c *Checkpoint) unreadable(name string, err error) {
	c.note(fmt.Sprintf("%s cannot be read and is left out: %v", name, err))
	if c.broken == nil {
		c.broken = map[string]bool{}
	}
	c.broken[name] = true
}

// Unreadable reports whether a file beside the weights was ignored because it cannot be read; Notes say why.
func (c *Checkpoint) Unreadable(name string) bool { return c.broken[name] }
