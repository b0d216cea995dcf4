package tokenizer

import (
	"unicode"

	"golang.org/x/text/unicode/rangetable"
)

// difference is how a set of characters of the tokenizers library differs from Go's,
// as pairs of the first and the last of a range. Both parts are small: they follow different versions
// of Unicode.
type difference struct{ add, drop []rune }

// known is a category or a script that Go and the library know by the same name.
type known struct {
	name  string
	table **unicode.RangeTable // Go's; the maps of package unicode would make the browser's download larger, as would code that fills in pointers
	difference
}

// propertyOf returns how a property differs from Go's.
func propertyOf(name string) difference {
	for _, p := range properties {
		if p.name == name {
			return p.difference
		}
	}
	return difference{}
}

// predicate returns a test for the set that is changed from base by d.
func (d difference) predicate(base func(rune) bool) func(rune) bool {
	add, drop := rangeTable(d.add), rangeTable(d.drop)
	return func(r rune) bool {
		return base(r) && !unicode.Is(drop, r) || unicode.Is(add, r)
	}
}

// ranges returns table changed by d as sorted, disjoint pairs.
func (d difference) ranges(table *unicode.RangeTable) []rune {
	drop := rangeTable(d.drop)
	var out []rune
	rangetable.Visit(rangetable.Merge(table, rangeTable(d.add)), func(r rune) {
		if unicode.Is(drop, r) {
			return
		}
		if n := len(out); n > 0 && out[n-1] == r-1 {
			out[n-1] = r
			return
		}
		out = append(out, r, r)
	})
	return out
}

// rangeTable makes a table of pairs, which are sorted. None goes across U+FFFF.
func rangeTable(pairs []rune) *unicode.RangeTable {
	t := &unicode.RangeTable{}
	for i := 0; i < len(pairs); i += 2 {
		low, high := pairs[i], pairs[i+1]
		if high <= 0xFFFF {
			t.R16 = append(t.R16, unicode.Range16{Lo: uint16(low), Hi: uint16(high), Stride: 1})
		} else {
			t.R32 = append(t.R32, unicode.Range32{Lo: uint32(low), Hi: uint32(high), Stride: 1})
		}
	}
	return t
}

// complement returns the ranges of all characters that are not in pairs.
func complement(pairs []rune) (out []rune) {
	next := rune(0)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] > next {
			out = append(out, next, pairs[i]-1)
		}
		next = pairs[i+1] + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, next, unicode.MaxRune)
	}
	return out
}

var wordTables = []*unicode.RangeTable{
	unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control,
}

// Properties of characters outside regular expressions, as the library has them.
var (
	isWord        = wordDifference.predicate(func(r rune) bool { return unicode.In(r, wordTables...) })
	isNumeric     = numericDifference.predicate(unicode.IsNumber)
	isCombining   = markDifference.predicate(unicode.IsMark)
	isPunctuation = punctuationDifference.predicate(func(r rune) bool {
		return unicode.IsPunct(r) || r < 0x80 && unicode.IsSymbol(r)
	})
)

func lowerRune(r rune) rune {
	if l, ok := lowerUnknown[r]; ok {
		return l
	}
	return unicode.ToLower(r)
}
