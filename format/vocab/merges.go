package vocab

import (
	"cmp"
	"slices"
)

// mergesByScore returns the pairs of tokens that make a token together, those of tokens with a higher score
// first. Of the pairs that make tokens of the same score, those with the shorter left token go first, or with the
// longer one, as transformers has it for different models.
func mergesByScore(tokens []string, scores []float64, longerFirst bool) [][2]string {
	ids := make(map[string]int, len(tokens))
	for id, t := range tokens {
		ids[t] = id
	}
	type pair struct {
		left, right string
		score       float64
		size, rest  int // of left and right, in characters
		first, then int // ids
	}
	var pairs []pair
	for id, token := range tokens {
		from, runes := len(pairs), []rune(token)
		at := 0
		for i, r := range runes[:max(0, len(runes)-1)] {
			at += len(string(r))
			l, okL := ids[token[:at]]
			r, okR := ids[token[at:]]
			if okL && okR {
				pairs = append(pairs, pair{token[:at], token[at:], scores[id], i + 1, len(runes) - i - 1, l, r})
			}
		}
		slices.SortStableFunc(pairs[from:], func(a, b pair) int { return cmp.Or(a.first-b.first, a.then-b.then) })
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		by := cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.rest, b.rest))
		if longerFirst {
			by = -by
		}
		return cmp.Or(cmp.Compare(b.score, a.score), by)
	})
	merges := make([][2]string, len(pairs))
	for i, p := range pairs {
		merges[i] = [2]string{p.left, p.right}
	}
	return merges
}
