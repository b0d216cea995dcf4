package tokenizer

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/rangetable"
)

// Sets of characters are sorted, disjoint pairs of the first and the last of ranges.

// union returns the union of two sets.
func union(a, b []rune) []rune {
	s := runeSet{ranges: slices.Concat(a, b)}
	s.close()
	return s.ranges
}

// intersect returns the intersection of two sets.
func intersect(a, b []rune) (both []rune) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if low, high := max(a[i], b[j]), min(a[i+1], b[j+1]); low <= high {
			both = append(both, low, high)
		}
		if a[i+1] < b[j+1] {
			i += 2
		} else {
			j += 2
		}
	}
	return both
}

func contains(pairs []rune, r rune) bool {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] <= r && r <= pairs[i+1] {
			return true
		}
	}
	return false
}

// tableOf returns Go's table of a category or a script.
func tableOf(name string) *unicode.RangeTable {
	for _, p := range properties {
		if p.name == name {
			return *p.table
		}
	}
	return nil
}

// longNames are long names of categories and short names of scripts, in lower case without separators, each followed by
// its name in properties.
const longNames = `
	letter L uppercaseletter Lu lowercaseletter Ll titlecaseletter Lt modifierletter Lm otherletter Lo mark M combiningmark M nonspacingmark Mn
	spacingmark Mc enclosingmark Me number N decimalnumber Nd digit Nd letternumber Nl othernumber No punctuation P punct P connectorpunctuation
	Pc dashpunctuation Pd openpunctuation Ps closepunctuation Pe initialpunctuation Pi finalpunctuation Pf otherpunctuation Po symbol S
	mathsymbol Sm currencysymbol Sc modifiersymbol Sk othersymbol So separator Z spaceseparator Zs lineseparator Zl paragraphseparator Zp
	control Cc format Cf privateuse Co hani Han latn Latin cyrl Cyrillic grek Greek hira Hiragana kana Katakana hang Hangul arab Arabic hebr
	Hebrew thai Thai deva Devanagari
`

// propertyNamed looks a category or a script up by its lower-case name.
func propertyNamed(key string) (name string, d difference, ok bool) {
	words := strings.Fields(longNames)
	for i := 0; i < len(words); i += 2 {
		if words[i] == key {
			key = squeezed(words[i+1])
			break
		}
	}
	for _, p := range properties {
		if squeezed(p.name) == key {
			return p.name, p.difference, true
		}
	}
	return "", difference{}, false
}

// exactly returns the ranges of a property.
func exactly(name string) []rune { return propertyOf(name).ranges(tableOf(name)) }

// squeezed returns a name in lower case, without separators.
func squeezed(name string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// derivedSet returns a set that is composed of others, by its lower-case name.
func derivedSet(key string) ([]rune, bool) {
	with := func(d difference, tables ...*unicode.RangeTable) []rune { return d.ranges(rangetable.Merge(tables...)) }
	assigned := func() []rune {
		return with(assignedDifference, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co)
	}
	alpha := func() []rune { return with(alphaDifference, unicode.L, unicode.Nl, unicode.Other_Alphabetic) }
	spaces := difference{}.ranges(unicode.White_Space)
	graph := func() []rune { return intersect(assigned(), complement(union(spaces, exactly("Cc")))) }
	switch key {
	case "alpha", "alphabetic":
		return alpha(), true
	case "lower", "lowercase":
		return with(lowerDifference, unicode.Ll, unicode.Other_Lowercase), true
	case "upper", "uppercase":
		return with(upperDifference, unicode.Lu, unicode.Other_Uppercase), true
	case "alnum":
		return union(alpha(), exactly("Nd")), true
	case "space", "whitespace":
		return spaces, true
	case "blank":
		return union([]rune{'\t', '\t'}, exactly("Zs")), true
	case "cntrl":
		return exactly("Cc"), true
	case "xdigit", "asciihexdigit", "ahex":
		return []rune{'0', '9', 'A', 'F', 'a', 'f'}, true
	case "word":
		return regexWord(), true
	case "graph":
		return graph(), true
	case "print":
		return union(graph(), exactly("Zs")), true
	case "ascii":
		return []rune{0, 0x7F}, true
	case "any":
		return []rune{0, unicode.MaxRune}, true
	case "assigned":
		return assigned(), true
	case "cn", "unassigned":
		return intersect(complement(assigned()), complement([]rune{0xD800, 0xDFFF})), true
	case "c", "other":
		return union(complement(assigned()), union(exactly("Cc"), union(exactly("Cf"), exactly("Co")))), true
	case "lc", "casedletter":
		return union(exactly("Lu"), union(exactly("Ll"), exactly("Lt"))), true
	}
	return nil, false
}
