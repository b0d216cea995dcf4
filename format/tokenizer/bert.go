package tokenizer

import (
	"strings"
	"unicode"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// parseBertNormalizer reads the normalizer of BERT models, which has four steps.
func parseBertNormalizer(raw strict.Value) (normalizer, error) {
	c, err := read[struct {
		Type      string `json:"type"`
		Clean     *bool  `json:"clean_text"`
		Chinese   *bool  `json:"handle_chinese_chars"`
		Accents   *bool  `json:"strip_accents"` // the value of lowercase if null
		Lowercase *bool  `json:"lowercase"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"clean_text": c.Clean != nil, "handle_chinese_chars": c.Chinese != nil, "lowercase": c.Lowercase != nil}); err != nil {
		return nil, err
	}
	var steps []normalizer
	if *c.Clean {
		steps = append(steps, dropRunes(isNoText), mapText(plainSpaces))
	}
	if *c.Chinese {
		steps = append(steps, mapText(spaceIdeographs))
	}
	if c.Accents == nil && *c.Lowercase || c.Accents != nil && *c.Accents {
		steps = append(steps, mapText(func(s string) string { return normalForm(s, formD) }), dropRunes(isAccent))
	}
	if *c.Lowercase {
		steps = append(steps, mapText(lowercase))
	}
	return func(p *piece) {
		for _, step := range steps {
			step(p)
		}
	}, nil
}

// isNoText reports control characters and others that do not belong in a text.
func isNoText(r rune) bool {
	switch r {
	case '\t', '\n', '\r':
		return false
	case 0, 0xFFFD:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}

var isAccent = propertyOf("Mn").predicate(func(r rune) bool { return unicode.Is(unicode.Mn, r) })

func plainSpaces(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, s)
}

// ideographs are the blocks of ideographs that BERT knows.
var ideographs = rangeTable([]rune{0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x2A6DF, 0x2A700, 0x2B73F, 0x2B740, 0x2B81F, 0x2B920, 0x2CEAF, 0x2F800, 0x2FA1F})

// spaceIdeographs puts spaces around ideographs.
func spaceIdeographs(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.Is(ideographs, r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// bertWords splits at white space, which it drops, and around punctuation.
func bertWords(p piece, out []piece) []piece {
	for _, word := range splitBy(runes(unicode.IsSpace), removed, false)(p, nil) {
		out = splitBy(runes(isPunctuation), isolated, false)(word, out)
	}
	return out
}
