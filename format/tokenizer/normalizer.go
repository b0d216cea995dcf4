package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// A normalizer changes a piece of text in place. If it removes the beginning of the text, it
// clears p.start.
type normalizer func(p *piece)

// normalizersJSON is a Sequence.
type normalizersJSON struct {
	Type string         `json:"type"`
	List []strict.Value `json:"normalizers"`
}

func (s normalizersJSON) steps() []strict.Value { return s.List }

// parseNormalizer returns the steps of a normalizer, none if it is null.
func parseNormalizer(raw strict.Value) ([]normalizer, error) {
	if absent(raw) {
		return nil, nil
	}
	return parseSteps[normalizersJSON](raw, 0, parseOneNormalizer)
}

type plainJSON struct {
	Type string `json:"type"`
}

var plainNormalizers = map[string]normalizer{
	"NFC":          mapText(func(s string) string { return normalForm(s, formC) }),
	"NFD":          mapText(func(s string) string { return normalForm(s, formD) }),
	"NFKC":         mapText(func(s string) string { return normalForm(s, formKC) }),
	"NFKD":         mapText(func(s string) string { return normalForm(s, formKD) }),
	"Lowercase":    mapText(lowercase),
	"StripAccents": dropRunes(isCombining),
	"ByteLevel":    mapText(spellBytes),
	"Nmt":          nmt,
}

func parseOneNormalizer(kind string, raw strict.Value) (normalizer, error) {
	if n, ok := plainNormalizers[kind]; ok {
		_, err := read[plainJSON](raw)
		return n, err
	}
	switch kind {
	case "Prepend":
		return parsePrepend(raw)
	case "Replace":
		return parseReplace(raw)
	case "Strip":
		return parseStrip(raw)
	case "BertNormalizer":
		return parseBertNormalizer(raw)
	case "Precompiled":
		return parsePrecompiled(raw)
	}
	return nil, unknownKind(kind, "Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD",
		"Lowercase", "Strip", "StripAccents", "Nmt", "ByteLevel", "BertNormalizer", "Precompiled")
}

func mapText(f func(string) string) normalizer {
	return func(p *piece) { p.text = f(p.text) }
}

func dropRunes(drop func(rune) bool) normalizer {
	return func(p *piece) {
		if r, n := utf8.DecodeRuneInString(p.text); n > 0 && drop(r) {
			p.start = false
		}
		p.text = strings.Map(func(r rune) rune {
			if drop(r) {
				return -1
			}
			return r
		}, p.text)
	}
}

func parsePrepend(raw strict.Value) (normalizer, error) {
	c, err := read[struct {
		Type    string  `json:"type"`
		Prepend *string `json:"prepend"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"prepend": c.Prepend != nil}); err != nil {
		return nil, err
	}
	return func(p *piece) {
		if p.text != "" {
			p.text = *c.Prepend + p.text
		}
	}, nil
}

type replaceJSON struct {
	Type    string      `json:"type"`
	Pattern patternJSON `json:"pattern"`
	Content *string     `json:"content"`
}

// readReplace returns the parts of a Replace, which can be a normalizer or a decoder.
func readReplace(raw strict.Value) (find pattern, content string, err error) {
	c, err := read[replaceJSON](raw)
	if err != nil {
		return nil, "", err
	}
	if err := need(map[string]bool{"content": c.Content != nil}); err != nil {
		return nil, "", err
	}
	find, err = c.Pattern.compile()
	return find, *c.Content, err
}

func parseReplace(raw strict.Value) (normalizer, error) {
	find, content, err := readReplace(raw)
	if err != nil {
		return nil, err
	}
	return func(p *piece) {
		if spans := find(p.text); len(spans) > 0 {
			first := p.text[spans[0].from:spans[0].to]
			if spans[0].from == 0 && (content == "" || utf8.RuneCountInString(first) > 1) {
				p.start = false
			}
			p.text = replaceSpans(p.text, spans, content)
		}
	}, nil
}

func replaceSpans(s string, spans []span, content string) string {
	var b strings.Builder
	done := 0
	for _, m := range spans {
		b.WriteString(s[done:m.from])
		b.WriteString(content)
		done = m.to
	}
	b.WriteString(s[done:])
	return b.String()
}

func parseStrip(raw strict.Value) (normalizer, error) {
	c, err := read[struct {
		Type  string `json:"type"`
		Left  *bool  `json:"strip_left"`
		Right *bool  `json:"strip_right"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"strip_left": c.Left != nil, "strip_right": c.Right != nil}); err != nil {
		return nil, err
	}
	return func(p *piece) {
		if *c.Left {
			n := len(p.text)
			p.text = strings.TrimLeftFunc(p.text, unicode.IsSpace)
			p.start = p.start && n == len(p.text)
		}
		if *c.Right {
			p.text = strings.TrimRightFunc(p.text, unicode.IsSpace)
		}
	}, nil
}

// nmt drops control characters and turns other white space and invisible characters into spaces.
func nmt(p *piece) {
	dropRunes(func(r rune) bool {
		return r >= 0x01 && r <= 0x08 || r == 0x0B || r >= 0x0E && r <= 0x1F ||
			r == 0x7F || r == 0x8F || r == 0x9F
	})(p)
	p.text = strings.Map(func(r rune) rune {
		switch r {
		case '\t', '\n', '\f', '\r', 0x1680, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F,
			0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
			return ' '
		}
		return r
	}, p.text)
}

// lowercase maps each character separately, as Rust does; only İ becomes two.
func lowercase(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == 'İ' {
			b.WriteString("i̇")
			continue
		}
		b.WriteRune(lowerRune(r))
	}
	return b.String()
}
