package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// unigram chooses the path through a word whose tokens have the greatest sum of scores.
type unigram struct {
	vocab        map[string]int32
	index        *prefixes
	score        []float64 // [ids] logarithms of probabilities
	unk          int32     // stands for a character that no token covers …
	unkScore     float64   // … with a score below all others
	bytes        [256]int32
	byteFallback bool // unks become the tokens of their bytes
}

// unkPenalty is how much worse an unknown character scores than the worst token.
const unkPenalty = 10

// node is the best path to a byte offset of a word: its score and its last token.
type node struct {
	score float64
	from  int32 // where the last token starts; -1: no path found yet
	id    int32
}

func (m *unigram) vocabulary() map[string]int32 { return m.vocab }

func (m *unigram) cut(word string) int { return len(word) }

func (m *unigram) tokenize(word string, s *scratch, out []int32) []int32 {
	m.search(word, s)
	first := len(out)
	// From the end: each token's ids are appended in reverse, and finally all of them are reversed.
	for end := int32(len(word)); end > 0; {
		n := s.nodes[end]
		from := n.from
		if n.id == m.unk {
			for from > 0 && s.nodes[from].id == m.unk {
				from = s.nodes[from].from
			}
		}
		out = m.appendReversed(out, word[from:end], n.id)
		end = from
	}
	for i, j := first, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// appendReversed appends the ids of one token, the last first. A run of unks is one token, and
// it is looked up again because the run may be a token that lost.
func (m *unigram) appendReversed(out []int32, text string, id int32) []int32 {
	if id != m.unk {
		return append(out, id)
	}
	if id, ok := m.vocab[text]; ok {
		return append(out, id)
	}
	if m.byteFallback && m.hasBytes(text) {
		for i := len(text) - 1; i >= 0; i-- {
			out = append(out, m.bytes[text[i]])
		}
		return out
	}
	return append(out, m.unk)
}

func (m *unigram) hasBytes(text string) bool {
	for i := range len(text) {
		if m.bytes[text[i]] == notToken {
			return false
		}
	}
	return true
}

// search fills s.nodes [len(word)+1]. Of paths with equal scores the first one stays.
func (m *unigram) search(word string, s *scratch) {
	s.nodes = s.nodes[:0]
	for range len(word) + 1 {
		s.nodes = append(s.nodes, node{from: -1})
	}
	for at := 0; at < len(word); {
		_, char := utf8.DecodeRuneInString(word[at:])
		covered := false
		here := s.nodes[at].score
		m.index.walk(word[at:], func(n int, id int32) {
			s.nodes[at+n].improve(here+m.score[id], at, id)
			covered = covered || n == char
		})
		if !covered {
			s.nodes[at+char].improve(here+m.unkScore, at, m.unk)
		}
		at += char
	}
}

func (n *node) improve(score float64, from int, id int32) {
	if n.from < 0 || score > n.score {
		*n = node{score, int32(from), id}
	}
}

// scored is a token and its score, in JSON an array of both.
type scored struct {
	token string
	score float64
}

// ReadJSON reads the array.
func (s *scored) ReadJSON(text []byte) error {
	var parts []strict.Value
	if err := strict.Unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("vocab entry of %d values: want a token and its score", len(parts))
	}
	if err := strict.Unmarshal(parts[0], &s.token); err != nil {
		return err
	}
	return strict.Unmarshal(parts[1], &s.score)
}

type unigramJSON struct {
	Type         string   `json:"type"`
	UnkID        *int32   `json:"unk_id"`
	ByteFallback bool     `json:"byte_fallback"`
	Vocab        []scored `json:"vocab"`
}

func parseUnigram(raw strict.Value) (model, error) {
	c, err := read[unigramJSON](raw)
	if err != nil {
		return nil, err
	}
	if c.UnkID == nil {
		return nil, errors.New("unk_id is missing: characters outside the vocabulary would have no token")
	}
	if *c.UnkID < 0 || int(*c.UnkID) >= len(c.Vocab) {
		return nil, fmt.Errorf("unk_id %d is outside the vocabulary of %d", *c.UnkID, len(c.Vocab))
	}
	m := &unigram{
		vocab: make(map[string]int32, len(c.Vocab)), score: make([]float64, len(c.Vocab)),
		unk: *c.UnkID, unkScore: math.Inf(1), byteFallback: c.ByteFallback,
	}
	for i, e := range c.Vocab {
		if _, ok := m.vocab[e.token]; ok {
			return nil, fmt.Errorf("token %q is in the vocabulary twice", e.token)
		}
		m.vocab[e.token], m.score[i] = int32(i), e.score
		m.unkScore = min(m.unkScore, e.score)
	}
	m.unkScore -= unkPenalty
	m.bytes = byteTokens(m.vocab)
	m.index = newPrefixes(m.vocab)
	return m, nil
}
