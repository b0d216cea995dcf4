package grammar

import (
	"slices"
	"sort"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Vocabulary is what the tokens of a model stand for, as a tree of bytes. It does not change, and several constraints may
// share it.
type Vocabulary struct {
	tokens  [][]byte
	ends    []int32
	nodes   []treeNode // in the order of a walk from the root, which is nodes[0]
	ids     []int32    // of the tokens, node by node
	longest int        // bytes of a token
}

// treeNode is a string of bytes that tokens begin with.
type treeNode struct {
	byte  byte
	depth int32 // bytes up to here
	end   int32 // the first node that is not below this one
	first int32 // tokens that end here: ids[first:last]
	last  int32
}

// NewVocabulary takes the bytes of each token by its id; a token without any, such as a control token, is never allowed.
// ends are the tokens that end a text: they are allowed where the grammar ends.
func NewVocabulary(tokens [][]byte, ends []int32) *Vocabulary {
	v := &Vocabulary{tokens: tokens, ends: ends, nodes: []treeNode{{}}}
	for id, text := range tokens {
		if len(text) > 0 && !slices.Contains(ends, int32(id)) {
			v.ids = append(v.ids, int32(id))
		}
	}
	sort.Stable(byBytes{v.ids, tokens})
	path := []int32{0} // nodes above the next one
	for i, id := range v.ids {
		text := tokens[id]
		v.longest = max(v.longest, len(text))
		same := 0
		for same < min(len(path)-1, len(text)) && v.nodes[path[same+1]].byte == text[same] {
			same++
		}
		v.close(path[same+1:])
		path = path[:same+1]
		for _, b := range text[same:] {
			path = append(path, int32(len(v.nodes)))
			v.nodes = append(v.nodes, treeNode{byte: b, depth: int32(len(path) - 1), first: int32(i), last: int32(i)})
		}
		v.nodes[path[len(path)-1]].last = int32(i + 1)
	}
	v.close(path)
	return v
}

// close notes that nothing more comes below some nodes.
func (v *Vocabulary) close(path []int32) {
	for _, n := range path {
		v.nodes[n].end = int32(len(v.nodes))
	}
}

// Size reports how many tokens there are.
func (v *Vocabulary) Size() int { return len(v.tokens) }

// Mask is a set of tokens, as samplers take it.
type Mask = sample.Mask

func newMask(size int) Mask { return make(Mask, (size+63)/64) }

func add(m Mask, id int32) { m[id>>6] |= 1 << (id & 63) }

// join adds the tokens of o to m.
func join(m, o Mask) {
	for i, bits := range o {
		m[i] |= bits
	}
}
