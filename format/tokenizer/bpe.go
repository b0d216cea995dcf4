package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// bpe is byte pair encoding: a word starts as its characters, and the adjacent pair whose merge
// has the lowest rank, the leftmost among ties, is merged until none is left.
type bpe struct {
	vocab        map[string]int32
	chars        [firstRunes]int32 // ids of the first characters of Unicode, notToken if there is none
	merges       mergeTable
	made         []int32    // made[rank] is the id that the merge produces
	bytes        [256]int32 // ids of <0x00> … <0xFF>, notToken if there is none
	byteFallback bool       // a character not in vocab becomes its bytes
	unk          int32      // what else it becomes; notToken: nothing
	fuseUnk      bool       // adjacent unks become one
	ignoreMerges bool       // a word in vocab is a token, whatever the merges
	marks        bool       // words may be split before marks, see cutsAtMarks
	prefix       string     // before each character of a word but the first
	suffix       string     // after the last one
}

// firstRunes is how many characters are looked up without hashing: letters of Europe and the Middle East, and
// those that represent bytes.
const firstRunes = 0x800

// scratch is memory shared by the words of one call.
type scratch struct {
	symbols []symbol
	queue   []uint64
	nodes   []node
}

// symbol is a token of a word that is being merged, in a doubly linked list over the slice.
type symbol struct {
	id         int32
	prev, next int32 // -1 at the ends
	gone       bool  // merged into the symbol on its left
}

func (m *bpe) vocabulary() map[string]int32 { return m.vocab }

func (m *bpe) cut(word string) int {
	if m.marks {
		return nextMark(word)
	}
	return len(word)
}

func (m *bpe) tokenize(word string, s *scratch, out []int32) []int32 {
	if m.ignoreMerges {
		if id, ok := m.vocab[word]; ok {
			return append(out, id)
		}
	}
	m.characters(word, s)
	m.mergeAll(s)
	for i := range s.symbols {
		if !s.symbols[i].gone {
			out = append(out, s.symbols[i].id)
		}
	}
	return out
}

// characters fills s.symbols with the tokens of the single characters of word.
func (m *bpe) characters(word string, s *scratch) {
	s.symbols = s.symbols[:0]
	unk := false // an unk is pending
	inside := false
	for len(word) > 0 {
		r, n := utf8.DecodeRuneInString(word)
		char := word[:n]
		word = word[n:]
		if m.prefix != "" && inside || m.suffix != "" && word == "" {
			r, char = notRune, m.dress(char, inside, word == "")
		}
		inside = true
		if id := m.char(r, char); id != notToken {
			if unk {
				s.add(m.unk)
				unk = false
			}
			s.add(id)
			continue
		}
		// A pending unk stays pending after the bytes of a character that has some: the order of the
		// tokenizers library, which differs from the text's if only some bytes are tokens.
		if m.byteFallback && m.addBytes(char, s) || m.unk == notToken {
			continue
		}
		if unk && !m.fuseUnk {
			s.add(m.unk)
		}
		unk = true
	}
	if unk {
		s.add(m.unk)
	}
}

// notRune replaces a character that has a prefix or suffix: it is not looked up by itself.
const notRune = utf8.MaxRune + 1

// dress adds prefix and suffix to a character.
func (m *bpe) dress(char string, inside, last bool) string {
	if inside {
		char = m.prefix + char
	}
	if last {
		char += m.suffix
	}
	return char
}

// char returns the id of a character, notToken if it has none.
func (m *bpe) char(r rune, char string) int32 {
	if r < firstRunes {
		return m.chars[r]
	}
	if id, ok := m.vocab[char]; ok {
		return id
	}
	return notToken
}

// addBytes adds the tokens of the bytes of a character if all of them are in the vocabulary.
func (m *bpe) addBytes(char string, s *scratch) bool {
	for i := range len(char) {
		if m.bytes[char[i]] == notToken {
			return false
		}
	}
	for i := range len(char) {
		s.add(m.bytes[char[i]])
	}
	return true
}

func (s *scratch) add(id int32) {
	n := int32(len(s.symbols))
	if n > 0 {
		s.symbols[n-1].next = n
	}
	s.symbols = append(s.symbols, symbol{id: id, prev: n - 1, next: -1})
}

// mergeAll merges s.symbols until no pair has a merge.
func (m *bpe) mergeAll(s *scratch) {
	s.queue = s.queue[:0]
	for i := range int32(len(s.symbols)) - 1 {
		m.enqueue(s, i)
	}
	for len(s.queue) > 0 {
		top := s.pop()
		at, made := int32(uint32(top)), m.made[top>>32]
		left := &s.symbols[at]
		if left.gone || left.next < 0 {
			continue
		}
		right := &s.symbols[left.next]
		if now, ok := m.merges.get(left.id, right.id); !ok || now.made != made {
			continue // one of the two has changed since then
		}
		left.id, left.next, right.gone = made, right.next, true
		if left.next >= 0 {
			s.symbols[left.next].prev = at
			m.enqueue(s, at)
		}
		if left.prev >= 0 {
			m.enqueue(s, left.prev)
		}
	}
}

