package vocab

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// candidate is a way to make a token of two others.
type candidate struct {
	left, right string
	made        int
}

// halves appends the ways to make a token of two that has knows.
func halves(token string, made int, has func(string) bool, out []candidate) []candidate {
	for at := range token {
		if at > 0 && has(token[:at]) && has(token[at:]) {
			out = append(out, candidate{token[:at], token[at:], made})
		}
	}
	return out
}

// mergesByID returns the merges of a vocabulary where a token with a lower id is made first.
func mergesByID(tokens []string, ids map[string]int) [][2]string {
	has := func(s string) bool { _, ok := ids[s]; return ok }
	var all [][2]string
	var ways []candidate
	for id, token := range tokens {
		ways = halves(token, id, has, ways[:0])
		slices.SortStableFunc(ways, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(utf8.RuneCountInString(a.left), utf8.RuneCountInString(b.left)),
				cmp.Compare(utf8.RuneCountInString(a.right), utf8.RuneCountInString(b.right)))
		})
		for _, w := range ways {
			all = append(all, [2]string{w.left, w.right})
		}
	}
	return all
}

// mergesOfPieces returns the merges of the normal pieces, tokens[i] being the name of piece i: one with a higher
// score is made first.
func mergesOfPieces(tokens []string, pieces []piece) [][2]string {
	normal := map[string]bool{}
	for i, token := range tokens {
		if token != "" && i < len(pieces) && pieces[i].kind == pieceNormal {
			normal[token] = true
		}
	}
	var ways []candidate
	for i, token := range tokens {
		if normal[token] && pieces[i].kind == pieceNormal {
			ways = halves(token, i, func(s string) bool { return normal[s] }, ways)
		}
	}
	slices.SortFunc(ways, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(pieces[b.made].score, pieces[a.made].score), cmp.Compare(a.made, b.made),
			strings.Compare(a.left, b.left), strings.Compare(a.right, b.right))
	})
	merges := make([][2]string, len(ways))
	for i, w := range ways {
		merges[i] = [2]string{w.left, w.right}
	}
	return merges
}
