package vocab

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ranks are the tokens of a byte pair encoding, in bytes, with their ranks: of two pairs that could be merged, the
// one goes first that makes the token with the lower rank.
type ranks struct {
	tokens []string       // by rank; "" where none has it
	rank   map[string]int // of each token
}

func newRanks() *ranks { return &ranks{rank: map[string]int{}} }

// put gives a token its rank, which takes the place of one that it had.
func (r *ranks) put(token string, rank int) error {
	if rank < 0 || rank >= maxPieces {
		return fmt.Errorf("a token has rank %d", rank)
	}
	if was, ok := r.rank[token]; ok {
		r.tokens[was] = ""
	}
	for len(r.tokens) <= rank {
		r.tokens = append(r.tokens, "")
	}
	if was := r.tokens[rank]; was != "" {
		return fmt.Errorf("%q and %q both have rank %d", was, token, rank)
	}
	r.tokens[rank], r.rank[token] = token, rank
	return nil
}

// parseRanks reads a file of tiktoken: in each line a token in base64, a space and its rank.
func parseRanks(data []byte) (*ranks, error) {
	r, number := newRanks(), 0
	for line := range bytes.Lines(data) {
		number++
		parts := bytes.Fields(line)
		if len(parts) == 0 {
			continue
		}
		if len(parts) != 2 {
			return nil, fmt.Errorf("line %d: want a token in base64 and its rank", number)
		}
		token, err := base64.StdEncoding.DecodeString(string(parts[0]))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		rank, err := strconv.Atoi(string(parts[1]))
		if err == nil {
			err = r.put(string(token), rank)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if len(r.rank) == 0 {
		return nil, errors.New("has no tokens")
	}
	return r, nil
}

// isRanks reports whether a file looks like one of tiktoken.
func isRanks(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	parts := bytes.Fields(line)
	if len(parts) != 2 {
		return false
	}
	_, err := base64.StdEncoding.DecodeString(string(parts[0]))
	_, err2 := strconv.Atoi(string(parts[1]))
	return err == nil && err2 == nil
}

// model returns the vocabulary with merges; first is the id of rank 0.
func (r *ranks) model(first int) (*BPE, map[string]int) {
	m := &BPE{Vocab: make([]string, first+len(r.tokens)), IgnoreMerges: true}
	ids := make(map[string]int, len(r.tokens))
	var ways []candidate
	for rank, token := range r.tokens {
		if token == "" {
			continue
		}
		m.Vocab[first+rank] = spell(token)
		ids[m.Vocab[first+rank]] = first + rank
		ways = r.halves(token, ways[:0])
		for _, w := range ways {
			m.Merges = append(m.Merges, [2]string{spell(w.left), spell(w.right)})
		}
	}
	return m, ids
}

// halves appends the ways to make a token of two others, those with lower ranks first.
func (r *ranks) halves(token string, ways []candidate) []candidate {
	for at := 1; at < len(token); at++ {
		left, okLeft := r.rank[token[:at]]
		right, okRight := r.rank[token[at:]]
		if okLeft && okRight {
			ways = append(ways, candidate{token[:at], token[at:], left<<32 | right})
		}
	}
	slices.SortFunc(ways, func(a, b candidate) int { return cmp.Compare(a.made, b.made) })
	return ways
}

// cutBy returns a tokenizer that cuts text by an expression and turns it into bytes.
func cutBy(pattern string) *Tokenizer {
	return &Tokenizer{
		PreTokenizer: PreTokenizers(Split(Regex(pattern)), ByteLevel(false, true, false)),
		Decoder:      ByteLevel(true, true, true),
	}
}
