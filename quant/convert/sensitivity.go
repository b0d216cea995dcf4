package convert

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Judge measures what quantization does to a model. Sums and Drift may be called at the same time, each by
// one goroutine.
type Judge interface {
	// Sums returns what calibration text says of the inputs of matrix i in the float model.
	Sums(ctx context.Context, i int) (*quant.Sums, error)
	// ExpertSums returns what it says of the inputs of expert e's matrix in a stack.
	ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error)
	// Drift returns the mean KL divergence, in nats, of the float model with matrix i alone replaced by
	// blocks, all rows of them.
	Drift(ctx context.Context, i int, s block.Scheme, blocks []byte) (float64, error)
	// Slow says that measuring takes long: then only one drift is measured for each matrix.
	Slow() bool
}

// Sensitivity has the costs of the matrices of a model's layers, by name: of each alone, in every scheme
// that Allocate chooses from.
type Sensitivity map[string][]Cost

// Cost is what storing one matrix in one scheme does to the model.
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
	{Bits: 8, Block: 64},
}

// measured returns the schemes whose drift is measured for a matrix with this many columns; estimate tells that of the
// others. They are four bits and, unless that takes too long, two bits in the largest blocks that fit the row and in the
// smallest. With four bits, drift is in proportion to the error of the outputs. With two it need not be: that of the
// values has long stopped growing by then, and says too little of what four bits cost.
func measured(cols int, slow bool) []block.Scheme {
	four := block.Scheme{Bits: 4, Block: fitBlock(4, 128, cols)}
	if slow {
		return []block.Scheme{four}
	}
	return []block.Scheme{{Bits: 2, Block: fitBlock(2, 256, cols)}, {Bits: 2, Block: 32}, four}
}

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

// Measure adds to s the costs of the matrices that s lacks and that the options leave open. While the judge
// measures one matrix, all threads encode the next. After each matrix, more is called with the number of
// those that are done and the number of all; its error ends the measurement.
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
	cols   int
	rows   []float32               // while they are encoded
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

	last     model.Tensor // the matrix before
	feedback *quant.Feedback
	all      *quant.Sums // over all experts of a layer, see ofExpert
}

// What candidates are encoded with: fewer rounds than in the bundle, and where nothing is measured, only some
// of the rows, to know how wrong the outputs are.
const (
	candidateRounds = 1
	sampleRows      = 8  // one row of so many
	fewRows         = 32 // or all, if these were fewer
)

// encode encodes matrix i, or the matrices of the experts that are stacked there, with all threads at once.
func (e *candidateEncoder) encode(ctx context.Context, i int) (*candidates, error) {
	t := e.src.Tensors()[i]
	defer func() { e.last = t }()
	rows := make([]float32, t.Rows()*t.Cols())
	if err := e.src.Rows(i, 0, t.Rows(), rows); err != nil {
		return nil, err
	}
	c := &candidates{matrix: i, cols: t.Cols(), rows: rows, blocks: map[block.Scheme][]byte{}, errors: make([]float64, len(schemes))}
	for _, s := range measured(t.Cols(), e.judge.Slow()) {
		c.blocks[s] = make([]byte, t.Rows()*s.RowBytes(t.Cols()))
	}
	parts := 1
	if len(t.Shape) == 3 {
		parts = t.Shape[0]
	}
	for k := range parts {
		f, err := e.feedbackFor(ctx, i, k, t)
		if err == nil {
			err = c.part(ctx, e.o, f, strip{k * t.Rows() / parts, (k + 1) * t.Rows() / parts})
		}
		if err != nil {
			return nil, err
		}
	}
	c.rows = nil
	return c, nil
}

