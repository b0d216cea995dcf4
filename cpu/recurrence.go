package cpu

import (
	"context"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// memory is what a recurrence remembers at a position.
type memory struct {
	tail []float32 // [Taps−1][Channels], what the convolution was given, the latest last
	all  []float32 // [Heads][KeyDim][ValueDim]
}

func newMemory(m *model.Recurrence) memory {
	return memory{make([]float32, m.Tail()), make([]float32, m.Stored())}
}

func (m memory) copy(from memory) {
	copy(m.tail, from.tail)
	copy(m.all, from.all)
}

// state is the memory of a layer before the batch that is under way, behind it, and where it was kept.
type state struct{ now, next, kept memory }

func newState(m *model.Recurrence) *state { return &state{newMemory(m), newMemory(m), newMemory(m)} }

// stateFloats is how many numbers the state of a layer takes.
func stateFloats(m *model.Recurrence) int { return 3 * (m.Tail() + m.Stored()) }

// recurrence are the weights of a layer's recurrence beside those that attention has as well.
type recurrence struct {
	q, k, v, o              *matrix // those of the layer, or of a recurrence beside attention
	inGate, outGate         *matrix
	inGateBias, outGateBias []float32
	write, decay            *matrix
	conv                    []float32 // [Taps][Channels]
	convBias                []float32 // [Channels]
	decayBias               []float32 // [Heads]
	rate                    []float32 // [Heads], exp(decay_log)
	skip                    []float32 // [Heads], or nil
	norm                    []float32 // or nil
	zeros                   []float32
}

// recurrence finds the weights of layer i's recurrence, and the gate that attention may have, too.
func (f *tensors) recurrence(i int) recurrence {
	m := &f.e.spec.Layer(i).Recurrence
	q, k, v, o := f.e.spec.Layer(i).StateRoles()
	r := recurrence{
		q: f.matrix(q, i), k: f.matrix(k, i), v: f.matrix(v, i), o: f.matrix(o, i),
		inGate: f.matrix(model.RoleInGate, i), outGate: f.matrix(model.RoleOutGate, i),
		inGateBias: f.vector(model.RoleInGateBias, i), outGateBias: f.vector(model.RoleOutGateBias, i),
		write: f.matrix(model.RoleWrite, i), decay: f.matrix(model.RoleDecay, i), decayBias: f.vector(model.RoleDecayBias, i),
		rate: f.vector(model.RoleDecayLog, i), skip: f.vector(model.RoleSkip, i), norm: f.vector(model.RoleHeadsNorm, i),
	}
	if m.Taps == 0 {
		return r
	}
	r.zeros = make([]float32, len(r.norm))
	for h, v := range r.rate {
		r.rate[h] = float32(math.Exp(float64(v)))
	}
	r.conv, r.convBias = make([]float32, m.Taps*m.Channels()), make([]float32, 0, m.Channels())
	channel := 0
	for _, p := range []struct{ weight, bias model.Role }{
		{model.RoleConvQ, model.RoleConvQBias}, {model.RoleConvK, model.RoleConvKBias}, {model.RoleConvV, model.RoleConvVBias},
	} {
		r.convBias = append(r.convBias, f.vector(p.bias, i)...)
		w := f.vector(p.weight, i)
		for c := range len(w) / m.Taps {
			for k := range m.Taps {
				r.conv[k*m.Channels()+channel] = w[c*m.Taps+k]
			}
			channel++
		}
	}
	if len(r.convBias) == 0 {
		r.convBias = make([]float32, m.Channels())
	}
	return r
}

// recur returns what the heads of layer i's recurrence make, [tokens][Width], of the normalized stream x. The state that
// it leaves is that of the next batch.
func (e *Engine) recur(ctx context.Context, i int, r *room, s *state, x []float32, tap tap) ([]float32, error) {
	y := &e.layers[i]
	m, tokens := &y.Recurrence, len(x)/e.spec.Hidden
	if tap.stops(model.RoleV, x) {
		return nil, errTapped
	}
	wide, keys := m.Width(), m.KeyWidth()
	var qBias, kBias, vBias []float32 // else they are those of attention
	if m.Bias {
		qBias, kBias, vBias = y.qBias, y.kBias, y.vBias
	}
	v, gate := r.rows(tokens, wide), r.rows(tokens, wide)
	parts := append(e.work.parts[:0],
		part{matrix: y.recurrence.v, rows: wide, y: v, bias: vBias},
		part{matrix: y.recurrence.outGate, rows: wide, y: gate, bias: y.recurrence.outGateBias})
	var in, q, k, steps, shares []float32
	if m.InGate {
		in = r.rows(tokens, wide)
		parts = append(parts, part{matrix: y.recurrence.inGate, rows: wide, y: in, bias: y.recurrence.inGateBias})
	}
	if keys > 0 {
		q, k, steps = r.rows(tokens, keys), r.rows(tokens, keys), r.rows(tokens, m.Heads)
		parts = append(parts,
			part{matrix: y.recurrence.q, rows: keys, y: q, bias: qBias},
			part{matrix: y.recurrence.k, rows: keys, y: k, bias: kBias},
			part{matrix: y.recurrence.decay, rows: m.Heads, y: steps, bias: y.recurrence.decayBias})
	}
	if m.Delta {
		shares = r.rows(tokens, m.Heads)
		parts = append(parts, part{matrix: y.recurrence.write, rows: m.Heads, y: shares})
	}
	if err := e.product(ctx, r, x, tokens, parts...); err != nil {
		return nil, err
	}
	if m.InGate {
		simd.Multiply(v, in)
	}
	made := e.convolve(y, r, s, tokens, q, k, v)
	if keys > 0 {
		heads := r.rows(tokens, wide)
		w := &e.work.recall
		*w = recall{e: e, y: y, s: s, tokens: tokens, made: made, steps: steps, shares: shares, out: heads}
		s.next.copy(memory{all: s.now.all})
		threads := e.options.Threads
		if 4*tokens*m.Stored() < sharedWork {
			threads = 1
		}
		everybody.run(threads, m.Heads, w)
		made = heads
	}
	gateHeads(y, made, gate, tokens)
	return made, nil
}

// convolve returns the convolution [tokens][Channels] of q, k and v, side by side.
func (e *Engine) convolve(y *layer, r *room, s *state, tokens int, q, k, v []float32) []float32 {
	m, w := &y.Recurrence, &y.recurrence
	n, keys, before := m.Channels(), m.KeyWidth(), m.Taps-1
	all := r.rows(before+tokens, n)
	copy(all, s.now.tail)
	for t := range tokens {
		row := all[(before+t)*n : (before+t+1)*n]
		copy(row, q[t*keys:][:keys])
		copy(row[keys:], k[t*keys:][:keys])
		copy(row[2*keys:], v[t*m.Width():][:m.Width()])
	}
	copy(s.next.tail, all[tokens*n:])
	out := r.rows(tokens, n)
	task := &e.work.convolution
	*task = convolution{e: e, m: m, w: w, given: all, out: out, tokens: tokens}
	threads := e.options.Threads
	if m.Taps*tokens*n < sharedWork {
		threads = 1
	}
	everybody.run(threads, (tokens+convolved-1)/convolved, task)
	return out
}

// convolved is how many tokens one piece of a convolution takes.
const convolved = 8

// convolution is the task of convolving a batch.
type convolution struct {
	e      *Engine
	m      *model.Recurrence
	w      *recurrence
	given  []float32 // [Taps−1+tokens][Channels]
	out    []float32 // [tokens][Channels]
	tokens int
}

// do implements task.
func (v *convolution) do(helper, i int) {
	n := v.m.Channels()
	s := &v.e.work.scratch[helper]
	s.values = grown(s.values, n)
	product := s.values[:n]
	for t := i * convolved; t < min(v.tokens, (i+1)*convolved); t++ {
		row := v.out[t*n : (t+1)*n]
		copy(row, v.w.convBias)
		for tap := range v.m.Taps {
			copy(product, v.given[(t+tap)*n:])
			simd.Multiply(product, v.w.conv[tap*n:])
			simd.Add(row, product, 1)
		}
		if v.m.SiLU {
			simd.SiLU(row)
		}
	}
}

// recall is the task of running heads' memories over the tokens of a batch.
type recall struct {
	e             *Engine
	y             *layer
	s             *state
	tokens        int
	made          []float32 // [tokens][Channels]
	steps, shares []float32 // [tokens][Heads]
	out           []float32 // [tokens][Heads·ValueDim]
}

// do implements task, for head h.
func (w *recall) do(helper, h int) {
	if w.tokens >= leastChunk {
		w.chunks(helper, h)
		return
	}
	m, r := &w.y.Recurrence, &w.y.recurrence
	size := m.KeyDim * m.ValueDim
	all := w.s.next.all[h*size : (h+1)*size]
	of := h / (m.Heads / m.KeyHeads) * m.KeyDim
	s := &w.e.work.scratch[helper]
	s.values = grown(s.values, m.ValueDim)
	held := s.values[:m.ValueDim]
	for t := range w.tokens {
		row := w.made[t*m.Channels():][:m.Channels()]
		q, k := row[of:][:m.KeyDim], row[m.KeyWidth()+of:][:m.KeyDim]
		v := w.value(h, t)
		step, fade := w.step(h, t)
		simd.Scale(all, fade)
		kUnit, qUnit := float32(1), m.ReadScale
		copy(held, v)
		if m.Delta {
			kUnit, qUnit = unit(k), qUnit*unit(q)
			for i, key := range k {
				simd.Add(held, all[i*m.ValueDim:][:m.ValueDim], -key*kUnit)
			}
			step = sigmoid(w.shares[t*m.Heads+h])
		}
		read := w.out[t*m.Width()+h*m.ValueDim:][:m.ValueDim]
		clear(read)
		for i, key := range k {
			cells := all[i*m.ValueDim:][:m.ValueDim]
			simd.Add(cells, held, key*kUnit*step)
			simd.Add(read, cells, q[i]*qUnit)
		}
		if r.skip != nil {
			simd.Add(read, v, r.skip[h])
		}
	}
}

// gateHeads multiplies y [tokens][Width] by gates, and normalizes it before or after.
func gateHeads(l *layer, y, gate []float32, tokens int) {
	m := &l.Recurrence
	if m.SiLU {
		simd.SiLU(gate)
	}
	if m.NormGroups == 0 || m.GateFirst {
		simd.Multiply(y, gate)
	}
	if m.NormGroups == 0 {
		return
	}
	n := m.Width() / m.NormGroups
	for g := range tokens * m.NormGroups {
		at := 0
		if m.GateFirst {
			at = g % m.NormGroups * n
		}
		group := y[g*n : (g+1)*n]
		simd.RMSNorm(group, group, l.recurrence.norm[at:][:n], l.recurrence.zeros[at:][:n], m.NormEps)
	}
	if !m.GateFirst {
		simd.Multiply(y, gate)
	}
}

// gateRead multiplies what heads of attention have read, [tokens][Heads·HeadDim], by the sigmoid of out_gate·x.
func (e *Engine) gateRead(ctx context.Context, y *layer, r *room, x, read []float32, tokens int) error {
	n := len(read) / tokens
	gate := r.rows(tokens, n)
	err := e.product(ctx, r, x, tokens, part{matrix: y.recurrence.outGate, rows: n, y: gate, bias: y.recurrence.outGateBias})
	for i, v := range gate {
		read[i] *= sigmoid(v)
	}
	return err
}

// unit returns what brings x to length 1.
func unit(x []float32) float32 {
	sum := float32(0)
	for _, v := range x {
		sum += v * v
	}
	return float32(1 / math.Sqrt(float64(sum)+1e-6))
}

func softplus(x float32) float32 {
	return float32(math.Log1p(math.Exp(-math.Abs(float64(x)))) + max(float64(x), 0))
}

// recurrenceFloats is how many numbers of activations a recurrence takes, for so many tokens.
func recurrenceFloats(m *model.Recurrence, tokens int) int {
	if m.Taps == 0 {
		return 0
	}
	n := 4*slabRows(tokens, m.Width()) + 2*slabRows(tokens, m.KeyWidth()) + 2*slabRows(tokens, m.Heads)
	return n + slabRows(tokens+m.Taps-1, m.Channels()) + slabRows(tokens, m.Channels())
}
