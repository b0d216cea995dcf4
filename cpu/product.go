package cpu

import (
	"context"
	"math"
	"runtime/debug"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

const (
	// vectorTokens is how many tokens are multiplied one by one by packed rows; more are worth decoding panels for.
	vectorTokens = 3
	// panelRows is how many rows a goroutine decodes at a time: with all their columns they stay in the second-level
	// cache.
	panelRows = 32
	// vectorWeights is about how many weights a goroutine takes at a time, of packed rows.
	vectorWeights = 1 << 15
	// sharedWork is how many multiplications are worth waking other goroutines for, sharedWeights how many by packed rows.
	sharedWork, sharedWeights = 1 << 17, 3 << 16
)

// part is one of the matrices that a product multiplies the same inputs by.
type part struct {
	*matrix
	row0, rows int       // of the matrix
	y          []float32 // [tokens][rows]
	bias       []float32 // [rows], or nil

	numbers    *[4]float32 // of XIELU
	between    *model.MLP  // nil, or what is done to y: the activation, …
	times      *matrix     // … and, of a gated MLP, a product with a second matrix of the same size
	timesBias  []float32
	input      []float32 // of one token after the other, arranged for the rows as they are packed
	timesInput []float32
}

// product is the task of multiplying tokens by matrices.
type product struct {
	e      *Engine
	tokens int
	x      simd.Matrix // [tokens][cols]
	parts  []part
	chunk  int // rows

	mu  sync.Mutex
	err error
}

// worker is what an Engine runs on several goroutines, and what each of these keeps for it.
type worker struct {
	product     product
	attention   attention
	entries     entries
	recall      recall
	convolution convolution
	parts       [7]part   // of a recurrence
	scratch     []scratch // by goroutine
}

// scratch is one goroutine's memory.
type scratch struct {
	panel, decoded, second  []float32
	queries, scores, values []float32
	chunk                   *chunk
}

func (w *worker) init(e *Engine) {
	w.product.e, w.attention.e, w.entries.e = e, e, e
	w.scratch = make([]scratch, e.options.Threads)
}

// row returns n numbers for the caller.
func (w *worker) row(n int) []float32 {
	w.scratch[0].decoded = grown(w.scratch[0].decoded, n)
	return w.scratch[0].decoded[:n]
}

// product multiplies x [tokens][cols] by the rows of parts.
func (e *Engine) product(ctx context.Context, r *room, x []float32, tokens int, parts ...part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &e.work.product
	p.tokens, p.err = tokens, nil
	p.parts = append(p.parts[:0], parts...)
	cols, byVectors := p.parts[0].cols, p.byVectors()
	if byVectors {
		p.chunk = vectorRows(cols)
		p.x = simd.Matrix{Data: x, Rows: tokens, Cols: cols, Stride: cols}
		p.arrange(r, x)
	} else {
		p.chunk = panelRows
		p.x = padded(r, x, tokens, cols)
	}
	work, pieces := 0, 0
	for i := range p.parts {
		q := &p.parts[i]
		work += q.rows * cols
		pieces += (q.rows + p.chunk - 1) / p.chunk
	}
	threads, least := e.options.Threads, sharedWork
	if byVectors {
		least = sharedWeights
	}
	if work*tokens < least {
		threads = 1
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a mapped file may have been cut short
	everybody.run(threads, pieces, p)
	return p.err
}

// vectorRows is how many rows of so many columns a goroutine takes at a time.
func vectorRows(cols int) int { return max(4, vectorWeights/cols) &^ 3 }

// byVectors reports whether tokens are multiplied one by one by packed rows.
func (p *product) byVectors() bool {
	if p.tokens > vectorTokens {
		return false
	}
	for i := range p.parts {
		if q := &p.parts[i]; q.packed == nil || q.times != nil && q.times.packed == nil {
			return false
		}
	}
	return true
}

// arrange prepares the tokens for each order of columns that the parts want.
func (p *product) arrange(r *room, x []float32) {
	for i := range p.parts {
		q := &p.parts[i]
		q.input = p.arranged(r, x, q.matrix, i)
		if q.times != nil {
			if q.timesInput = q.input; q.times.order != q.order {
				q.timesInput = p.arranged(r, x, q.times, i)
			}
		}
	}
}

// arranged returns the tokens as a matrix wants them, from one of the first parts if it wants the same.
func (p *product) arranged(r *room, x []float32, m *matrix, before int) []float32 {
	for i := range before {
		if q := &p.parts[i]; q.order == m.order {
			return q.input
		}
	}
	n, cols := m.arranged, p.x.Cols
	to := r.rows(1, p.tokens*n)
	for t := range p.tokens {
		m.packed.Arrange(to[t*n:(t+1)*n], x[t*cols:(t+1)*cols])
	}
	return to
}

// padded returns x [rows][cols] as the left factor of a product, which is x itself where it is padded already.
func padded(r *room, x []float32, rows, cols int) simd.Matrix {
	if n := simd.Pad(rows, simd.TileTokens) * cols; cols%simd.Lane == 0 && cap(x) >= n {
		return simd.Matrix{Data: x[:n], Rows: rows, Cols: cols, Stride: cols}
	}
	stride := simd.Pad(cols, simd.Lane)
	m := simd.Matrix{Data: r.rows(simd.Pad(rows, simd.TileTokens), stride), Rows: rows, Cols: cols, Stride: stride}
	for i := range rows {
		row := m.Data[i*stride:][:stride]
		clear(row[copy(row, x[i*cols:(i+1)*cols]):])
	}
	return m
}

// do implements task.
func (p *product) do(helper, i int) {
	for k := range p.parts {
		q := &p.parts[k]
		n := (q.rows + p.chunk - 1) / p.chunk
		if i >= n {
			i -= n
			continue
		}
		first := i * p.chunk
		if err := p.guarded(&p.e.work.scratch[helper], q, first, min(p.chunk, q.rows-first)); err != nil {
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
		}
		return
	}
}

// guarded is rows, with an error for a fault in reading a mapped file.
func (p *product) guarded(s *scratch, q *part, first, n int) (err error) {
	defer mapped.Guard(&err)
	return p.rows(s, q, first, n)
}

// rows makes rows first to first+n−1 of a part's products.
func (p *product) rows(s *scratch, q *part, first, n int) error {
	if err := p.multiply(s, q.matrix, q.input, q.row0+first, n, q.y[first:], q.rows); err != nil {
		return err
	}
	var second []float32
	if q.times != nil {
		s.second = grown(s.second, p.tokens*n)
		second = s.second[:p.tokens*n]
		if err := p.multiply(s, q.times, q.timesInput, q.row0+first, n, second, n); err != nil {
			return err
		}
	}
	for t := range p.tokens {
		row := q.y[t*q.rows+first:][:n]
		if q.bias != nil {
			simd.Add(row, q.bias[first:], 1)
		}
		if q.times == nil {
			activate(q.between, q.numbers, row)
			continue
		}
		other := second[t*n:][:n]
		if q.timesBias != nil {
			simd.Add(other, q.timesBias[first:], 1)
		}
		gate(q.between, row, other)
	}
	return nil
}

// multiply sets y, whose rows begin stride numbers apart, to the products with n rows of m.
func (p *product) multiply(s *scratch, m *matrix, input []float32, row0, n int, y []float32, stride int) error {
	if input != nil && p.tokens <= vectorTokens {
		size := m.arranged
		for t := range p.tokens {
			m.packed.MultiplyVector(y[t*stride:][:n], row0, input[t*size:(t+1)*size])
		}
		return nil
	}
	panel, err := p.panel(s, m, row0, n)
	if err != nil {
		return err
	}
	simd.Product(y, stride, p.x, panel, false)
	return nil
}

// panel decodes n rows of m.
func (p *product) panel(s *scratch, m *matrix, row0, n int) (simd.Matrix, error) {
	stride := simd.Pad(m.cols, simd.Lane)
	s.panel = grown(s.panel, panelRows*stride)
	panel := simd.Matrix{Data: s.panel[:simd.Pad(n, simd.TileRows)*stride], Rows: n, Cols: m.cols, Stride: stride}
	if stride == m.cols {
		return panel, p.e.weights.Rows(m.index, row0, n, panel.Data[:n*m.cols])
	}
	s.decoded = grown(s.decoded, panelRows*m.cols)
	if err := p.e.weights.Rows(m.index, row0, n, s.decoded[:n*m.cols]); err != nil {
		return panel, err
	}
	for i := range n {
		row := panel.Data[i*stride:][:stride]
		clear(row[copy(row, s.decoded[i*m.cols:(i+1)*m.cols]):])
	}
	return panel, nil
}

// gate makes gates act(gates)·ups, bounded and moved as the MLP says.
func gate(m *model.MLP, gates, ups []float32) {
	if m.Limit != 0 {
		for i, v := range gates {
			gates[i] = min(v, m.Limit)
		}
		for i, v := range ups {
			ups[i] = max(-m.Limit, min(v, m.Limit))
		}
	}
	activate(m, nil, gates)
	if m.UpOffset != 0 {
		for i := range ups {
			ups[i] += m.UpOffset
		}
	}
	simd.Multiply(gates, ups)
}

// activate applies an MLP's activation to x; nil leaves it.
func activate(m *model.MLP, numbers *[4]float32, x []float32) {
	switch {
	case m == nil:
	case m.Activation == model.XIELU:
		xielu(numbers, x)
	case m.Slope != 0:
		simd.Swish(x, m.Slope)
	case m.Activation == model.SiLU:
		simd.SiLU(x)
	case m.Activation == model.GELUTanh:
		simd.GELUTanh(x)
	case m.Activation == model.GELU:
		for i, v := range x {
			x[i] = float32(float64(v) / 2 * (1 + math.Erf(float64(v)/math.Sqrt2)))
		}
	case m.Activation == model.ReLU2:
		for i, v := range x {
			x[i] = max(v, 0) * max(v, 0)
		}
	default: // ReLU: Validate knows no other
		for i, v := range x {
			x[i] = max(v, 0)
		}
	}
}

// xielu applies XIELU by the numbers of model.ActRoles.
func xielu(numbers *[4]float32, x []float32) {
	positive := math.Log1p(math.Exp(float64(numbers[0])))
	beta, eps := float64(numbers[2]), float64(numbers[3])
	negative := beta + math.Log1p(math.Exp(float64(numbers[1])))
	for i, v := range x {
		v := float64(v)
		if v > 0 {
			x[i] = float32(positive*v*v + beta*v)
		} else {
			x[i] = float32((math.Expm1(min(v, eps))-v)*negative + beta*v)
		}
	}
}
