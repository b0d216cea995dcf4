//go:build !js

package tokenizer

import (
	"sort"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// manyMarks is a number of consecutive combining characters that x/text certainly does not change. Between more than 30 such, after decomposition, it puts
// joiners (Unicode's stream-safe format), which the tokenizers library does not.
const manyMarks = 8

// normalFormOf returns s, of characters that the library knows, in a normal form.
func normalFormOf(s string, f form) string {
	form := [...]norm.Form{formC: norm.NFC, formD: norm.NFD, formKC: norm.NFKC, formKD: norm.NFKD}[f]
	marks := 0
	for _, r := range s {
		if r < 0x300 || form.PropertiesString(string(r)).BoundaryBefore() {
			marks = 0
		} else if marks++; marks > manyMarks {
			return normalizeSlowly(s, form)
		}
	}
	return form.String(s)
}

// class returns the canonical combining class.
func class(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }

// normalizeSlowly follows the definition of the normal forms: decompose, order marks, compose.
func normalizeSlowly(s string, form norm.Form) string {
	split := norm.NFD
	if form == norm.NFKC || form == norm.NFKD {
		split = norm.NFKD
	}
	var runes []rune
	for _, r := range s {
		runes = append(runes, []rune(split.String(string(r)))...)
	}
	classes := make([]uint8, len(runes))
	for i, r := range runes {
		classes[i] = class(r)
	}
	for i := 0; i < len(runes); {
		j := i + 1
		if classes[i] != 0 {
			for j < len(runes) && classes[j] != 0 {
				j++
			}
			sort.Stable(byClass{runes[i:j], classes[i:j]})
		}
		i = j
	}
	if form == norm.NFC || form == norm.NFKC {
		runes = compose(runes, classes)
	}
	return string(runes)
}

type byClass struct {
	runes   []rune
	classes []uint8
}

func (b byClass) Len() int           { return len(b.runes) }
func (b byClass) Less(i, j int) bool { return b.classes[i] < b.classes[j] }
func (b byClass) Swap(i, j int) {
	b.runes[i], b.runes[j] = b.runes[j], b.runes[i]
	b.classes[i], b.classes[j] = b.classes[j], b.classes[i]
}

// compose joins characters with the last starter before them, unless one between blocks them.
func compose(runes []rune, classes []uint8) []rune {
	out := runes[:0]
	starter := -1
	var last uint8 // the class of the last character in out; 0 directly after the starter
	for i, r := range runes {
		c := classes[i]
		if starter >= 0 && (last < c || last == 0 && starter == len(out)-1) {
			if one, ok := composePair(out[starter], r); ok {
				out[starter] = one
				continue
			}
		}
		if c == 0 {
			starter = len(out)
		}
		last = c
		out = append(out, r)
	}
	return out
}

// composePair returns the character whose canonical decomposition is a and b.
func composePair(a, b rune) (rune, bool) {
	both := string(a) + string(b)
	if norm.NFC.IsNormalString(both) {
		return 0, false
	}
	one := norm.NFC.String(both)
	r, n := utf8.DecodeRuneInString(one)
	return r, n == len(one)
}
