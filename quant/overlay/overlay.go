// Package overlay is a model with some tensors replaced by what quantization made of them: what calibration text runs
// through while the model is being quantized. A tensor counts once all of its rows were set; until then, and for all
// others, the rows of the original model do.
//
// It never quantizes, and keeps no more than was set and not forgotten. The one way in is New.
package overlay

import (
	"fmt"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Model is a model.Weights. Set may be called while others read rows.
type Model struct {
	model.Weights
	tokens map[int]bool // rows of the embedding that are kept

	mu       sync.RWMutex
	replaced map[int]*replacement // by tensor
	late     map[int]bool         // tensors that became whole since Late reported them
}

// replacement is a tensor as it is in the bundle.
type replacement struct {
	block.Packing
	next  int            // rows 0 to next−1 are there
	bytes []byte         // of all rows, or
	rows  map[int][]byte // of embeddings, those that are kept
}

// New returns a Model without replacements, for texts of these tokens: of embeddings, only their rows are kept.
func New(w model.Weights, windows [][]int32) *Model {
	m := &Model{Weights: w, tokens: map[int]bool{}, replaced: map[int]*replacement{}, late: map[int]bool{}}
	for _, tokens := range windows {
		for _, id := range tokens {
			m.tokens[int(id)] = true
		}
	}
	m.tokens[0] = m.tokens[0] || w.Spec().LayerInputs.Width > 0 // which stands for tokens that have no row of layer_embed
	return m
}

// Set replaces the next rows of tensor i, from row0 on, by rows as they are stored in a bundle. It keeps a copy. Rows of
// a tensor are set in order; anything else panics.
func (m *Model) Set(i int, p block.Packing, row0 int, rows []byte) {
	t := m.Tensors()[i]
	size := p.RowBytes(t.Cols())
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.replaced[i]
	if r == nil {
		r = &replacement{Packing: p}
		m.replaced[i] = r
	}
	if row0 != r.next || len(rows)%size != 0 || row0+len(rows)/size > t.Rows() {
		panic(fmt.Sprintf("overlay: tensor %q: %d bytes for row %d, want whole rows from row %d on", t.Name, len(rows), row0, r.next))
	}
	r.next += len(rows) / size
	m.late[i] = r.next == t.Rows()
	if t.Role != model.RoleEmbed && t.Role != model.RoleLayerEmbed {
		r.bytes = append(r.bytes, rows...)
		return
	}
	if r.rows == nil {
		r.rows = map[int][]byte{}
	}
	for ; len(rows) > 0; rows, row0 = rows[size:], row0+1 {
		if m.tokens[row0] {
			r.rows[row0] = slices.Clone(rows[:size])
		}
	}
}

// whole returns what replaces tensor i, which does not change any more, or nil.
func (m *Model) whole(i int) *replacement {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r := m.replaced[i]; r != nil && r.next == m.Tensors()[i].Rows() {
		return r
	}
	return nil
}

// Rows implements model.Weights.
func (m *Model) Rows(i, row0, n int, dst []float32) error {
	t := m.Tensors()[i]
	r := m.whole(i)
	if r == nil {
		return m.Weights.Rows(i, row0, n, dst)
	}
	cols := t.Cols()
	size := r.RowBytes(cols)
	for k := range n {
		row := r.rows[row0+k]
		if r.rows == nil {
			row = r.bytes[(row0+k)*size : (row0+k+1)*size]
		}
		if row == nil {
			return fmt.Errorf("tensor %q: row %d is not kept: no text has this token", t.Name, row0+k)
		}
		r.DecodeRow(dst[k*cols:(k+1)*cols], row)
	}
	return nil
}

// Late reports which of some tensors, by their place in the list, have been completed since the last call.
func (m *Model) Late(tensors []int) (late []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range tensors {
		if m.late[t] {
			late = append(late, i)
			delete(m.late, t)
		}
	}
	return late
}

// Forget drops the replacements of all layers before the given one, and those of tensors before the layers, unless
// every layer needs them.
func (m *Model) Forget(layer int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range m.Tensors() {
		if t.Layer < layer && !(t.Layer == model.NoLayer && m.Spec().LayerInputs.Width > 0) {
			delete(m.replaced, i)
			delete(m.late, i)
		}
	}
}
