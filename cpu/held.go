package cpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// Layout says how the state of a sequence lies in memory. What ReadHeld returns can be written to another Engine of the same
// model if both have the same Layout.
func (e *Engine) Layout() map[string]string {
	e.prepare()
	layers := ""
	for i := range e.caches {
		c := &e.caches[i]
		if c.state != nil {
			layers += fmt.Sprintf("%d+%d ", len(c.state.now.tail), len(c.state.now.all))
		}
		if c.keys == nil {
			continue
		}
		layers += fmt.Sprintf("%d·%d·%d·%d ", c.heads, c.dim, c.elements, c.capacity)
	}
	bits := 32
	if e.options.KVFloat16 {
		bits = 16
	}
	return map[string]string{"engine": "CPU", "context": fmt.Sprint(e.options.MaxSeqLen), "KV bits": fmt.Sprint(bits), "layers": layers}
}

// Kept reports where the states of recurrences were kept, −1: nowhere.
func (e *Engine) Kept() int { return e.kept }

// Held reports how many bytes each part of the sequence's state has, which ReadHeld reads and WriteHeld writes.
func (e *Engine) Held() (bytes []int) {
	e.prepare()
	for _, p := range e.held() {
		bytes = append(bytes, 4*p.rows*p.n)
	}
	return bytes
}

// Place gives an empty sequence so many tokens, the position at which its states were kept (−1: nowhere), and how many tokens
// it once had before it was rewound. The caches then hold nothing until WriteHeld fills them.
func (e *Engine) Place(position, kept, reached int) error {
	if e.length != 0 || position < 0 || position > e.Room() || kept < -1 || kept > position || reached < position {
		return fmt.Errorf("a sequence of %d tokens, kept at %d, once of %d: there is room for %d", position, kept, reached, e.Room())
	}
	e.prepare()
	e.length, e.kept, e.reached = position, kept, reached
	return nil
}

// heldPart is a part of a sequence's state: rows of n numbers, a stride apart.
type heldPart struct {
	data            []float32
	rows, n, stride int
}

// held lists all that the caches hold: of each layer the slots in use, head by head, keys before values, and its states.
func (e *Engine) held() (all []heldPart) {
	if e.length == 0 {
		return nil
	}
	add := func(data []float32, rows, n, stride int) { all = append(all, heldPart{data, rows, n, stride}) }
	for i := range e.caches {
		c := &e.caches[i]
		if s := c.state; s != nil {
			memories := []memory{s.now}
			if e.kept >= 0 {
				memories = append(memories, s.kept)
			}
			for _, m := range memories {
				add(m.tail, 1, len(m.tail), len(m.tail))
				add(m.all, 1, len(m.all), len(m.all))
			}
		}
		n := min(e.length, c.capacity)
		for h := range c.heads {
			add(c.keys[h*(c.capacity+simd.TileRows)*c.dim:], 1, n*c.dim, n*c.dim)
			add(c.values[h*simd.Pad(c.elements, simd.TileRows)*c.stride:], c.elements, n, c.stride)
		}
	}
	return all
}

// ReadHeld reads parts of the sequence's state, from the first one on, into data: one slice of the part's size for each.
func (e *Engine) ReadHeld(_ context.Context, first int, data [][]byte) error {
	parts := e.held()
	for i, to := range data {
		p := parts[first+i]
		to = to[:0]
		for r := range p.rows {
			for _, v := range p.data[r*p.stride:][:p.n] {
				to = binary.LittleEndian.AppendUint32(to, math.Float32bits(v))
			}
		}
	}
	return nil
}

// WriteHeld writes parts of the sequence's state, as ReadHeld has read them.
func (e *Engine) WriteHeld(first int, data [][]byte) error {
	parts := e.held()
	for i, from := range data {
		p := parts[first+i]
		for r := range p.rows {
			row := p.data[r*p.stride:][:p.n]
			for j := range row {
				row[j] = math.Float32frombits(binary.LittleEndian.Uint32(from[4*(r*p.n+j):]))
			}
		}
	}
	return nil
}
