package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is found in the text before the model sees it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character is next to it
	Lstrip     bool   `json:"lstrip"`      // includes the white space before it
	Rstrip     bool   `json:"rstrip"`      // includes the white space after it
	Normalized bool   `json:"normalized"`  // is normalized and found in normalized text
	Special    bool   `json:"special"`     // can be left out of decoded text
}

// addedSet finds added tokens: the leftmost, and the longest of those that begin there.
type addedSet struct {
	index  *prefixes // values are indexes of tokens
	tokens []addedToken
}

// newAddedSet indexes tokens by their spelling, which is normalized by the given normalizers.
// If tokens become equal, the first one counts; special tokens come before others.
func newAddedSet(tokens []addedToken, normalize []normalizer) (addedSet, error) {
	set := addedSet{tokens: tokens}
	m := map[string]int32{}
	for _, special := range []bool{true, false} {
		for i, tok := range tokens {
			if tok.Special != special {
				continue
			}
			p := piece{text: tok.Content, start: true}
			for _, n := range normalize {
				n(&p)
			}
			if p.text == "" {
				return set, fmt.Errorf("added_tokens: %q is empty after normalization", tok.Content)
			}
			if _, ok := m[p.text]; !ok {
				m[p.text] = int32(i)
			}
		}
	}
	set.index = newPrefixes(m)
	return set, nil
}

// split appends the tokens found in p and the text between them.
func (a *addedSet) split(p piece, special bool, out []piece) []piece {
	if len(a.tokens) == 0 {
		return append(out, p)
	}
	done := 0 // bytes of p that are in out; a token's rstrip may move it past at
	for at := 0; at < len(p.text); {
		n, i := a.index.longest(p.text[at:])
		if n == 0 {
			at++
			continue
		}
		tok, from, to := &a.tokens[i], at, at+n
		at = to
		if tok.Special && !special || tok.SingleWord && touchesWord(p.text, from, to) {
			continue
		}
		if tok.Lstrip {
			if to <= done { // the token before it took it along
				continue
			}
			from = max(len(strings.TrimRightFunc(p.text[:from], unicode.IsSpace)), done)
		}
		if tok.Rstrip {
			to = len(p.text) - len(strings.TrimLeftFunc(p.text[to:], unicode.IsSpace))
		}
		if done < from {
			out = append(out, p.part(done, from))
		}
		out = append(out, piece{token: tok.ID})
		done = to
	}
	return append(out, p.part(done, len(p.text)))
}

// touchesWord reports whether text[a:b] has a word character directly before or after it.
func touchesWord(text string, a, b int) bool {
	before, n := utf8.DecodeLastRuneInString(text[:a])
	after, m := utf8.DecodeRuneInString(text[b:])
	return n > 0 && isWord(before) || m > 0 && isWord(after)
}
