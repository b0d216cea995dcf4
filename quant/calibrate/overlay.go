package calibrate

import (
	"fmt"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// overlay is a model whose tensors are replaced, one after the other, by what they are in the bundle.
type overlay struct {
	model.Weights
	tokens map[int]bool // rows of the embedding that the text has

	mu       sync.RWMutex
	replaced map[int]*replacement // by tensor
}

// replacement is a tensor as it is in the bundle.
type replacement struct {
	block.Packing
	next int // rows 0 to next−1 are there
	rows map[int][]byte
}

func newOverlay(w model.Weights, windows [][]int32) *overlay {
	o := &overlay{Weights: w, tokens: map[int]bool{}, replaced: map[int]*replacement{}}
	for _, tokens := range windows {
		for _, id := range tokens {
			o.tokens[int(id)] = true
		}
	}
	return o
}

func (o *overlay) set(i int, packing block.Packing, row0 int, data []byte) {
	t := o.Tensors()[i]
	n := packing.RowBytes(t.Cols())
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.replaced[i]
	if p == nil {
		p = &replacement{Packing: packing, rows: map[int][]byte{}}
		o.replaced[i] = p
	}
	if row0 != p.next || len(data)%n != 0 {
		panic(fmt.Sprintf("calibrate: tensor %q: %d bytes for row %d, want whole rows from row %d on", t.Name, len(data), row0, p.next))
	}
	for ; len(data) > 0; data = data[n:] {
		if t.Role != model.RoleEmbed || o.tokens[p.next] {
			p.rows[p.next] = append([]byte(nil), data[:n]...)
		}
		p.next++
	}
}

// forget drops the tensors of layers before the given one, and the embedding.
func (o *overlay) forget(layer int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, t := range o.Tensors() {
		if t.Layer < layer {
			delete(o.replaced, i)
		}
	}
}

// Rows implements model.Weights.
func (o *overlay) Rows(i, row0, n int, dst []float32) error {
	t := o.Tensors()[i]
	o.mu.RLock()
	defer o.mu.RUnlock()
	p := o.replaced[i]
	if p == nil || p.next < t.Rows() {
		return o.Weights.Rows(i, row0, n, dst)
	}
	cols := t.Cols()
	for k := range n {
		row, ok := p.rows[row0+k]
		if !ok {
			return fmt.Errorf("tensor %q: row %d is not kept", t.Name, row0+k)
		}
		p.DecodeRow(dst[k*cols:(k+1)*cols], row)
	}
	return nil
}
