package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// form is a Unicode normal form.
type form int

const (
	formC form = iota
	formD
	formKC
	formKD
)

// normalForm returns s in a Unicode normal form.
func normalForm(s string, f form) string {
	keep := compatUnknown
	switch f {
	case formC:
		keep = composeUnknown
	case formD:
		keep = decomposeUnknown
	}
	// Characters unknown to the library's tables stay, and the text around them is normalized separately.
	var b strings.Builder
	done := 0
	for i, r := range s {
		if r >= 0x300 && unicode.Is(keep, r) {
			b.WriteString(normalFormOf(s[done:i], f))
			b.WriteRune(r)
			done = i + utf8.RuneLen(r)
		}
	}
	b.WriteString(normalFormOf(s[done:], f))
	return b.String()
}
