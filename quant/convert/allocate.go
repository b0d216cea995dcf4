package convert

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Judge measures what a model loses.
type Judge interface {
	// Sums returns what calibration text says of the inputs of matrix i in the float model.
	Sums(ctx context.Context, i int) (*quant.Sums, error)
	// Drift returns the mean KL divergence of the float model with matrix i alone replaced by blocks.
	Drift(ctx context.Context, i int, s quant.Scheme, blocks []byte) (float64, error)
}

// schemes are what the matrices of layers are chosen from.
var schemes = []quant.Scheme{
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

// measured are the schemes whose drift is measured; that of others with as many bits, and of 8 bits, is
// taken to be as much more or less as the outputs of the matrix are wrong.
var measured = map[int]quant.Scheme{2: {Bits: 2, Block: 256}, 4: {Bits: 4, Block: 128}}

const (
	sampleRows     = 4 // one row of so many says how wrong the outputs are
	allocateRounds = 1
)

// Allocate chooses bits and block size of each matrix in the layers so that together they have at most
// the given bits a weight, scales included, and the model drifts as little as possible, if drifts add up.
// Matrices that o.KeepF16 or o.Overrides match stay what these say, and count. The choices are returned as
// overrides for the others.
func Allocate(ctx context.Context, src model.Weights, o Options, bits float64, judge Judge, progress func(done, total int)) ([]Override, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	tensors := src.Tensors()
	budget, err := o.budget(tensors, bits)
	if err != nil {
		return nil, err
	}
	a := &allocator{src: src, o: &o, judge: judge}
	var choices [][]quant.Choice
	var names []string // "" for what is not chosen here
	for i, t := range tensors {
		if progress != nil {
			progress(i, len(tensors))
		}
		if t.Layer == model.NoLayer || !t.Quantizable() {
			continue
		}
		if fixed, ok := o.fixed(t); ok {
			choices, names = append(choices, []quant.Choice{fixed}), append(names, "")
			continue
		}
		list, err := a.choices(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("allocation: tensor %q: %w", t.Name, err)
		}
		choices, names = append(choices, list), append(names, t.Name)
	}
	picks, err := quant.Allocate(choices, budget)
	if err != nil {
		return nil, fmt.Errorf("allocation: %w", err)
	}
	var overrides []Override
	for m, pick := range picks {
		if s := choices[m][pick].Scheme; names[m] != "" {
			overrides = append(overrides, Override{Match: regexp.MustCompile("^" + regexp.QuoteMeta(names[m]) + "$"), Format: fmt.Sprintf("int%d", s.Bits), Block: s.Block})
		}
	}
	return overrides, nil
}

// budget returns the bits of all layers, and reports if there is no choice that keeps within them.
func (o *Options) budget(tensors []model.Tensor, bits float64) (int64, error) {
	var weights, least int64
	for _, t := range tensors {
		if t.Layer == model.NoLayer || !t.Quantizable() {
			continue
		}
		weights += int64(t.Rows()) * int64(t.Cols())
		fixed, ok := o.fixed(t)
		if !ok {
			fixed = choice(t, schemes[0], 0)
			for _, s := range schemes {
				fixed.Bits = min(fixed.Bits, choice(t, s, 0).Bits)
			}
		}
		least += fixed.Bits
	}
	budget := int64(math.Floor(bits * float64(weights)))
	if least > budget {
		return 0, fmt.Errorf("allocation: %v bits a weight: the least there is for this model is %.3f", bits, math.Ceil(1000*float64(least)/float64(weights))/1000)
	}
	return budget, nil
}

// fixed returns what the options say of a matrix, if they name it.
func (o *Options) fixed(t model.Tensor) (quant.Choice, bool) {
	named := false
	for _, re := range o.KeepF16 {
		named = named || re.MatchString(t.Name)
	}
	for _, v := range o.Overrides {
		named = named || v.Match.MatchString(t.Name)
	}
	if !named {
		return quant.Choice{}, false
	}
	kind, block := o.matrix(t)
	if !kind.Quantized() {
		return quant.Choice{Bits: int64(kind.Bits()) * int64(t.Rows()) * int64(t.Cols())}, true
	}
	return choice(t, quant.Scheme{Bits: kind.Bits(), Block: block}, 0), true
}

func choice(t model.Tensor, s quant.Scheme, loss float64) quant.Choice {
	return quant.Choice{Scheme: s, Bits: 8 * int64(s.RowBytes(t.Cols())) * int64(t.Rows()), Loss: loss}
}

type allocator struct {
	src   model.Weights
	o     *Options
	judge Judge

	last     model.Tensor // whose inputs feedback is for
	feedback *quant.Feedback
}

// choices measures what each scheme would cost the model in matrix i.
func (a *allocator) choices(ctx context.Context, i int) ([]quant.Choice, error) {
	t := a.src.Tensors()[i]
	if err := a.prepare(ctx, i, t); err != nil {
		return nil, err
	}
	rows := make([]float32, t.Rows()*t.Cols())
	if err := a.src.Rows(i, 0, t.Rows(), rows); err != nil {
		return nil, err
	}
	every := 1
	if t.Rows() >= 64*sampleRows {
		every = sampleRows
	}
	drift := map[int]float64{} // for each unit of loss, by bits
	for bits, s := range measured {
		blocks, _, err := a.encode(ctx, s, rows, 1)
		if err != nil {
			return nil, err
		}
		_, loss, err := a.encode(ctx, s, rows, every)
		if err != nil {
			return nil, err
		}
		kld, err := a.judge.Drift(ctx, i, s, blocks)
		if err != nil {
			return nil, err
		}
		if loss > 0 {
			drift[bits] = kld / loss
		}
	}
	drift[8] = drift[4]
	var list []quant.Choice
	for _, s := range schemes {
		_, loss, err := a.encode(ctx, s, rows, every)
		if err != nil {
			return nil, err
		}
		list = append(list, choice(t, s, drift[s.Bits]*loss))
	}
	return list, nil
}

// prepare makes the feedback for matrix i, unless it is that of the matrix before.
func (a *allocator) prepare(ctx context.Context, i int, t model.Tensor) error {
	if a.feedback != nil && sameInputs(&bundle.Tensor{Role: t.Role, Layer: t.Layer}, &bundle.Tensor{Role: a.last.Role, Layer: a.last.Layer}) {
		return nil
	}
	sums, err := a.judge.Sums(ctx, i)
	if err != nil {
		return err
	}
	a.last = t
	a.feedback, err = quant.NewFeedback(sums.Inputs, t.Cols(), dampingOf(sums.Tokens))
	return err
}

// encode rounds one row of every so many, and returns blocks and how wrong the outputs are.
func (a *allocator) encode(ctx context.Context, s quant.Scheme, rows []float32, every int) (blocks []byte, loss float64, err error) {
	cols := a.last.Cols()
	n := (len(rows)/cols + every - 1) / every
	size := s.RowBytes(cols)
	blocks = make([]byte, n*size)
	losses := make([]float64, n)
	group, ctx := errgroup.WithContext(ctx)
	threads := min(runtime.GOMAXPROCS(0), n)
	for k := range threads {
		group.Go(func() error {
			r, err := quant.NewRounder(a.feedback, s, quant.Options{Sanitize: a.o.Sanitize, Saturate: a.o.Saturate}, allocateRounds)
			if err != nil {
				return err
			}
			for i := k; i < n; i += threads {
				r.Loss = 0
				if err := r.Row(blocks[i*size:(i+1)*size], rows[i*every*cols:(i*every+1)*cols]); err != nil {
					return fmt.Errorf("row %d: %w", i*every, err)
				}
				losses[i] = r.Loss
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	for _, l := range losses {
		loss += l
	}
	return blocks, loss, err
}
