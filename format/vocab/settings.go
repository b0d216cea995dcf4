package vocab

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The small files beside a vocabulary.
const (
	configName  = "tokenizer_config.json"
	specialName = "special_tokens_map.json"
	addedName   = "added_tokens.json"
)

// roles are the names of special tokens that every tokenizer may have, in the order in which they are added.
var roles = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// settings are what the small files say.
type settings struct {
	class    string                    // of the tokenizer, without Fast; "" if it is not said
	foreign  bool                      // the class is code of the checkpoint
	values   map[string]jsontext.Value // what else tokenizer_config.json has
	named    map[string]*token         // by role; nil for one that is said to be absent
	order    []string                  // roles beside the usual ones
	extra    []token
	hasExtra bool    // the list is said
	mapped   []token // the list in special_tokens_map.json, which pieces of SentencePiece take the place of
	placed   []placed
	roles    map[string]string // the texts of the tokens that finish has found roles for
}

// token is a token that is to be added.
type token struct {
	Added
	plain bool // only its text was given
}

// placed is a token with the id that a file says.
type placed struct {
	id int
	token
}

// plain is a special token of which only the text is known.
func plain(text string) token {
	return token{Added{Content: text, Special: true}, true}
}

// readSettings reads the small files.
func readSettings(src *Source) (*settings, error) {
	s := &settings{values: map[string]jsontext.Value{}, named: map[string]*token{}}
	err := src.object(configName, s.configured)
	if s.placed == nil && err == nil {
		if err = src.object(specialName, s.specialMap); err == nil {
			err = src.object(addedName, s.addedMap)
		}
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(s.placed, func(a, b placed) int { return cmp.Compare(a.id, b.id) })
	for role, t := range s.named {
		for _, p := range s.placed {
			if t != nil && p.Content == t.Content {
				s.named[role] = &p.token
			}
		}
	}
	return s, nil
}

// object calls do with each member of a file, if it is there.
func (src *Source) object(name string, do func(key string, v jsontext.Value) error) error {
	data, err := src.optional(name)
	if data == nil || err != nil {
		return err
	}
	if err := members(data, do); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// members calls do with each member of an object.
func members(data []byte, do func(key string, v jsontext.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return cmp.Or(err, fmt.Errorf("want an object"))
	}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		key := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := do(key, v.Clone()); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// configured takes a member of tokenizer_config.json.
func (s *settings) configured(key string, v jsontext.Value) error {
	switch {
	case key == "tokenizer_class" && v.Kind() == '"':
		s.class = strings.TrimSuffix(textOf(v), "Fast")
	case key == "auto_map":
		s.foreign = v.Kind() == '[' || bytes.Contains(v, []byte(`"AutoTokenizer"`))
	case key == "added_tokens_decoder":
		s.placed = []placed{}
		return members(v, s.place)
	case key == "additional_special_tokens" && s.hasExtra && len(s.extra) > 0:
	case key == "additional_special_tokens" || key == "extra_special_tokens":
		return s.extras(v)
	case slices.Contains(roles, key) || strings.HasSuffix(key, "_token") && v.Kind() == '"':
		return s.name(key, v, false)
	}
	s.values[key] = v
	return nil
}

// specialMap takes a member of special_tokens_map.json.
func (s *settings) specialMap(key string, v jsontext.Value) error {
	switch {
	case key == "additional_special_tokens":
		list, err := parseTokens(v)
		s.mapped = list
		return err
	case key == "extra_special_tokens":
		return s.extras(v)
	case strings.HasSuffix(key, "_token"):
		return s.name(key, v, true)
	}
	return nil
}

// addedMap takes a member of added_tokens.json.
func (s *settings) addedMap(text string, v jsontext.Value) error {
	var id int
	if err := json.Unmarshal(v, &id); err != nil {
		return err
	}
	special := slices.ContainsFunc(s.extra, func(t token) bool { return t.Content == text })
	for _, t := range s.named {
		special = special || t != nil && t.Content == text
	}
	s.placed = append(s.placed, placed{id, token{Added: Added{Content: text, Normalized: !special, Special: special}}})
	return nil
}

// place takes a member of added_tokens_decoder.
func (s *settings) place(key string, v jsontext.Value) error {
	id, err := strconv.Atoi(key)
	if err != nil || id < 0 {
		return fmt.Errorf("want the number of a token")
	}
	t, err := parseToken(v, false)
	s.placed = append(s.placed, placed{id, t})
	return err
}

// name takes a token with a role. One that null stands for is not there.
func (s *settings) name(role string, v jsontext.Value, special bool) error {
	if !slices.Contains(roles, role) && !slices.Contains(s.order, role) {
		s.order = append(s.order, role)
	}
	if v.Kind() == 'n' {
		s.named[role] = nil
		return nil
	}
	t, err := parseToken(v, special)
	s.named[role] = &t
	return err
}

// extras takes a list of special tokens, or an object of tokens with roles.
func (s *settings) extras(v jsontext.Value) error {
	switch v.Kind() {
	case 'n':
		return nil
	case '{':
		return members(v, func(role string, v jsontext.Value) error { return s.name(role, v, true) })
	}
	list, err := parseTokens(v)
	s.extra, s.hasExtra = list, true
	return err
}

// parseTokens reads a list of special tokens.
func parseTokens(v jsontext.Value) (list []token, err error) {
	var all []jsontext.Value
	if err := json.Unmarshal(v, &all); err != nil {
		return nil, err
	}
	for _, v := range all {
		t, err := parseToken(v, true)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// parseToken reads a token that is given by its text, or by an object; special is what it is without being said.
func parseToken(v jsontext.Value, special bool) (token, error) {
	if v.Kind() == '"' {
		return plain(textOf(v)), nil
	}
	var o struct {
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		Lstrip     bool   `json:"lstrip"`
		Rstrip     bool   `json:"rstrip"`
		Normalized *bool  `json:"normalized"`
		Special    bool   `json:"special"`
	}
	if err := json.Unmarshal(v, &o, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return token{}, err
	}
	t := token{Added: Added{
		Content: o.Content, SingleWord: o.SingleWord, Lstrip: o.Lstrip, Rstrip: o.Rstrip, Special: o.Special || special,
	}}
	t.Normalized = !t.Special
	if o.Normalized != nil {
		t.Normalized = *o.Normalized
	}
	return t, nil
}

// textOf returns the string that a value is, "" if it is another.
func textOf(v jsontext.Value) (s string) {
	if json.Unmarshal(v, &s, jsontext.AllowInvalidUTF8(true)) != nil {
		return ""
	}
	return s
}

// bool returns a switch; null is as good as absent says.
func (s *settings) bool(key string, absent, null bool) bool {
	v, ok := s.values[key]
	switch {
	case !ok:
		return absent
	case v.Kind() == 't' || v.Kind() == 'f':
		return v.Kind() == 't'
	}
	return null
}

// has reports whether tokenizer_config.json has a member.
func (s *settings) has(key string) bool {
	_, ok := s.values[key]
	return ok
}

// token returns the token of a role, or, where nothing is said of it, the one that is given.
func (s *settings) token(role, absent string) *token {
	if t, ok := s.named[role]; ok {
		return t
	}
	if absent == "" {
		return nil
	}
	t := plain(absent)
	return &t
}

// int returns a number, or absent where there is none.
func (s *settings) int(key string, absent int) int {
	v, ok := s.values[key]
	if !ok || json.Unmarshal(v, &absent) != nil {
		return absent
	}
	return absent
}
