package cpu

import (
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// cache holds the keys and values of one layer. Position p has slot p mod capacity.
type cache struct {
	state    *state // of a layer with a recurrence; without attention, there is nothing else
	capacity int
	dim      int       // of a key, with padding
	stride   int       // between the rows of values
	keys     []float32 // [KVHeads][capacity+TileRows][dim]
	values   []float32 // [KVHeads][elements, padded to TileRows][stride]: a row for each element, so that products sum over positions
	heads    int
	width    int // of a key
	elements int // of a value
}

func newCache(y *model.Layer, capacity int) cache {
	var c cache
	if y.Caches() {
		c = cacheOf(&y.Attention, capacity)
		c.keys, c.values = make([]float32, c.keyFloats()), make([]float32, c.valueFloats())
	}
	if y.Recurrence.Taps > 0 {
		c.state = newState(&y.Recurrence)
	}
	return c
}

// cacheOf lays out a cache for what model.Attention.Core describes.
func cacheOf(of *model.Attention, capacity int) cache {
	a := of.Core()
	return cache{
		capacity: capacity, dim: simd.Pad(a.HeadDim, simd.Lane), heads: a.KVHeads, width: a.HeadDim, elements: a.ValueWidth(),
		// Beyond the slots there are zeros. A stride that is no power of two spreads a column over the processor's caches.
		stride: simd.Pad(capacity, simd.Lane) + simd.Lane,
	}
}

func cacheFloats(y *model.Layer, capacity int) int {
	n := 0
	if y.Recurrence.Taps > 0 {
		n = stateFloats(&y.Recurrence)
	}
	if y.Caches() {
		c := cacheOf(&y.Attention, capacity)
		n += c.keyFloats() + c.valueFloats()
	}
	return n
}

func (c *cache) keyFloats() int   { return c.heads * (c.capacity + simd.TileRows) * c.dim }
func (c *cache) valueFloats() int { return c.heads * simd.Pad(c.elements, simd.TileRows) * c.stride }

// put stores the heads k and v of a position.
func (c *cache) put(position int, k, v []float32) {
	slot, n, d := position%c.capacity, c.width, c.elements
	for h := range c.heads {
		copy(c.keys[(h*(c.capacity+simd.TileRows)+slot)*c.dim:], k[h*n:(h+1)*n])
		column := c.values[h*simd.Pad(d, simd.TileRows)*c.stride+slot:]
		for j, x := range v[h*d : (h+1)*d] {
			column[j*c.stride] = x
		}
	}
}

// keysOf returns the keys of a head from a slot on, n of them.
func (c *cache) keysOf(h, slot, n int) simd.Matrix {
	return simd.Matrix{Data: c.keys[(h*(c.capacity+simd.TileRows)+slot)*c.dim:], Rows: n, Cols: c.dim, Stride: c.dim}
}

// valuesOf returns the values of a head from a slot on, of n positions.
func (c *cache) valuesOf(h, slot, n int) simd.Matrix {
	return simd.Matrix{Data: c.values[h*simd.Pad(c.elements, simd.TileRows)*c.stride+slot:], Rows: c.elements, Cols: n, Stride: c.stride}
}

// forget clears the values of positions from `from` to before `to`: products read a little beyond the last position, times 0, and
// what is there must be finite.
func (c *cache) forget(from, to int) {
	if c.state != nil && from == 0 && to > 0 {
		clear(c.state.now.tail)
		clear(c.state.now.all)
	}
	n := min(to-from, c.capacity)
	for row := 0; n > 0 && row < len(c.values); row += c.stride {
		slot := from % c.capacity
		first := min(n, c.capacity-slot)
		clear(c.values[row+slot:][:first])
		clear(c.values[row:][:n-first])
	}
}

// reach reports how many positions a token of the layer can see at most, itself included.
func (e *Engine) reach(layer int) int {
	return e.spec.Layer(layer).Attention.Reach(e.options.MaxSeqLen)
}

// oldest returns the first position that the one at p sees.
func (e *Engine) oldest(a *model.Attention, p int) int { return a.Oldest(p, e.options.MaxSeqLen) }

// overflow remembers the first layer with keys or values beyond float16.
type overflow struct{ first atomic.Int32 } // 1 + the layer; 0: none

func (o *overflow) reset()         { o.first.Store(0) }
func (o *overflow) layer() int     { return int(o.first.Load()) - 1 }
func (o *overflow) note(layer int) { o.first.CompareAndSwap(0, int32(layer)+1) }
