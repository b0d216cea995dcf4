package tokenizer

import (
	"math/bits"
	"unicode/utf8"
)

// merge is the token that a pair becomes, and its rank: low ranks are merged first.
type merge struct{ rank, made int32 }

func pair(left, right int32) uint64 { return uint64(left)<<32 | uint64(uint32(right)) }

// mergeTable is a hash table from pairs to merges with open addressing: it is used several times per
// character of a text, and takes half the time of a Go map.
type mergeTable struct {
	keys  []uint64 // pair + 1; 0 where a slot is free
	found []merge
	shift int
}

func newMergeTable(n int) mergeTable {
	size := bits.Len(uint(2*n + 1))
	return mergeTable{make([]uint64, 1<<size), make([]merge, 1<<size), 64 - size}
}

// slot returns the slot of a pair, or the free one where it belongs.
func (t *mergeTable) slot(key uint64) int {
	mask := len(t.keys) - 1
	i := int(key * 0x9E3779B97F4A7C15 >> t.shift)
	for t.keys[i] != 0 && t.keys[i] != key+1 {
		i = (i + 1) & mask
	}
	return i
}

func (t *mergeTable) put(key uint64, m merge) {
	i := t.slot(key)
	t.keys[i], t.found[i] = key+1, m
}

func (t *mergeTable) get(left, right int32) (merge, bool) {
	i := t.slot(pair(left, right))
	return t.found[i], t.keys[i] != 0
}

// spaceMark represents a space in vocabularies made by SentencePiece.
const spaceMark = "▁"

// cutsAtMarks reports whether no merge joins a token that does not end in the mark with one that begins with
// it. Then a text, which is a single word for such models, may be split before marks, and its words
// cached: the merges on both sides are independent.
func cutsAtMarks(vocab map[string]int32, list []mergeJSON) bool {
	if _, ok := vocab[spaceMark]; !ok {
		return false
	}
	mark, _ := utf8.DecodeRuneInString(spaceMark)
	for _, p := range list {
		first, _ := utf8.DecodeRuneInString(p.right)
		last, _ := utf8.DecodeLastRuneInString(p.left)
		if first == mark && last != mark {
			return false
		}
	}
	return true
}

// nextMark returns where the next part of a word begins that may be encoded separately: at a mark after
// something else.
func nextMark(word string) int {
	for i := 1; i+len(spaceMark) <= len(word); i++ {
		if word[i] == spaceMark[0] && word[i:i+len(spaceMark)] == spaceMark && (i < len(spaceMark) || word[i-len(spaceMark):i] != spaceMark) {
			return i
		}
	}
	return len(word)
}
