package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// A preTokenizer appends the pieces into which it splits p, which it may also change.
type preTokenizer func(p piece, out []piece) []piece

// preTokenizersJSON is a Sequence.
type preTokenizersJSON struct {
	Type string         `json:"type"`
	List []strict.Value `json:"pretokenizers"`
}

func (s preTokenizersJSON) steps() []strict.Value { return s.List }

// parsePreTokenizer returns the steps of a pre-tokenizer, none if it is null.
func parsePreTokenizer(raw strict.Value) ([]preTokenizer, error) {
	if absent(raw) {
		return nil, nil
	}
	return parseSteps[preTokenizersJSON](raw, 0, parseOnePreTokenizer)
}

func parseOnePreTokenizer(kind string, raw strict.Value) (preTokenizer, error) {
	switch kind {
	case "Split":
		return parseSplit(raw)
	case "ByteLevel":
		c, err := readByteLevel(raw)
		return c.preTokenizer(), err
	case "Metaspace":
		m, err := readMetaspace(raw)
		return m.split, err
	case "Digits":
		return parseDigits(raw)
	case "Whitespace":
		_, err := read[plainJSON](raw)
		return splitBy(words, removed, true), err
	case "WhitespaceSplit":
		_, err := read[plainJSON](raw)
		return splitBy(runes(unicode.IsSpace), removed, false), err
	case "Punctuation":
		return parsePunctuation(raw)
	case "BertPreTokenizer":
		_, err := read[plainJSON](raw)
		return bertWords, err
	case "CharDelimiterSplit":
		return parseDelimiter(raw)
	case "FixedLength":
		return parseFixedLength(raw)
	case "UnicodeScripts":
		_, err := read[plainJSON](raw)
		return splitScripts, err
	}
	return nil, unknownKind(kind, "Sequence", "Split", "ByteLevel", "Metaspace", "Digits",
		"Whitespace", "WhitespaceSplit", "Punctuation", "BertPreTokenizer", "CharDelimiterSplit", "FixedLength", "UnicodeScripts")
}

func splitBy(find pattern, b behavior, invert bool) preTokenizer {
	return func(p piece, out []piece) []piece {
		return b.apply(p, partsOf(len(p.text), find(p.text), invert), out)
	}
}

func parseSplit(raw strict.Value) (preTokenizer, error) {
	c, err := read[struct {
		Type     string      `json:"type"`
		Pattern  patternJSON `json:"pattern"`
		Behavior behavior    `json:"behavior"`
		Invert   *bool       `json:"invert"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"invert": c.Invert != nil}); err != nil {
		return nil, err
	}
	find, err := c.Pattern.compile()
	if err != nil {
		return nil, err
	}
	return splitBy(find, c.Behavior, *c.Invert), c.Behavior.check()
}

func parseDigits(raw strict.Value) (preTokenizer, error) {
	c, err := read[struct {
		Type       string `json:"type"`
		Individual *bool  `json:"individual_digits"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"individual_digits": c.Individual != nil}); err != nil {
		return nil, err
	}
	if *c.Individual {
		return splitBy(runes(isNumeric), isolated, false), nil
	}
	return splitBy(runes(isNumeric), contiguous, false), nil
}

func parsePunctuation(raw strict.Value) (preTokenizer, error) {
	c, err := read[struct {
		Type     string   `json:"type"`
		Behavior behavior `json:"behavior"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if c.Behavior == "" {
		c.Behavior = isolated
	}
	return splitBy(runes(isPunctuation), c.Behavior, false), c.Behavior.check()
}

// words finds runs of word characters, and runs of characters that are neither those nor white space.
func words(s string) (spans []span) {
	kind := func(r rune) int {
		switch {
		case isWord(r):
			return 1
		case unicode.IsSpace(r):
			return 0
		}
		return 2
	}
	last := 0
	for i, r := range s {
		k, end := kind(r), i+utf8.RuneLen(r)
		if k != 0 && k == last {
			spans[len(spans)-1].to = end
		} else if k != 0 {
			spans = append(spans, span{i, end})
		}
		last = k
	}
	return spans
}

// metaspace marks spaces by a visible character. It can be a pre-tokenizer or a decoder.
type metaspace struct {
	mark   rune
	text   string // the mark
	always bool   // every piece gets a mark before it
	first  bool   // only the one at the start of the input does
	cut    bool   // pieces end before marks
}

func readMetaspace(raw strict.Value) (metaspace, error) {
	c, err := read[struct {
		Type        string  `json:"type"`
		Replacement string  `json:"replacement"`
		StrRep      *string `json:"str_rep"`
		AddPrefix   *bool   `json:"add_prefix_space"` // the older form of prepend_scheme
		Scheme      *string `json:"prepend_scheme"`
		Split       *bool   `json:"split"`
	}](raw)
	if err != nil {
		return metaspace{}, err
	}
	mark, n := utf8.DecodeRuneInString(c.Replacement)
	if n == 0 || n != len(c.Replacement) {
		return metaspace{}, fmt.Errorf("replacement %q: want one character", c.Replacement)
	}
	m := metaspace{mark: mark, text: c.Replacement, cut: c.Split == nil || *c.Split}
	scheme := "always"
	if c.Scheme != nil {
		scheme = *c.Scheme
	}
	if c.AddPrefix != nil && !*c.AddPrefix {
		if c.Scheme != nil && scheme != "never" {
			return m, errors.New("add_prefix_space contradicts prepend_scheme")
		}
		scheme = "never"
	}
	m.always, m.first = scheme == "always", scheme == "first"
	if !m.always && !m.first && scheme != "never" {
		return m, fmt.Errorf("prepend_scheme %q: want always, first or never", scheme)
	}
	return m, nil
}

func (m metaspace) split(p piece, out []piece) []piece {
	p.text = strings.ReplaceAll(p.text, " ", m.text)
	if (m.always || m.first && p.start) && !strings.HasPrefix(p.text, m.text) {
		p.text = m.text + p.text
	}
	if !m.cut {
		return append(out, p)
	}
	return mergedWithNext.apply(p, partsOf(len(p.text), literal(m.text)(p.text), false), out)
}
