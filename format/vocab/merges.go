package vocab

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// mergesByScore returns the pairs of tokens that make a token together, those of tokens with a higher score
// first. Of the pairs that make tokens of the same score, those of lower ids go first or, longerFirst, those with
// the longer left token: the tokenizer.json of different models have it so.
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
		from, size, all := len(pairs), 0, utf8.RuneCountInString(token)
		for at := range token {
			l, okL := ids[token[:at]]
			r, okR := ids[token[at:]]
			if at > 0 && okL && okR {
				pairs = append(pairs, pair{token[:at], token[at:], scores[id], size, all - size, l, r})
			}
			size++
		}
		slices.SortStableFunc(pairs[from:], func(a, b pair) int { return cmp.Or(a.first-b.first, a.then-b.then) })
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		order := cmp.Compare(b.score, a.score)
		if longerFirst {
			order = cmp.Or(order, b.size-a.size, b.rest-a.rest)
		}
		return order
	})
	merges := make([][2]string, len(pairs))
	for i, p := range pairs {
		merges[i] = [2]string{p.left, p.right}
	}
	return merges
}
