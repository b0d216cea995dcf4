package calibrate

import (
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// overlay is a model in which tensors that were handed over count as they will be in the bundle, once they are
// whole.
type overlay struct {
	model.Weights
	mu      sync.Mutex
	stored  map[int]*stored // as far as still needed
	changed map[int]bool    // of these, the ones that became whole since late was asked
}

// stored is a tensor as it will be in the bundle.
type stored struct {
	block.Packing
	missing int            // rows that are yet to come
	bytes   []byte         // of all rows, or
	rows    map[int][]byte // of those that will be looked up
}

func newOverlay(src model.Weights) *overlay {
	return &overlay{Weights: src, stored: map[int]*stored{}, changed: map[int]bool{}}
}

// set takes the next rows of a tensor, from row0 on; of the embedding it keeps those that are used.
func (o *overlay) set(i int, packing block.Packing, row0 int, bytes []byte, used map[int]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.Tensors()[i]
	s := o.stored[i]
	if s == nil {
		s = &stored{Packing: packing, missing: t.Rows()}
		o.stored[i] = s
	}
	size := s.RowBytes(t.Cols())
	if s.missing -= len(bytes) / size; s.missing == 0 {
		o.changed[i] = true
	}
	if t.Role != model.RoleEmbed {
		s.bytes = append(s.bytes, bytes...)
		return
	}
	if s.rows == nil {
		s.rows = map[int][]byte{}
	}
	for ; len(bytes) > 0; bytes, row0 = bytes[size:], row0+1 {
		if used[row0] {
			s.rows[row0] = slices.Clone(bytes[:size])
		}
	}
}

// whole returns what counts in place of tensor i, or nil.
func (o *overlay) whole(i int) *stored {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.stored[i]; s != nil && s.missing == 0 {
		return s
	}
	return nil
}

// Rows implements model.Weights.
func (o *overlay) Rows(i, row0, n int, dst []float32) error {
	s := o.whole(i)
	if s == nil {
		return o.Weights.Rows(i, row0, n, dst)
	}
	cols := o.Tensors()[i].Cols()
	size := s.RowBytes(cols)
	for r := range n {
		row := s.rows[row0+r]
		if s.rows == nil {
			row = s.bytes[(row0+r)*size : (row0+r+1)*size]
		}
		s.DecodeRow(dst[r*cols:(r+1)*cols], row)
	}
	return nil
}

// late returns which of some tensors, by their place in the list, became whole since it was asked last.
func (o *overlay) late(tensors []int) (late []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, at := range tensors {
		if o.changed[at] {
			late = append(late, i)
			delete(o.changed, at)
		}
	}
	return late
}

// forget drops the tensors of layers before the given one, and those before all layers.
func (o *overlay) forget(layer int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, t := range o.Tensors() {
		if t.Layer < layer {
			delete(o.stored, i)
			delete(o.changed, i)
		}
	}
}
