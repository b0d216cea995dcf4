package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// How much of the calibration text --bits reads: the inputs of matrices are steadier than the drift
// costs to measure.
const (
	allocationWindows = 48
	driftWindows      = 4
)

// allocate chooses what each matrix becomes for --bits, and puts it in front of the other overrides.
func allocate(c *cli.Context, p *policy, src *source, dev *gpu.Device, windows [][]int32, o *convert.Options) error {
	if o.Bits == 0 {
		return nil
	}
	if err := o.CheckBits(src.weights); err != nil {
		return err
	}
	known, err := openSensitivity(c, src, o)
	if err != nil {
		return err
	}
	if err := measure(c, src, dev, windows, o, known); err != nil {
		return err
	}
	chosen, err := convert.Allocate(src.weights, *o, known.Matrices)
	if err != nil {
		return err
	}
	o.Overrides = append(o.Overrides, chosen...)
	for _, v := range chosen {
		p.Overrides = append(p.Overrides, override{Match: v.Match.String(), Format: v.Format, BlockSize: v.Block})
	}
	return nil
}

// measure adds what is missing to what is known of the matrices, and keeps it after each.
func measure(c *cli.Context, src *source, dev *gpu.Device, windows [][]int32, o *convert.Options, known *sensitivity) (err error) {
	missing := known.Matrices.Missing(src.weights, *o)
	if missing == 0 {
		return nil
	}
	j, err := newJudge(c.Context, src, dev, windows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	progress := newBar(c, "what each matrix costs the model", int64(missing), false)
	defer progress.end()
	err = known.Matrices.Measure(c.Context, src.weights, *o, j, func(done, _ int) error {
		progress.set(int64(done), "")
		return known.write()
	})
	switch {
	case !errors.Is(err, context.Canceled):
		return err
	case known.path == "":
		return fmt.Errorf("%w; with --sensitivity FILE what was measured is kept, and another run goes on from there", errInterrupted)
	}
	return fmt.Errorf("%w: %d of %d matrices are still to be measured, the others are kept in %s: run the same command again to go on",
		errInterrupted, known.Matrices.Missing(src.weights, *o), missing, known.path)
}

// judge is a convert.Judge that keeps the float model on the GPU and replaces one matrix at a time.
type judge struct {
	src       *source
	sums      *transformer.Calibrator
	windows   [][]int32 // of the drift
	model     *transformer.Transformer
	file      *os.File
	recording *verify.Recording
}

func newJudge(ctx context.Context, src *source, dev *gpu.Device, windows [][]int32) (_ *judge, err error) {
	j := &judge{src: src, windows: spread(windows, driftWindows)}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.close())
		}
	}()
	if j.sums, err = transformer.NewCalibrator(dev, src.weights, spread(windows, allocationWindows), false); err != nil {
		return nil, err
	}
	j.model, err = transformer.New(ctx, dev, floats{src.weights, src}, transformer.Options{MaxSeqLen: len(j.windows[0]), KVBits: 32})
	if err != nil {
		return nil, fmt.Errorf("allocation runs the whole model: %w", err)
	}
	if j.file, err = os.CreateTemp("", "llama-webgpu-logits-"); err != nil {
		return nil, err
	}
	j.recording, err = verify.Record(ctx, j.model, j.windows, j.file, nil)
	return j, err
}

// spread returns at most n windows from all over the text.
func spread(windows [][]int32, n int) [][]int32 {
	var some [][]int32
	for i := range min(n, len(windows)) {
		some = append(some, windows[i*len(windows)/min(n, len(windows))])
	}
	return some
}

func (j *judge) close() error {
	var errs []error
	if j.sums != nil {
		errs = append(errs, j.sums.Close())
	}
	if j.model != nil {
		j.model.Close()
	}
	if j.file != nil {
		errs = append(errs, j.file.Close(), os.Remove(j.file.Name()))
	}
	return errors.Join(errs...)
}

// Sums implements convert.Judge.
func (j *judge) Sums(ctx context.Context, i int) (*quant.Sums, error) { return j.sums.Sums(ctx, i) }

// Drift implements convert.Judge. The model is the float model again when it returns without an error.
func (j *judge) Drift(ctx context.Context, i int, s block.Scheme, blocks []byte) (float64, error) {
	if err := j.model.Reload(ctx, floats{replaced{j.src.weights, i, s, blocks}, j.src}, i); err != nil {
		return 0, err
	}
	d, err := verify.MeasureDrift(ctx, j.recording.Play(), j.model, j.windows, nil)
	if err != nil {
		return 0, err
	}
	return d.MeanKLD, j.model.Reload(ctx, floats{j.src.weights, j.src}, i)
}

// replaced is a model with one matrix made of blocks.
type replaced struct {
	model.Weights
	matrix int
	scheme block.Scheme
	blocks []byte
}

// Rows implements model.Weights.
func (r replaced) Rows(i, row0, n int, dst []float32) error {
	if i != r.matrix {
		return r.Weights.Rows(i, row0, n, dst)
	}
	cols := r.Tensors()[i].Cols()
	size := r.scheme.RowBytes(cols)
	for k := range n {
		r.scheme.DecodeRow(dst[k*cols:(k+1)*cols], r.blocks[(row0+k)*size:(row0+k+1)*size])
	}
	return nil
}

// allocated fills in what --bits leaves open: what is not in a layer is int8, and the format that the
// bundle is called after is the one nearest to the bits.
func allocated(p *policy) {
	if p.Bits == 0 {
		return
	}
	if p.Format == "" {
		p.Format = string(bundle.Int2)
		if p.Bits >= 4 {
			p.Format = string(bundle.Int4)
		}
	}
	if p.EmbedFormat == "" {
		p.EmbedFormat = string(bundle.Int8)
	}
	if p.HeadFormat == "" {
		p.HeadFormat = string(bundle.Int8)
	}
}
