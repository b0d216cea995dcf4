package cpu

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// With many tokens, the memories of a recurrence are computed by chunks. With d(t, s) what is left at token t of what came at
// token s, and W[t][s] = d(t, s)·(q_t·k_s) for s ≤ t,
//
//	read = W·U + diag(d(t, before))·Q·S
//	S    = d(last, before)·S + Kᵀ·diag(d(last, s))·U
//
// where S is the memory before the chunk and U what is written under the keys: t·v or, by the delta rule, the solution of
// U[t] = share_t·(v_t − d(t, before)·Sᵀ·k_t − Σ d(t, s)·(k_t·k_s)·U[s]), of which each row needs those before it alone.
const (
	chunkTokens = 64
	leastChunk  = 16 // tokens; of fewer, one is taken after the other
)

// chunk is memory for a chunk of a head.
type chunk struct {
	q, k    simd.Matrix // [tokens][KeyDim]
	kT, uT  simd.Matrix // [KeyDim][tokens], [ValueDim][tokens]
	scores  simd.Matrix // [tokens][tokens], of queries
	between simd.Matrix // … of keys
	u       simd.Matrix // [tokens][ValueDim]
	sT      simd.Matrix // [ValueDim][KeyDim], the memory
	left    []float32   // [tokens], d of the token that was last looked at
	fades   []float32   // [tokens], d of each and the one before it
	whole   []float32   // [tokens], d(t, before)
}

func newChunk(m *model.Recurrence) *chunk {
	matrix := func(rows, cols int) simd.Matrix { return simd.NewMatrix(rows, cols, simd.TileTokens*simd.TileRows) }
	return &chunk{
		q: matrix(chunkTokens, m.KeyDim), k: matrix(chunkTokens, m.KeyDim),
		kT: matrix(m.KeyDim, chunkTokens), uT: matrix(m.ValueDim, chunkTokens),
		scores: matrix(chunkTokens, chunkTokens), between: matrix(chunkTokens, chunkTokens),
		u: matrix(chunkTokens, m.ValueDim), sT: matrix(m.ValueDim, m.KeyDim),
		left: make([]float32, chunkTokens), fades: make([]float32, chunkTokens), whole: make([]float32, chunkTokens),
	}
}

// chunkOf returns the memory for chunks of a helper, for recurrences of these sizes.
func (s *scratch) chunkOf(m *model.Recurrence) *chunk {
	if s.chunk == nil || s.chunk.sT.Rows != m.ValueDim || s.chunk.sT.Cols != m.KeyDim {
		s.chunk = newChunk(m)
	}
	return s.chunk
}

// chunks runs the memory of head h over all tokens.
func (w *recall) chunks(helper, h int) {
	m := &w.y.Recurrence
	c := w.e.work.scratch[helper].chunkOf(m)
	all := w.s.next.all[h*m.KeyDim*m.ValueDim:][:m.KeyDim*m.ValueDim]
	transpose(c.sT.Data, c.sT.Stride, all, m.ValueDim, m.KeyDim, m.ValueDim)
	for from := 0; from < w.tokens; from += chunkTokens {
		w.chunk(c, h, from, min(chunkTokens, w.tokens-from))
	}
	transpose(all, m.ValueDim, c.sT.Data, c.sT.Stride, m.ValueDim, m.KeyDim)
}

// transpose sets to, whose rows are so far apart, to the transposed from [rows][cols].
func transpose(to []float32, toStride int, from []float32, fromStride, rows, cols int) {
	for r := range rows {
		row := from[r*fromStride:][:cols]
		for i, v := range row {
			to[i*toStride+r] = v
		}
	}
}

// chunk runs the memory of head h over n tokens.
func (w *recall) chunk(c *chunk, h, from, n int) {
	m := &w.y.Recurrence
	c.resize(n)
	w.enter(c, h, from, n)
	w.weigh(c, h, from, n)
	width := m.Width()
	out := w.out[from*width+h*m.ValueDim:]
	for t := range n {
		simd.Scale(c.q.Row(t), c.whole[t])
	}
	simd.Product(out, width, c.scores, c.uT, false)
	simd.Product(out, width, c.q, c.sT, true)
	simd.Scale(c.sT.Data, c.whole[n-1])
	for j := range m.ValueDim {
		simd.Multiply(c.uT.Row(j), c.left)
	}
	simd.Product(c.sT.Data, c.sT.Stride, c.uT, c.kT, true)
	if skip := w.y.recurrence.skip; skip != nil {
		for t := range n {
			simd.Add(out[t*width:][:m.ValueDim], w.value(h, from+t), skip[h])
		}
	}
}

