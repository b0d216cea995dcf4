package tokenizer

import (
	"strings"
)

// Pieces returns the bytes that each token adds to a text in its middle, by id: of parts of characters too. Special tokens and
// ids that are not in use add none.
func (t *Tokenizer) Pieces() [][]byte {
	pieces := make([][]byte, len(t.tokens))
	spelled, fallback := t.decodesBytes()
	before, context := t.letter()
	for id, token := range t.tokens {
		switch {
		case !t.known[id] || t.special[token]:
		case spelled:
			pieces[id] = bytesOf(token)
		default:
			if b, ok := byteToken(token); ok && fallback {
				pieces[id] = []byte{b}
				continue
			}
			text := t.Decode(append(before, int32(id)), false)
			pieces[id] = []byte(strings.TrimPrefix(text, context))
		}
	}
	return pieces
}

// decodesBytes reports whether tokens spell bytes as characters, and whether there are tokens for single bytes.
func (t *Tokenizer) decodesBytes() (spelled, fallback bool) {
	for _, step := range t.decode {
		if w, ok := step().(*whole); ok {
			switch w.next.(type) {
			case *byteLevel:
				spelled = true
			case *byteFallback:
				fallback = true
			}
		}
	}
	return spelled, fallback
}

// letter returns a token that is a letter, to put before others, and its text; none if there is no such token.
func (t *Tokenizer) letter() (ids []int32, text string) {
	for c := 'a'; c <= 'z'; c++ {
		if id, ok := t.ids[string(c)]; ok {
			ids = []int32{id}
			return ids[:1:1], t.Decode(ids, false)
		}
	}
	return nil, ""
}
