package cpu

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// Shift drops some tokens after the first keep, and moves those after them to the positions that become free: their keys are
// rotated by the difference, not computed anew. It reports whether the caches allow that; if not, nothing changes.
func (e *Engine) Shift(keep, drop int) (bool, error) {
	if !e.canShift(keep, drop) {
		return false, nil
	}
	for i := range e.caches {
		if !e.layers[i].Caches() {
			continue
		}
		m := mover{e: e, layer: i, keep: keep, drop: drop}
		m.run()
		e.caches[i].forget(e.length-drop, e.length)
		if e.caches[i].capacity < e.length {
			e.floor = e.length - drop
		}
	}
	e.length -= drop
	e.reached = 0
	return true, nil
}

func (e *Engine) canShift(keep, drop int) bool {
	if keep < 0 || drop <= 0 || keep+drop > e.length || !e.spec.Shifts() {
		return false
	}
	for i := range e.caches {
		if y := &e.layers[i]; y.Caches() && (e.Reached() > max(e.length, e.caches[i].capacity) || !y.Attention.Holds(e.caches[i].capacity, e.length, keep, drop, e.options.MaxSeqLen)) {
			return false
		}
	}
	return true
}

// mover moves the keys and values of one layer.
type mover struct {
	e                 *Engine
	layer, keep, drop int
	cos, sin          []float32 // of the rotation by −drop; nil: none
	interleaved       bool
}

func (m *mover) run() {
	c, a := &m.e.caches[m.layer], &m.e.layers[m.layer].Attention
	m.turn(a)
	from := max(m.keep+m.drop, m.e.length-c.capacity) // the first position that moves
	n := m.e.length - from
	keys, values := make([]float32, n*c.dim), make([]float32, n)
	for h := range c.heads {
		own := c.keysOf(h, 0, c.capacity).Data[:c.capacity*c.dim]
		for i := range n {
			key := keys[i*c.dim:][:c.dim]
			copy(key, own[(from+i)%c.capacity*c.dim:][:c.dim])
			m.rotate(a, key[:c.width])
		}
		for i := range n {
			copy(own[(from-m.drop+i)%c.capacity*c.dim:][:c.dim], keys[i*c.dim:])
		}
		all := c.valuesOf(h, 0, c.capacity)
		for j := range c.elements {
			row := all.Data[j*c.stride:][:c.capacity]
			for i := range values {
				values[i] = row[(from+i)%c.capacity]
			}
			for i, v := range values {
				row[(from-m.drop+i)%c.capacity] = v
			}
		}
	}
}

// turn prepares the rotation.
func (m *mover) turn(a *model.Attention) {
	if a.RoPE < 0 {
		return
	}
	r := &m.e.ropes[a.RoPE]
	m.interleaved = r.interleaved
	for _, f := range r.freq {
		sin, cos := math.Sincos(-float64(m.drop) * float64(f))
		m.cos, m.sin = append(m.cos, float32(cos)), append(m.sin, float32(sin))
	}
}

// rotate rotates a key, as the cache has it: its beginning or, behind a latent vector, its end.
func (m *mover) rotate(a *model.Attention, key []float32) {
	if m.cos == nil {
		return
	}
	r := rotation{freq: m.cos, cos: m.cos, sin: m.sin, interleaved: m.interleaved}
	r.rotate(key[a.KVRank:], 0)
	if m.e.options.KVFloat16 && m.e.spec.KVBits(m.layer, 16) == 16 {
		simd.RoundFloat16(key)
	}
}