// resize makes the matrices those of n tokens.
func (c *chunk) resize(n int) {
	for _, m := range []*simd.Matrix{&c.q, &c.k, &c.scores, &c.between, &c.u} {
		m.Rows = n
	}
	for _, m := range []*simd.Matrix{&c.kT, &c.uT, &c.scores, &c.between} {
		if m.Cols = n; n < chunkTokens { // products read zeros behind the columns
			clear(m.Data)
		}
	}
}

// value returns what head h is given at a token.
func (w *recall) value(h, t int) []float32 {
	m := &w.y.Recurrence
	return w.made[t*m.Channels()+2*m.KeyWidth()+h*m.ValueDim:][:m.ValueDim]
}

// enter fills the matrices of a chunk, and the weights that time leaves; without the delta rule, also what is written.
func (w *recall) enter(c *chunk, h, from, n int) {
	m := &w.y.Recurrence
	of := h / (m.Heads / m.KeyHeads) * m.KeyDim
	whole := float32(1)
	for t := range n {
		row := w.made[(from+t)*m.Channels():][:m.Channels()]
		q, k := c.q.Row(t), c.k.Row(t)
		copy(q, row[of:])
		copy(k, row[m.KeyWidth()+of:])
		kUnit, qUnit := float32(1), m.ReadScale
		if m.Delta {
			kUnit, qUnit = unit(k), qUnit*unit(q)
		}
		simd.Scale(k, kUnit)
		simd.Scale(q, qUnit)
		for i, v := range k {
			c.kT.Data[i*c.kT.Stride+t] = v
		}
		step, fade := w.step(h, from+t)
		whole *= fade
		c.fades[t], c.whole[t] = fade, whole
		if !m.Delta {
			for j, v := range w.value(h, from+t) {
				c.uT.Data[j*c.uT.Stride+t] = v * step
			}
		}
	}
}

// weigh sets scores to W, and by the delta rule what is written.
func (w *recall) weigh(c *chunk, h, from, n int) {
	delta := w.y.Recurrence.Delta
	simd.Product(c.scores.Data, c.scores.Stride, c.q, c.k, false)
	if delta {
		simd.Product(c.between.Data, c.between.Stride, c.k, c.k, false)
		simd.Product(c.u.Data, c.u.Stride, c.k, c.sT, false)
	}
	for t := range n {
		simd.Scale(c.left[:t], c.fades[t])
		c.left[t] = 1
		row := c.scores.Row(t)
		simd.Multiply(row[:t+1], c.left)
		clear(row[t+1:])
		if delta {
			w.correct(c, h, t, from+t)
		}
	}
}

// correct sets row t of U, which is that of a token; it is Sᵀ·k so far.
func (w *recall) correct(c *chunk, h, t, token int) {
	u, others := c.u.Row(t), c.between.Row(t)[:t]
	simd.Scale(u, -c.whole[t])
	simd.Add(u, w.value(h, token), 1)
	simd.Multiply(others, c.left)
	for s, weight := range others {
		simd.Add(u, c.u.Row(s), -weight)
	}
	simd.Scale(u, sigmoid(w.shares[token*w.y.Recurrence.Heads+h]))
	for j, v := range u {
		c.uT.Data[j*c.uT.Stride+t] = v
	}
}

// step returns the step of head h at a token, and what it leaves of the memory.
func (w *recall) step(h, t int) (step, fade float32) {
	m := &w.y.Recurrence
	step = max(softplus(w.steps[t*m.Heads+h]), m.StepMin)
	if m.StepMax > 0 {
		step = min(step, m.StepMax)
	}
	return step, float32(math.Exp(-float64(w.y.recurrence.rate[h] * step)))
}
