package cpu

import (
	"slices"

	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// Between two products of a token there is a norm, or the attention of a few positions, and the memory would rest. So a
// goroutine that is done with its share of one product prefetches where its share of the next begins.
const (
	// nextBytes is how much helpers prefetch, which then wait; the caller, who is waited for, prefetches callersBytes.
	nextBytes    = 64 << 10
	callersBytes = 8 << 10
)

// link tells the matrices of each product those of the next, where it is always the same.
func (e *Engine) link() {
	var last *matrix
	then := func(group ...*matrix) {
		if last != nil && !slices.Contains(group, nil) {
			last.next = group
		}
		last = group[len(group)-1]
	}
	for i := range e.layers {
		y := &e.layers[i]
		switch {
		case y.Attention.KVRank > 0 || y.Recurrence.Taps > 0:
			last = nil
			then(y.o)
		case y.Attends():
			then(y.q, y.k, y.v)
			then(y.o)
		}
		switch {
		case !y.Feeds():
		case y.MLP.Experts > 0:
			last = nil
		case y.MLP.Sparse:
			last = nil
		case y.MLP.Gated:
			y.own.gate.twin = y.own.up
			then(y.own.gate)
			then(y.own.down)
		default:
			then(y.own.up)
			then(y.own.down)
		}
		if y.TakesInput {
			then(y.inputGate)
			then(y.inputOut)
		}
	}
	then(e.head)
}

// done implements ending.
func (p *product) done(helper int) {
	next := p.parts[len(p.parts)-1].next
	if len(next) == 0 || p.tokens > vectorTokens {
		return
	}
	bytes, pieces := nextBytes, 0
	if helper == 0 {
		bytes = callersBytes
	}
	for _, m := range next {
		pieces += m.pieces()
	}
	first := helper * pieces / p.e.options.Threads // as team.deal has it
	for _, m := range next {
		if n := m.pieces(); first >= n {
			first -= n
			continue
		}
		m.prefetch(first*vectorRows(m.cols), bytes)
		return
	}
}

// pieces is how many pieces a product with one token has.
func (m *matrix) pieces() int {
	n := vectorRows(m.cols)
	return (m.rows + n - 1) / n
}

// prefetch prefetches so many bytes of rows, half of them of the twin's, if there is one.
func (m *matrix) prefetch(row, bytes int) {
	if m.twin != nil {
		bytes /= 2
		m.twin.prefetch(row, bytes)
	}
	if m.packed != nil {
		from := row * (len(m.packed.Data) / m.rows)
		simd.Prefetch(m.packed.Data[from:min(len(m.packed.Data), from+bytes)])
	}
}
