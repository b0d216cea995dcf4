package hf

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// standardTokens are the names that every tokenizer of transformers may have a token for. Others are a model's own.
var standardTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// readNames fills c.special with what transformers' tokenizer would have, and gives ids to what needs them: the defaults
// of its class, tokenizer_config.json, and, where that one has no added_tokens_decoder, special_tokens_map.json.
func (c *Checkpoint) readNames(settings *object) {
	vocab := readSpelling(c)
	if len(c.vocab.roles) > 0 {
		c.special = c.vocab.roles
		c.nameTokens(vocab.ids(c.special, "bos_token", "eos_token", "pad_token"))
		return
	}
	names := maps.Clone(classTokens[c.tokenizerClass(settings, vocab)])
	var legacy *object
	if settings == nil || settings.value("added_tokens_decoder") == nil {
		legacy = c.settings(specialTokensMap)
	}
	if names == nil && settings == nil && legacy == nil {
		return
	}
	if names == nil {
		names = map[string]string{}
	}
	if settings == nil {
		settings = &object{read: map[string]bool{}}
	}
	c.nameStandard(names, tokenizerConfig, settings)
	if legacy != nil {
		c.nameStandard(names, specialTokensMap, legacy)
		for key, v := range legacy.values { // the file's are put into those of the settings
			if v.Kind() != 'n' {
				settings = settings.with(key, v)
			}
		}
	}
	if _, said := settings.values["pad_token"]; !said && names["pad_token"] == "" && vocab.pad != "" {
		names["pad_token"] = vocab.pad
	}
	maps.Copy(names, c.ownTokens(settings))
	c.special = names
	c.nameTokens(vocab.ids(names, "bos_token", "eos_token", "pad_token"))
}

// nameStandard reads the standard tokens of a file. One that is null there is none.
func (c *Checkpoint) nameStandard(names map[string]string, file string, o *object) {
	for _, key := range standardTokens {
		v, said := o.values[key]
		if !said {
			continue
		}
		text, ok := tokenText(v)
		switch {
		case v.Kind() == 'n':
			delete(names, key)
		case ok:
			names[key] = text
		default:
			c.note(fmt.Sprintf("%s: %s: want a text, have %s: it is left out", file, key, short(v)))
		}
	}
}

// ownTokens returns the tokens that a model has names of its own for: members that end in _token, members of
// extra_special_tokens if it is an object, and model_specific_special_tokens.
func (c *Checkpoint) ownTokens(settings *object) map[string]string {
	found, objects := map[string]string{}, map[string]string{}
	for key, v := range settings.values {
		if !strings.HasSuffix(key, "_token") || slices.Contains(standardTokens, key) {
			continue
		}
		if text, ok := tokenText(v); ok && v.Kind() == '"' {
			found[key] = text
		} else if ok {
			objects[key] = text
		}
	}
	maps.Copy(found, tokenTexts(settings.value("extra_special_tokens")))
	if len(found) == 0 {
		found = tokenTexts(settings.value("model_specific_special_tokens"))
	}
	maps.Copy(objects, found)
	return objects
}

// tokenTexts reads the tokens of an object; what is none has none.
func tokenTexts(v jsontext.Value) map[string]string {
	texts := map[string]string{}
	if v.Kind() != '{' {
		return texts
	}
	list, err := members(v)
	if err != nil {
		return texts
	}
	for _, m := range list {
		if text, ok := tokenText(m.value); ok {
			texts[m.name] = text
		}
	}
	return texts
}

// tokenText reads a token: a string, or an object that has it as content.
func tokenText(v jsontext.Value) (string, bool) {
	var text string
	switch v.Kind() {
	case '"':
		return text, json.Unmarshal(v, &text) == nil
	case '{':
		var token struct {
			Content *string `json:"content"`
		}
		if json.Unmarshal(v, &token) == nil && token.Content != nil {
			return *token.Content, true
		}
	}
	return "", false
}

// spelling is what a tokenizer.json says of the tokens that have names.
type spelling struct {
	text      []byte
	added     map[string]int // ids by content
	pad       string         // what padding is made of
	byteLevel bool
}

// readSpelling reads the head of the tokenizer.json. What it cannot read is not there: whoever reads all of
// the file tells of it.
func readSpelling(c *Checkpoint) spelling {
	text, _, err := c.Tokenizer()
	s := spelling{text: text, added: map[string]int{}, byteLevel: bytes.Contains(text, []byte(`"ByteLevel"`))}
	if err != nil {
		return s
	}
	walkMembers(jsontext.NewDecoder(bytes.NewReader(text)), func(name string, d *jsontext.Decoder) bool {
		switch name {
		case "added_tokens":
			var list []struct {
				ID      int    `json:"id"`
				Content string `json:"content"`
			}
			if json.UnmarshalDecode(d, &list) != nil {
				return false
			}
			for _, t := range list {
				s.added[t.Content] = t.ID
			}
		case "padding":
			var padding struct {
				Token string `json:"pad_token"`
			}
			if json.UnmarshalDecode(d, &padding) != nil {
				return false
			}
			s.pad = padding.Token
		case "model":
			return false // it is long, and most often not needed
		default:
			return d.SkipValue() == nil
		}
		return true
	})
	return s
}

// ids returns the ids of the tokens that have the given names.
func (s *spelling) ids(names map[string]string, of ...string) map[string]int {
	ids, missing := map[string]int{}, map[string]bool{}
	for _, name := range of {
		if text, ok := names[name]; ok {
			if id, ok := s.added[text]; ok {
				ids[name] = id
			} else {
				missing[text] = true
			}
		}
	}
	if len(missing) == 0 {
		return ids
	}
	found := s.inVocabulary(missing)
	for _, name := range of {
		if id, ok := found[names[name]]; ok {
			ids[name] = id
		}
	}
	return ids
}

// inVocabulary looks tokens up in the model's vocabulary: an object of ids, or an array of tokens and their scores.
func (s *spelling) inVocabulary(wanted map[string]bool) map[string]int {
	found := map[string]int{}
	walkMembers(jsontext.NewDecoder(bytes.NewReader(s.text)), func(name string, d *jsontext.Decoder) bool {
		if name != "model" {
			return d.SkipValue() == nil
		}
		walkMembers(d, func(name string, d *jsontext.Decoder) bool {
			switch {
			case name != "vocab":
				return d.SkipValue() == nil
			case d.PeekKind() == '[':
				return lookUpList(d, wanted, found)
			}
			return walkMembers(d, func(token string, d *jsontext.Decoder) bool {
				if !wanted[token] {
					return d.SkipValue() == nil
				}
				var id int
				err := json.UnmarshalDecode(d, &id)
				found[token] = id
				return err == nil
			})
		})
		return false
	})
	return found
}

// lookUpList looks tokens up in an array of pairs.
func lookUpList(d *jsontext.Decoder, wanted map[string]bool, found map[string]int) bool {
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	for id := 0; d.PeekKind() == '['; id++ {
		var entry []any
		if json.UnmarshalDecode(d, &entry) != nil {
			return false
		}
		if len(entry) > 0 {
			if token, ok := entry[0].(string); ok && wanted[token] {
				found[token] = id
			}
		}
	}
	return true
}

// walkMembers calls each for the members of an object, as long as it says so; it reads the value. walkMembers
// reports whether it came to the object's end.
func walkMembers(d *jsontext.Decoder, each func(name string, d *jsontext.Decoder) bool) bool {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil || !each(name.String(), d) {
			return false
		}
	}
	_, err := d.ReadToken()
	return err == nil
}