// enqueue adds the merge of symbol at and its successor, if there is one, to the queue, which
// is ordered by rank and then by position.
func (m *bpe) enqueue(s *scratch, at int32) {
	left := s.symbols[at]
	if mg, ok := m.merges.get(left.id, s.symbols[left.next].id); ok {
		s.put(uint64(mg.rank)<<32 | uint64(at))
	}
}

// put and pop maintain s.queue as a binary heap with the smallest element first.
func (s *scratch) put(v uint64) {
	q := append(s.queue, v)
	i := len(q) - 1
	for i > 0 && q[(i-1)/2] > v {
		q[i] = q[(i-1)/2]
		i = (i - 1) / 2
	}
	q[i] = v
	s.queue = q
}

func (s *scratch) pop() uint64 {
	q := s.queue
	top, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	s.queue = q
	if len(q) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1] < q[child] {
			child++
		}
		if q[child] >= last {
			break
		}
		q[i] = q[child]
		i = child
	}
	q[i] = last
	return top
}

// mergeJSON is a merge as a pair of strings, or as one string with a space between them.
type mergeJSON struct {
	left, right string
	comment     bool // the "#version" line that merges.txt starts with
}

// ReadJSON reads either.
func (p *mergeJSON) ReadJSON(text []byte) error {
	if text[0] == '[' {
		var both [2]string
		if err := strict.Unmarshal(text, &both); err != nil {
			return err
		}
		p.left, p.right = both[0], both[1]
		return nil
	}
	var line string
	if err := strict.Unmarshal(text, &line); err != nil {
		return err
	}
	if strings.HasPrefix(line, "#version") {
		p.comment = true
		return nil
	}
	var ok bool
	p.left, p.right, ok = strings.Cut(line, " ")
	if !ok || strings.Contains(p.right, " ") {
		return fmt.Errorf("merge %q: want two tokens with a space between", line)
	}
	return nil
}

type bpeJSON struct {
	Type         string           `json:"type"`
	Dropout      *float64         `json:"dropout"`
	Unk          *string          `json:"unk_token"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
	FuseUnk      bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Vocab        map[string]int32 `json:"vocab"`
	Merges       []mergeJSON      `json:"merges"`
}

func parseBPE(raw strict.Value) (model, error) {
	c, err := read[bpeJSON](raw)
	switch {
	case err != nil:
		return nil, err
	case c.Dropout != nil && (*c.Dropout < 0 || *c.Dropout >= 1):
		return nil, fmt.Errorf("dropout %v: want 0 or more and less than 1", *c.Dropout)
	} // dropout is for training: without it, the ids are the most likely ones
	m := &bpe{
		vocab: c.Vocab, byteFallback: c.ByteFallback, fuseUnk: c.FuseUnk,
		ignoreMerges: c.IgnoreMerges, unk: notToken, bytes: byteTokens(c.Vocab),
	}
	if c.Unk != nil {
		id, ok := m.vocab[*c.Unk]
		if !ok && !m.coversBytes() {
			return nil, fmt.Errorf("unk_token %q is not in the vocabulary", *c.Unk)
		}
		if ok {
			m.unk = id
		}
	}
	if c.Prefix != nil {
		m.prefix = *c.Prefix
	}
	if c.Suffix != nil {
		m.suffix = *c.Suffix
	}
	for r := range m.chars {
		m.chars[r] = notToken
		if id, ok := m.vocab[string(rune(r))]; ok {
			m.chars[r] = id
		}
	}
	m.marks = !m.ignoreMerges && m.prefix+m.suffix == "" && cutsAtMarks(m.vocab, c.Merges)
	return m, m.addMerges(c.Merges)
}

// coversBytes reports whether all bytes are in the vocabulary, in one spelling or the other, so that
// there is never an unk.
func (m *bpe) coversBytes() bool {
	marked := m.byteFallback
	for b := range m.bytes {
		_, spelled := m.vocab[string(byteChars[b])]
		marked = marked && m.bytes[b] != notToken
		if !spelled && !marked {
			return false
		}
	}
	return true
}

func (m *bpe) addMerges(list []mergeJSON) error {
	m.merges = newMergeTable(len(list))
	for _, p := range list {
		if p.comment {
			continue
		}
		left, okLeft := m.vocab[p.left]
		right, okRight := m.vocab[p.right]
		made, okMade := m.vocab[p.left+strings.TrimPrefix(p.right, m.prefix)]
		if !okLeft || !okRight || !okMade {
			return fmt.Errorf("merge of %q and %q: both and the result must be in the vocabulary", p.left, p.right)
		}
		m.merges.put(pair(left, right), merge{int32(len(m.made)), made})
		m.made = append(m.made, made)
	}
	return nil
}

// byteTokens returns the ids of <0x00> … <0xFF>.
func byteTokens(vocab map[string]int32) (ids [256]int32) {
	for b := range ids {
		ids[b] = notToken
		if id, ok := vocab[fmt.Sprintf("<0x%02X>", b)]; ok {
			ids[b] = id
		}
	}
	return ids
}
