package tokenizer

import (
	"fmt"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// wordPiece takes the longest token that a word starts with, then the longest that continues it, and so on. A word that
// cannot be split in this way is unknown as a whole.
type wordPiece struct {
	vocab  map[string]int32
	unk    int32
	prefix string // of tokens that continue a word
	limit  int    // characters of a word; longer words are unknown
}

func (m *wordPiece) vocabulary() map[string]int32 { return m.vocab }

func (m *wordPiece) cut(word string) int { return len(word) }

func (m *wordPiece) tokenize(word string, _ *scratch, out []int32) []int32 {
	if utf8.RuneCountInString(word) > m.limit {
		return append(out, m.unk)
	}
	first := len(out)
	for at := 0; at < len(word); {
		end, id := m.longest(word, at)
		if end == at {
			return append(out[:first], m.unk)
		}
		out = append(out, id)
		at = end
	}
	return out
}

// longest returns where the longest token from at on ends; at, if there is none.
func (m *wordPiece) longest(word string, at int) (end int, id int32) {
	for end := len(word); end > at; {
		token := word[at:end]
		if at > 0 {
			token = m.prefix + token
		}
		if id, ok := m.vocab[token]; ok {
			return end, id
		}
		_, n := utf8.DecodeLastRuneInString(word[at:end])
		end -= n
	}
	return at, 0
}

func parseWordPiece(raw strict.Value) (model, error) {
	c, err := read[struct {
		Type   string           `json:"type"`
		Unk    *string          `json:"unk_token"`
		Prefix *string          `json:"continuing_subword_prefix"`
		Limit  *int             `json:"max_input_chars_per_word"`
		Vocab  map[string]int32 `json:"vocab"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"unk_token": c.Unk != nil, "continuing_subword_prefix": c.Prefix != nil, "max_input_chars_per_word": c.Limit != nil}); err != nil {
		return nil, err
	}
	unk, err := unknown(c.Vocab, *c.Unk)
	return &wordPiece{vocab: c.Vocab, unk: unk, prefix: *c.Prefix, limit: *c.Limit}, err
}

// wordLevel has tokens for whole words only.
type wordLevel struct {
	vocab map[string]int32
	unk   int32
}

func (m *wordLevel) vocabulary() map[string]int32 { return m.vocab }

func (m *wordLevel) cut(word string) int { return len(word) }

func (m *wordLevel) tokenize(word string, _ *scratch, out []int32) []int32 {
	if id, ok := m.vocab[word]; ok {
		return append(out, id)
	}
	return append(out, m.unk)
}

func parseWordLevel(raw strict.Value) (model, error) {
	c, err := read[struct {
		Type  string           `json:"type"`
		Unk   *string          `json:"unk_token"`
		Vocab map[string]int32 `json:"vocab"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"unk_token": c.Unk != nil}); err != nil {
		return nil, err
	}
	unk, err := unknown(c.Vocab, *c.Unk)
	return &wordLevel{vocab: c.Vocab, unk: unk}, err
}

func unknown(vocab map[string]int32, unk string) (int32, error) {
	id, ok := vocab[unk]
	if !ok {
		return 0, fmt.Errorf("unk_token %q is not in the vocabulary", unk)
	}
	return id, nil
}
