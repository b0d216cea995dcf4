package convert

import (
	"context"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Judge measures what a model loses. Sums and Drift may be called at the same time, each by one goroutine.
type Judge interface {
	// Sums returns what calibration text says of the inputs of matrix i in the float model.
	Sums(ctx context.Context, i int) (*quant.Sums, error)
	// Drift returns the mean KL divergence, in nats, of the float model with matrix i alone replaced by
	// blocks, all rows of them.
	Drift(ctx context.Context, i int, s block.Scheme, blocks []byte) (float64, error)
}

// Sensitivity is what the matrices of a model's layers cost it, by their names: each alone, in every scheme
// that Allocate chooses from.
type Sensitivity map[string][]Cost

// Cost is what one matrix in one scheme costs the model.
type Cost struct {
	Bits     int     `json:"bits"`
	Block    int     `json:"block"`
	Error    float64 `json:"error"` // Σ (w−ŵ)ᵀ·H·(w−ŵ) over a sample of rows: how wrong the outputs are
	Drift    float64 `json:"drift"` // mean KL divergence, nats
	Measured bool    `json:"measured"`
}

func (c Cost) scheme() block.Scheme { return block.Scheme{Bits: c.Bits, Block: c.Block} }

// schemes are what the matrices of layers are chosen from.
var schemes = []block.Scheme{
	{Bits: 2, Block: 256},
	{Bits: 2, Block: 128},
	{Bits: 2, Block: 64},
	{Bits: 2, Block: 32},
	{Bits: 4, Block: 256},
	{Bits: 4, Block: 128},
	{Bits: 4, Block: 64},
	{Bits: 4, Block: 32},
	{Bits: 8, Block: 128},
}

// measured are the schemes whose drift is measured, the others' follows from theirs, see estimate.
var measured = []block.Scheme{{Bits: 2, Block: 256}, {Bits: 2, Block: 32}, {Bits: 4, Block: 128}}

// Check reports costs that are not those of the model's matrices.
func (s Sensitivity) Check(w model.Weights) error {
	known := map[string]bool{}
	for _, t := range w.Tensors() {
		known[t.Name] = allocatable(t)
	}
	for name, costs := range s {
		if !known[name] {
			return fmt.Errorf("tensor %q: is no matrix in a layer of this model", name)
		}
		if len(costs) != len(schemes) {
			return fmt.Errorf("tensor %q: %d schemes, want %d", name, len(costs), len(schemes))
		}
		for i, c := range costs {
			switch {
			case c.scheme() != schemes[i]:
				return fmt.Errorf("tensor %q: int%d in blocks of %d, want int%d in blocks of %d", name, c.Bits, c.Block, schemes[i].Bits, schemes[i].Block)
			case !(c.Drift >= 0 && c.Error >= 0) || math.IsInf(c.Drift+c.Error, 0):
				return fmt.Errorf("tensor %q: int%d in blocks of %d: error %v, drift %v: want 0 or more", name, c.Bits, c.Block, c.Error, c.Drift)
			}
		}
	}
	return nil
}

// allocatable reports whether a tensor is a matrix that Allocate chooses for.
func allocatable(t model.Tensor) bool { return t.Layer != model.NoLayer && t.Quantizable() }

// unknown returns the matrices that are still to be measured: those that neither s has nor the options fix.
func (s Sensitivity) unknown(tensors []model.Tensor, o *Options) (todo []int) {
	for i, t := range tensors {
		if _, fixed := o.fixed(t); allocatable(t) && !fixed && s[t.Name] == nil {
			todo = append(todo, i)
		}
	}
	return todo
}

// Missing reports how many matrices Measure would measure for such options.
func (s Sensitivity) Missing(w model.Weights, o Options) int { return len(s.unknown(w.Tensors(), &o)) }

// Measure adds to s what matrices cost that s does not have and the options leave open. While the judge
// measures one matrix, the next is encoded by all threads. Each time that s has one more, more is called with
// the number of those that are done, and with that of all; its error ends the measurement.
func (s Sensitivity) Measure(ctx context.Context, src model.Weights, o Options, judge Judge, more func(done, total int) error) error {
	if err := o.complete(); err != nil {
		return err
	}
	todo := s.unknown(src.Tensors(), &o)
	ready := make(chan *candidates, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(ready)
		e := candidateEncoder{src: src, o: &o, judge: judge}
		for _, i := range todo {
			c, err := e.encode(ctx, i)
			if err != nil {
				return fmt.Errorf("allocation: tensor %q: %w", src.Tensors()[i].Name, err)
			}
			select {
			case ready <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		done := 0
		for c := range ready {
			t := src.Tensors()[c.matrix]
			costs, err := c.judged(ctx, judge)
			if err != nil {
				return fmt.Errorf("allocation: tensor %q: %w", t.Name, err)
			}
			s[t.Name] = costs
			done++
			if err := more(done, len(todo)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return group.Wait()
}

// candidates are one matrix in all schemes.
type candidates struct {
	matrix int
	blocks map[block.Scheme][]byte // of the measured schemes
	errors []float64               // by scheme, see Cost
}

// judged measures what is to be measured, and estimates the rest.
func (c *candidates) judged(ctx context.Context, judge Judge) ([]Cost, error) {
	costs := make([]Cost, len(schemes))
	for i, s := range schemes {
		costs[i] = Cost{Bits: s.Bits, Block: s.Block, Error: c.errors[i]}
		blocks, ok := c.blocks[s]
		if !ok {
			continue
		}
		drift, err := judge.Drift(ctx, c.matrix, s, blocks)
		if err != nil {
			return nil, err
		}
		if !(drift >= 0) || math.IsInf(drift, 0) {
			return nil, fmt.Errorf("int%d in blocks of %d: the mean KL divergence is %v", s.Bits, s.Block, drift)
		}
		costs[i].Drift, costs[i].Measured = drift, true
	}
	estimate(costs)
	return costs, nil
}

// estimate fills in the drift of schemes that were not measured. A matrix's drift grows with the error of its
// outputs: between two measured schemes of as many bits by a power, else in proportion to a measured one.
func estimate(costs []Cost) {
	for i, c := range costs {
		if c.Measured {
			continue
		}
		more, less := neighbors(costs, c)
		costs[i].Drift = less.Drift * ratio(c.Error, less.Error)
		if more.Error > c.Error && c.Error > less.Error && less.Error > 0 && less.Drift > 0 && more.Drift > 0 {
			power := math.Log(more.Drift/less.Drift) / math.Log(more.Error/less.Error)
			costs[i].Drift = less.Drift * math.Pow(c.Error/less.Error, power)
		}
	}
}

// neighbors returns the measured schemes of most and of least error that have as many bits as c; where there
// are none, the last one measured.
func neighbors(costs []Cost, c Cost) (more, less Cost) {
	found := false
	for _, k := range costs {
		switch {
		case !k.Measured:
		case k.Bits != c.Bits:
			if !found {
				more, less = k, k
			}
		case !found:
			more, less, found = k, k, true
		case k.Error > more.Error:
			more = k
		case k.Error < less.Error:
			less = k
		}
	}
	return more, less
}

// ratio is a/b, or 1 where there is no telling.
func ratio(a, b float64) float64 {
	if a > 0 && b > 0 {
		return a / b
	}
	return 1
}

// candidateEncoder encodes matrices in all schemes, as they are when nothing else is quantized.
type candidateEncoder struct {
	src   model.Weights
	o     *Options
	judge Judge

	last     model.Tensor // whose inputs feedback is for
	feedback *quant.Feedback
}

// What candidates are encoded with: fewer rounds than in the bundle, and where nothing is measured, only some
// of the rows, to know how wrong the outputs are.
const (
	candidateRounds = 1
	sampleRows      = 4  // one row of so many
	fewRows         = 64 // or all, if these were fewer
)

// encode encodes matrix i with all threads at once.
func (e *candidateEncoder) encode(ctx context.Context, i int) (*candidates, error) {
	t := e.src.Tensors()[i]
	if err := e.prepare(ctx, i, t); err != nil {
		return nil, err
	}
	rows := make([]float32, t.Rows()*t.Cols())
	if err := e.src.Rows(i, 0, t.Rows(), rows); err != nil {
		return nil, err
	}
	every := 1
	if t.Rows() >= fewRows*sampleRows {
		every = sampleRows
	}
	c := &candidates{matrix: i, blocks: map[block.Scheme][]byte{}, errors: make([]float64, len(schemes))}
	losses := make([][]float64, len(schemes)) // of each row
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(e.o.Threads)
	for k, s := range schemes {
		losses[k] = make([]float64, t.Rows())
		step, to := every, []byte(nil)
		if slices.Contains(measured, s) {
			step, to = 1, make([]byte, t.Rows()*s.RowBytes(t.Cols()))
			c.blocks[s] = to
		}
		for _, part := range strips(t.Rows(), step, e.o.Threads) {
			group.Go(func() error { return e.rows(ctx, s, rows, part, step, to, losses[k]) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for k := range schemes {
		for r := 0; r < t.Rows(); r += every {
			c.errors[k] += losses[k][r]
		}
	}
	return c, nil
}

// strip is a run of rows, from … to−1.
type strip struct{ from, to int }

// strips cuts rows into n strips that begin at multiples of step.
func strips(rows, step, n int) (all []strip) {
	size := max(1, (rows/step+n-1)/n) * step
	for at := 0; at < rows; at += size {
		all = append(all, strip{at, min(at+size, rows)})
	}
	return all
}

// rows encodes every step-th row of a strip; to takes the blocks of the whole matrix, unless it is nil.
func (e *candidateEncoder) rows(ctx context.Context, s block.Scheme, rows []float32, part strip, step int, to []byte, losses []float64) error {
	r, err := quant.NewRounder(e.feedback, s, quant.Options{Sanitize: e.o.Sanitize, Saturate: e.o.Saturate}, candidateRounds)
	if err != nil {
		return err
	}
	cols, size := e.last.Cols(), s.RowBytes(e.last.Cols())
	const together = quant.RowsAtATime
	w, dst := make([]float32, 0, together*cols), make([]byte, together*size)
	for i := part.from; i < part.to; i += together * step {
		if err := ctx.Err(); err != nil {
			return err
		}
		w = w[:0]
		end := min(i+together*step, part.to)
		for k := i; k < end; k += step {
			w = append(w, rows[k*cols:(k+1)*cols]...)
		}
		out := dst[:len(w)/cols*size]
		if to != nil { // then step is 1
			out = to[i*size : end*size]
		}
		if bad, err := r.Rows(out, w); err != nil {
			return fmt.Errorf("row %d: %w", i+bad*step, err)
		}
		for k, loss := range r.Losses {
			losses[i+k*step] = loss
		}
	}
	return nil
}

// prepare makes the feedback for matrix i, unless it is that of the matrix before.
func (e *candidateEncoder) prepare(ctx context.Context, i int, t model.Tensor) error {
	if e.feedback != nil && sameInputs(&bundle.Tensor{Role: t.Role, Layer: t.Layer}, &bundle.Tensor{Role: e.last.Role, Layer: e.last.Layer}) {
		e.last = t
		return nil
	}
	sums, err := e.judge.Sums(ctx, i)
	if err != nil {
		return err
	}
	e.last = t
	e.feedback, err = quant.NewFeedback(sums.Inputs, t.Cols(), dampingOf(sums.Tokens, t.Cols()))
	return err
}
