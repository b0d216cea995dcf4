package tokenizer

import "sort"

// prefixes finds which of a set of strings a text starts with.
type prefixes struct {
	sorted []string
	value  []int32    // [len(sorted)]
	first  [257]int32 // sorted[first[b]:first[b+1]] start with byte b
}

// newPrefixes indexes the keys of m; the empty string is left out.
func newPrefixes(m map[string]int32) *prefixes {
	p := &prefixes{}
	for s := range m {
		if s != "" {
			p.sorted = append(p.sorted, s)
		}
	}
	sort.Sort(byBytes(p.sorted)) // sort.Strings would be a larger download for the browser
	p.value = make([]int32, len(p.sorted))
	for i, s := range p.sorted {
		p.value[i] = m[s]
		p.first[int(s[0])+1]++
	}
	for b := range 256 {
		p.first[b+1] += p.first[b]
	}
	return p
}

// walk calls found with the length and the value of each string that text starts with, from
// the shortest.
func (p *prefixes) walk(text string, found func(n int, value int32)) {
	if text == "" {
		return
	}
	lo, hi := int(p.first[text[0]]), int(p.first[int(text[0])+1])
	for n := 1; lo < hi; n++ { // sorted[lo:hi] start with text[:n]
		if len(p.sorted[lo]) == n {
			found(n, p.value[lo])
			lo++
		}
		if n == len(text) {
			return
		}
		lo, hi = p.narrow(lo, hi, n, text[n])
	}
}

// narrow returns the part of sorted[lo:hi], all longer than n bytes and equal up to there, that
// has b at n.
func (p *prefixes) narrow(lo, hi, n int, b byte) (int, int) {
	from := lo + sort.Search(hi-lo, func(i int) bool { return p.sorted[lo+i][n] >= b })
	to := from + sort.Search(hi-from, func(i int) bool { return p.sorted[from+i][n] > b })
	return from, to
}

// longest returns the length and the value of the longest string that text starts with, or 0.
func (p *prefixes) longest(text string) (n int, value int32) {
	p.walk(text, func(m int, v int32) { n, value = m, v })
	return n, value
}

// byBytes sorts strings.
type byBytes []string

func (b byBytes) Len() int           { return len(b) }
func (b byBytes) Less(i, j int) bool { return b[i] < b[j] }
func (b byBytes) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
