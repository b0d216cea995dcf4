package cpu

import "github.com/llama-webgpu/llama-webgpu/kernels/simd"

// room is memory for the activations of one layer: slices are cut off a slab, and all given back at once. The zero room
// leaves them to the garbage collector.
type room struct {
	slab []float32
	used int
	late int // how many slices the slab had no room for: none, if it was planned well
}

func newRoom(floats int) *room { return &room{slab: make([]float32, floats)} }

// rows returns [n][cols], not cleared, with what a product reads beyond it.
func (r *room) rows(n, cols int) []float32 {
	size := slabRows(n, cols)
	switch {
	case r.slab == nil:
		return make([]float32, size)[:n*cols]
	case r.used+size > len(r.slab):
		r.late++
		return make([]float32, size)[:n*cols]
	}
	r.used += size
	return r.slab[r.used-size : r.used][:n*cols]
}

// slabRows is how many numbers rows takes.
func slabRows(n, cols int) int { return simd.Pad(simd.Pad(n, simd.TileTokens)*cols, 16) }

func (r *room) reset()        { r.used = 0 }
func (r *room) mark() int     { return r.used }
func (r *room) release(m int) { r.used = m }

// plan returns how many numbers a layer takes at most for so many tokens.
func (e *Engine) plan(tokens int) int {
	most := 0
	for i := range e.spec.Kinds {
		y := &e.spec.Kinds[i]
		a, m, h := &y.Attention, &y.MLP, slabRows(tokens, e.spec.Hidden)
		attention := 2*slabRows(tokens, a.Heads*a.HeadDim) + 2*slabRows(tokens, a.KVHeads*a.HeadDim)
		switch {
		case a.KVRank > 0:
			attention = latentFloats(a, tokens)
		case a.Gated:
			attention += slabRows(tokens, a.Heads*a.HeadDim)
		}
		if y.Recurrence.Taps > 0 {
			attention += recurrenceFloats(&y.Recurrence, tokens)
		}
		if y.Twofold() {
			attention += 2 * h
		}
		width := slabRows(tokens, max(m.Intermediate, m.Shared))
		narrow := 0
		if m.ExpertWidth > 0 {
			narrow = h + 2*slabRows(tokens, m.ExpertWidth)
		}
		if m.Sparse {
			width += slabRows(tokens, m.Intermediate)
		}
		if e.spec.Streams.Count > 0 { // what was before the branches, and what mixes streams or goes around attention
			attention += 3*h + slabRows(tokens, y.Shortcut)
			n := e.spec.Streams.Count
			mixing := slabRows(tokens, n) + slabRows(tokens, n*n) + slabRows(n, e.spec.Hidden)
			attention, width = max(attention, mixing+2*h), width+h+mixing
		}
		if m.Apart {
			width += 2 * h // inputs of the router and of the shared expert, and what the latter makes
		}
		padded := slabRows(tokens, simd.Pad(max(e.spec.Hidden, y.Mixed(), y.Recurrence.Width(), a.QRank, m.Intermediate, m.Shared, m.ExpertWidth, e.spec.LayerInputs.Width, y.Shortcut), simd.Lane))
		arranged := 2 * vectorTokens * (padded + padded/4 + 4*256) // integers take more than numbers
		// The input of the MLP, the normalized stream and what is added to it; and the larger of the two branches.
		n := 3*h + max(attention, 2*max(h, narrow)+narrow+2*width+slabRows(tokens, max(1, m.Experts))) + 3*padded + arranged
		most = max(most, n)
	}
	if n := e.spec.LayerInputs.Width; n > 0 {
		h := slabRows(tokens, simd.Pad(e.spec.Hidden, simd.Lane))
		most = max(most, slabRows(tokens, len(e.spec.Layers)*n)+h+vectorTokens*(2*h+1024))
	}
	return max(most, 3*vectorTokens*(2*slabRows(tokens, simd.Pad(e.spec.Hidden, simd.Lane))+1024))
}

// Memory says what an Engine holds, in bytes. Weights that are used where they lie, in a mapped file, are not in it.
type Memory struct {
	Vectors     int64 // norms and biases
	Cache       int64 // keys and values, of the whole context, and states of recurrences
	Activations int64
	Logits      int64
	Mapped      int64 // matrices that are read from mapped files
}

// Own adds up what an Engine allocates.
func (m Memory) Own() int64 { return m.Vectors + m.Cache + m.Activations + m.Logits }

// Memory plans what Forward takes.
func (e *Engine) Memory() Memory {
	var m Memory
	m.Activations = 4 * int64(e.plan(e.batch)+e.batch*(e.spec.Hidden*max(1, e.spec.Streams.Count)+len(e.spec.Layers)*e.spec.LayerInputs.Width))
	m.Logits = 4 * int64(e.spec.Vocab)
	for i, t := range e.weights.Tensors() {
		n := int64(t.Rows()) * int64(t.Cols())
		if t.Quantizable() {
			if p := packed(e.weights, i, &matrix{rows: t.Rows(), cols: t.Cols()}); p != nil {
				m.Mapped += int64(len(p.Data))
			}
		} else if t.Rows() == 1 || len(t.Shape) < 2 {
			m.Vectors += 4 * n
		}
	}
	for i := range e.spec.Layers {
		m.Cache += 4 * int64(cacheFloats(e.spec.Layer(i), e.reach(i)+e.batch))
	}
	return m
}

// TokenWork says what a token costs: the bytes of weights, and of cached keys and values, that it must read after so many
// others, and how many weights of layers it is multiplied by.
func (e *Engine) TokenWork(context int) (weights, cache, multiplied int64) {
	add := func(m *matrix, times, of int) int64 {
		if m == nil {
			return 0
		}
		n := int64(m.rows) * int64(m.cols)
		size := 4 * n
		if m.packed != nil {
			size = int64(len(m.packed.Data))
		}
		weights += size * int64(times) / int64(of)
		return n * int64(times) / int64(of)
	}
	for i := range e.layers {
		y := &e.layers[i]
		for _, m := range []*matrix{y.q, y.k, y.v, y.o, y.recurrence.inGate, y.recurrence.outGate, y.recurrence.write, y.recurrence.decay, y.router, y.sharedRouter, y.expertIn, y.expertOut, y.shared.gate, y.shared.up, y.shared.down, y.inputGate, y.inputOut, y.streams.router, y.streams.shortcutIn, y.streams.shortcutOut} {
			multiplied += add(m, 1, 1)
		}
		if s := &y.recurrence; y.Twofold() {
			multiplied += add(s.q, 1, 1) + add(s.k, 1, 1) + add(s.v, 1, 1) + add(s.o, 1, 1)
		}
		for _, m := range []*matrix{y.own.gate, y.own.up, y.own.down} {
			multiplied += add(m, max(1, y.MLP.TopK), max(1, y.MLP.Experts))
		}
		a := &y.Attention
		cache += 2 * 4 * int64(min(context+1, e.reach(i))) * int64(a.KVHeads*a.HeadDim)
		cache += 2 * 4 * int64(y.Recurrence.Tail()+y.Recurrence.Stored())
	}
	multiplied += add(e.layerProject, 1, 1) + add(e.streamIn, 1, 1) + add(e.streamOut, 1, 1)
	add(e.head, 1, 1)
	return weights, cache, multiplied
}

// Skip makes the next token one at a position of the context, as if so many had been fed: for measuring speed. What the
// caches hold of them is whatever they hold.
func (e *Engine) Skip(position int) {
	e.prepare()
	e.length = position
}
