package tokenizer

import (
	"fmt"
	"os"
	"strings"
)

// A Tokenizer encodes and decodes. It does not change after Parse and may be used by several
// goroutines at once.
type Tokenizer struct {
	model      model
	verbatim   addedSet // tokens that are found in the original text
	normalized addedSet // tokens that are found in the normalized text
	normalize  []normalizer
	pre        []preTokenizer
	post       template
	decode     []func() decoder

	ids     map[string]int32
	tokens  []string // [VocabSize], "" if an id is not in use
	known   []bool   // [VocabSize] the id is in use
	special map[string]bool
}

// model turns one pre-token into ids, which it appends to out.
type model interface {
	tokenize(word string, s *scratch, out []int32) []int32
	cut(word string) int // bytes at the start of a word that have the same ids with and without the rest
	vocabulary() map[string]int32
}

// Load reads a tokenizer.json from a file.
func Load(path string) (*Tokenizer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Token returns the token with this id as it is in the vocabulary: "Ġthe", not " the".
func (t *Tokenizer) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.tokens) || !t.known[id] {
		return "", false
	}
	return t.tokens[id], true
}

// ID returns the id of a token as it is in the vocabulary.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// VocabSize is one more than the highest id, added tokens included.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// Special reports whether the id is of an added token marked special, which Decode can leave
// out.
func (t *Tokenizer) Special(id int32) bool {
	token, ok := t.Token(id)
	return ok && t.special[token]
}

// Begin returns the id that Encode puts before every text when it adds special tokens, the first of several; −1 if there
// is none.
func (t *Tokenizer) Begin() int32 {
	if len(t.post.before) == 0 {
		return notToken
	}
	return t.post.before[0]
}

// Around returns the ids that Encode puts before and after a text when it adds special tokens.
func (t *Tokenizer) Around() (before, after []int32) { return t.post.before, t.post.after }

// Encode returns the ids of a text. With addSpecial the post-processor adds its tokens, most
// often one for the beginning. Added tokens in the text are recognized, including
// special ones: use EncodeOrdinary for untrusted text.
// Bytes that are not UTF-8 count as U+FFFD, one for each maximal part of a character.
//
// The error says which regular expression of the tokenizer takes too much work on this text: Parse refuses those that
// it finds to backtrack without end, but it cannot find all of them.
func (t *Tokenizer) Encode(text string, addSpecial bool) ([]int32, error) {
	if !addSpecial {
		return t.encode(text, true, nil)
	}
	ids, err := t.encode(text, true, append([]int32(nil), t.post.before...))
	if err != nil {
		return nil, err
	}
	return append(ids, t.post.after...), nil
}

// EncodeOrdinary returns the ids of a text, treating special tokens in it as
// ordinary text, and adds no token. The error is that of Encode.
func (t *Tokenizer) EncodeOrdinary(text string) ([]int32, error) {
	return t.encode(text, false, nil)
}

// Decode returns the text of the ids, without the special tokens if skipSpecial. Ids that are
// not in the vocabulary add nothing. Tokens on which a regular expression of the decoder takes too much work come out
// as they go in.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var b strings.Builder
	s := t.Stream(skipSpecial)
	for _, id := range ids {
		s.push(id)
		b.WriteString(s.take())
	}
	b.WriteString(s.Flush())
	return b.String()
}
