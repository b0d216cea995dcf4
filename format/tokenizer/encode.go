package tokenizer

// piece is a part of the text on its way to the model: text still to be encoded, or a token.
type piece struct {
	text  string
	token int32 // the id of an added token, or notToken
	start bool  // the piece begins where the input begins
}

const notToken = -1

// part returns text[a:b] of a piece as a separate piece.
func (p piece) part(a, b int) piece {
	return piece{p.text[a:b], notToken, p.start && a == 0}
}

// forEach replaces each piece of text by what split appends for it. Tokens stay, empty pieces
// are dropped.
func forEach(in []piece, split func(p piece, out []piece) []piece) []piece {
	out := make([]piece, 0, len(in))
	for _, p := range in {
		if p.token != notToken {
			out = append(out, p)
			continue
		}
		n := len(out)
		out = split(p, out)
		kept := out[:n]
		for _, q := range out[n:] {
			if q.token != notToken || q.text != "" {
				kept = append(kept, q)
			}
		}
		out = kept
	}
	return out
}

// encode appends the ids of text to ids. With special, it recognizes special tokens in the text.
func (t *Tokenizer) encode(text string, special bool, ids []int32) (all []int32, err error) {
	defer caught(&err)
	pieces := []piece{{validUTF8(text), notToken, true}}
	pieces = forEach(pieces, func(p piece, out []piece) []piece {
		return t.verbatim.split(p, special, out)
	})
	pieces = forEach(pieces, func(p piece, out []piece) []piece {
		for _, n := range t.normalize {
			n(&p)
		}
		return t.normalized.split(p, special, out)
	})
	for _, pre := range t.pre {
		pieces = forEach(pieces, pre)
	}
	return t.encodePieces(pieces, ids), nil
}

// cachedWord is the length in bytes of the longest word whose ids are cached within a call.
const cachedWord = 64

// encodePieces appends the ids of each piece. The ids of a word seen before in the same call are copied.
func (t *Tokenizer) encodePieces(pieces []piece, ids []int32) []int32 {
	e := encoder{model: t.model, seen: map[string][2]int{}, ids: ids}
	for _, p := range pieces {
		if p.token != notToken {
			e.ids = append(e.ids, p.token)
			continue
		}
		for rest := p.text; rest != ""; {
			n := t.model.cut(rest)
			e.word(rest[:n])
			rest = rest[n:]
		}
	}
	return e.ids
}

// encoder is the state of one call.
type encoder struct {
	model   model
	scratch scratch
	seen    map[string][2]int // where in ids those of a word are
	ids     []int32
}

func (e *encoder) word(word string) {
	if len(word) > cachedWord {
		e.ids = e.model.tokenize(word, &e.scratch, e.ids)
		return
	}
	if at, ok := e.seen[word]; ok {
		e.ids = append(e.ids, e.ids[at[0]:at[1]]...)
		return
	}
	from := len(e.ids)
	e.ids = e.model.tokenize(word, &e.scratch, e.ids)
	e.seen[word] = [2]int{from, len(e.ids)}
}
