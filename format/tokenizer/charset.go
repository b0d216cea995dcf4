package tokenizer

import (
	"sort"
	"unicode"
)

// A runeSet is what a class, a property or a single character of an expression matches. Characters are added to it in any
// order; closed makes one that answers has.
type runeSet struct {
	ranges []rune // pairs of the first and the last; when closed, sorted and not adjacent
	tables []*unicode.RangeTable
	others []*unicode.RangeTable // whose complements belong to the set
	negate bool

	ascii [4]uint32 // whether a character below 128 belongs to it, when closed
}

func (s *runeSet) add(low, high rune) { s.ranges = append(s.ranges, low, high) }

// addFolded adds a range along with the characters that differ from its own in case only.
func (s *runeSet) addFolded(low, high rune) {
	s.add(low, high)
	for r := low; r <= high; r++ {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			s.add(f, f)
		}
	}
}

// ofPairs returns a set of ranges, or of all characters outside of them.
func ofPairs(pairs []rune, negate bool) *runeSet {
	if negate {
		pairs = complement(pairs)
	}
	return &runeSet{ranges: pairs}
}

// ofTable returns a set of the characters in a table, or of all others.
func ofTable(t *unicode.RangeTable, negate bool) *runeSet {
	if negate {
		return &runeSet{others: []*unicode.RangeTable{t}}
	}
	return &runeSet{tables: []*unicode.RangeTable{t}}
}

// addSet adds what is in another set, which is not negated.
func (s *runeSet) addSet(o *runeSet) {
	if o == nil {
		return
	}
	s.ranges = append(s.ranges, o.ranges...)
	s.tables = append(s.tables, o.tables...)
	s.others = append(s.others, o.others...)
}

// pairs returns all of the set as sorted and disjoint ranges.
func (s *runeSet) pairs() []rune {
	all := union(s.ranges, nil)
	for _, t := range s.tables {
		all = union(all, difference{}.ranges(t))
	}
	for _, t := range s.others {
		all = union(all, complement(difference{}.ranges(t)))
	}
	if s.negate {
		return complement(all)
	}
	return all
}

// closed returns the set, ready for has. With fold, its ranges also contain the characters that differ from theirs only
// in case.
func (s *runeSet) closed(fold bool) *runeSet {
	c := *s
	if fold {
		c.ranges = nil
		for i := 0; i < len(s.ranges); i += 2 {
			c.addFolded(s.ranges[i], s.ranges[i+1])
		}
	}
	c.close()
	return &c
}

// close makes the set ready for has.
func (s *runeSet) close() {
	sort.Stable(byFirst(s.ranges)) // slices.SortFunc would be a larger download
	ranges := s.ranges
	s.ranges = ranges[:0:0]
	for i := 0; i < len(ranges); i += 2 {
		low, high := ranges[i], ranges[i+1]
		if n := len(s.ranges); n > 0 && low <= s.ranges[n-1]+1 {
			s.ranges[n-1] = max(s.ranges[n-1], high)
			continue
		}
		s.ranges = append(s.ranges, low, high)
	}
	for r := range rune(128) {
		if s.find(r) {
			s.ascii[r/32] |= 1 << (r % 32)
		}
	}
}

// byFirst sorts pairs by the first of each.
type byFirst []rune

func (b byFirst) Len() int           { return len(b) / 2 }
func (b byFirst) Less(i, j int) bool { return b[2*i] < b[2*j] }
func (b byFirst) Swap(i, j int) {
	b[2*i], b[2*j] = b[2*j], b[2*i]
	b[2*i+1], b[2*j+1] = b[2*j+1], b[2*i+1]
}

func (s *runeSet) has(r rune) bool {
	if r < 128 {
		return s.ascii[r/32]>>(r%32)&1 != 0
	}
	return s.find(r)
}

func (s *runeSet) find(r rune) bool {
	n := len(s.ranges) / 2
	i := sort.Search(n, func(i int) bool { return s.ranges[2*i+1] >= r })
	in := i < n && s.ranges[2*i] <= r
	for _, t := range s.tables {
		in = in || unicode.Is(t, r)
	}
	for _, t := range s.others {
		in = in || !unicode.Is(t, r)
	}
	return in != s.negate
}