// feedbackFor returns the feedback for part k of matrix i, nil if the search is to stand in.
func (e *candidateEncoder) feedbackFor(ctx context.Context, i, k int, t model.Tensor) (*quant.Feedback, error) {
	shares := t.SharesInputs(e.last)
	if !shares {
		e.all = nil
	}
	if len(t.Shape) == 3 {
		e.feedback = nil
		sums, damp, _, err := ofExpert(ctx, e.judge, &e.all, i, k, t)
		if err != nil || sums == nil {
			return nil, err
		}
		return quant.NewFeedback(sums.Inputs, t.Cols(), damp)
	}
	if e.feedback != nil && shares {
		return e.feedback, nil
	}
	sums, err := e.judge.Sums(ctx, i)
	if err == nil {
		e.feedback, err = quant.NewFeedback(sums.Inputs, t.Cols(), dampingOf(sums.Tokens, t.Cols()))
	}
	return e.feedback, err
}

// part encodes the rows of one part in all schemes.
func (c *candidates) part(ctx context.Context, o *Options, f *quant.Feedback, part strip) error {
	every := 1
	if part.to-part.from >= fewRows*sampleRows {
		every = sampleRows
	}
	losses := make([][]float64, len(schemes)) // of each row
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.Threads)
	for k, s := range schemes {
		losses[k] = make([]float64, part.to-part.from)
		step, to := every, c.blocks[s]
		if to != nil {
			step = 1
		}
		for _, some := range part.cut(step, o.Threads) {
			group.Go(func() error {
				return c.encode(ctx, o, f, s, some, step, to, losses[k][some.from-part.from:])
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for k := range schemes {
		for r := 0; r < part.to-part.from; r += every {
			c.errors[k] += losses[k][r]
		}
	}
	return nil
}

// strip is a run of rows, from … to−1.
type strip struct{ from, to int }

// cut cuts a strip into n strips that begin multiples of step behind its own beginning.
func (s strip) cut(step, n int) (all []strip) {
	size := max(1, ((s.to-s.from)/step+n-1)/n) * step
	for at := s.from; at < s.to; at += size {
		all = append(all, strip{at, min(at+size, s.to)})
	}
	return all
}

// encode encodes every step-th row of a strip; to takes the blocks of the whole matrix, unless it is nil. losses are
// those of the strip's rows.
func (c *candidates) encode(ctx context.Context, o *Options, f *quant.Feedback, s block.Scheme, some strip, step int, to []byte, losses []float64) error {
	q := quant.Options{Sanitize: o.Sanitize, Saturate: o.Saturate}
	if f == nil {
		return c.search(s, q, some, to)
	}
	r, err := quant.NewRounder(f, s, q, candidateRounds)
	if err != nil {
		return err
	}
	const together = quant.RowsAtATime
	size := s.RowBytes(c.cols)
	w, dst := make([]float32, 0, together*c.cols), make([]byte, together*size)
	for i := some.from; i < some.to; i += together * step {
		if err := ctx.Err(); err != nil {
			return err
		}
		w = w[:0]
		end := min(i+together*step, some.to)
		for k := i; k < end; k += step {
			w = append(w, c.rows[k*c.cols:(k+1)*c.cols]...)
		}
		out := dst[:len(w)/c.cols*size]
		if to != nil { // then step is 1
			out = to[i*size : end*size]
		}
		if bad, err := r.Rows(out, w); err != nil {
			return fmt.Errorf("row %d: %w", i+bad*step, err)
		}
		for k, loss := range r.Losses {
			losses[i-some.from+k*step] = loss
		}
	}
	return nil
}

// search encodes the rows of an expert that saw no text, whose errors cost nothing there.
func (c *candidates) search(s block.Scheme, q quant.Options, some strip, to []byte) error {
	if to == nil {
		return nil
	}
	q.Method = quant.Search
	e, err := quant.NewEncoder(s, q)
	if err != nil {
		return err
	}
	size := s.RowBytes(c.cols)
	for i := some.from; i < some.to; i++ {
		if err := e.Row(to[i*size:(i+1)*size], c.rows[i*c.cols:(i+1)*c.cols]); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	return nil
}
