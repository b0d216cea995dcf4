package tokenizer

import (
	"unicode"
)

// Properties of characters that decide the clusters of \X, which readers perceive as one character.
var (
	joinsBefore    = joinDifference.predicate(func(r rune) bool { return unicode.In(r, unicode.M, unicode.Other_Grapheme_Extend) })
	extendsCluster = extendDifference.predicate(func(r rune) bool {
		return unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend)
	})
	prependsCluster = prependDifference.predicate(func(r rune) bool { return unicode.Is(unicode.Prepended_Concatenation_Mark, r) })
	isOpen          = openDifference.predicate(func(r rune) bool {
		return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
	})
	pictureRanges = pictures
)

// syllable returns which jamo of a Korean syllable a character is, 'l', 'v' or 't', or 'V' and 'T' for the
// syllables LV and LVT; 0: neither.
func syllable(r rune) byte {
	switch {
	case r >= 0x1100 && r <= 0x115F || r >= 0xA960 && r <= 0xA97C:
		return 'l'
	case r >= 0x1160 && r <= 0x11A7 || r >= 0xD7B0 && r <= 0xD7C6:
		return 'v'
	case r >= 0x11A8 && r <= 0x11FF || r >= 0xD7CB && r <= 0xD7FB:
		return 't'
	case r >= 0xAC00 && r <= 0xD7A3 && (r-0xAC00)%28 == 0:
		return 'V' // LV
	case r >= 0xAC00 && r <= 0xD7A3:
		return 'T' // LVT
	}
	return 0
}

func isFlagLetter(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// clusterEnd returns the end of the cluster of character i.
func clusterEnd(text []rune, i int) int {
	flags := 0 // regional indicators up to here
	for at := i; at >= 0 && isFlagLetter(text[at]); at-- {
		flags++
	}
	at := i
	for at > 0 && (extendsCluster(text[at]) || text[at] == zeroWidthJoiner) {
		at--
	}
	picture := unicode.Is(pictureRanges, text[at]) // possibly extended, up to here
	for end := i + 1; end < len(text); end++ {
		before, r := text[end-1], text[end]
		if !together(before, r, flags, picture && before == zeroWidthJoiner) {
			return end
		}
		if flags++; !isFlagLetter(r) {
			flags = 0
		}
		picture = unicode.Is(pictureRanges, r) || picture && (extendsCluster(r) || r == zeroWidthJoiner)
	}
	return len(text)
}

// together reports whether a character belongs to the cluster of the one before it. flags counts regional indicators up to
// there; joined says that a picture and a joiner come before it.
func together(before, r rune, flags int, joined bool) bool {
	switch {
	case before == '\r' && r == '\n':
		return true
	case !isOpen(before) || !isOpen(r):
		return false
	case joinsBefore(r) || r == zeroWidthJoiner || prependsCluster(before):
		return true
	case joined && unicode.Is(pictureRanges, r):
		return true
	case isFlagLetter(before) && isFlagLetter(r):
		return flags%2 == 1
	}
	a, b := syllable(before), syllable(r)
	switch a {
	case 'l':
		return b == 'l' || b == 'v' || b == 'V' || b == 'T'
	case 'v', 'V':
		return b == 'v' || b == 't'
	case 't', 'T':
		return b == 't'
	}
	return false
}

// matchCluster matches \X.
func matchCluster(next matcher) matcher {
	return func(m *machine, i int) bool { return i < len(m.text) && next(m, clusterEnd(m.text, i)) }
}
