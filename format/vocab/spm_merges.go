package vocab

import (
	"cmp"
	"slices"
	"strings"
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

// mergesOfAll returns the merges of all pieces, tokens[i] being the name of piece i: one with a higher score is made
// first, and of those with the same score the one with the lower id. transformers goes by the ids alone, which is the
// same but for the runs of spaces that Llama has among its first pieces, with the lowest scores of all.
func (b *spm) mergesOfAll() [][2]string {
	has := func(s string) bool { _, ok := b.ids[s]; return ok }
	var ways []candidate
	for id, token := range b.tokens {
		ways = halves(token, id, has, ways) // those with shorter left parts first
	}
	slices.SortStableFunc(ways, func(x, y candidate) int { return cmp.Compare(b.pieces[y.made].score, b.pieces[x.made].score) })
	return pairs(ways)
}

func pairs(ways []candidate) [][2]string {
	merges := make([][2]string, len(ways))
	for i, w := range ways {
		merges[i] = [2]string{w.left, w.right}
	}
	return merges
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
	return pairs(ways)
}
