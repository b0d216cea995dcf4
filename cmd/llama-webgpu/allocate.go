package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
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
	j, err := newJudge(c.Context, src, dev, windows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	progress := newBar(c, "allocation", int64(len(src.weights.Tensors())), false)
	defer progress.end()
	chosen, err := convert.Allocate(c.Context, src.weights, *o, o.Bits, j, func(done, _ int) { progress.set(int64(done), "allocation") })
	if err != nil {
		return err
	}
	o.Overrides = append(o.Overrides, chosen...)
	for _, v := range chosen {
		p.Overrides = append(p.Overrides, override{Match: v.Match.String(), Format: v.Format, BlockSize: v.Block})
	}
	return nil
}

// judge is a convert.Judge that runs the float model on the GPU, with one matrix replaced.
type judge struct {
	dev       *gpu.Device
	src       *source
	sums      *transformer.Calibrator
	windows   [][]int32 // of the drift
	file      *os.File
	recording *verify.Recording
}

func newJudge(ctx context.Context, src *source, dev *gpu.Device, windows [][]int32) (_ *judge, err error) {
	j := &judge{dev: dev, src: src, windows: spread(windows, driftWindows)}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.close())
		}
	}()
	if j.sums, err = transformer.NewCalibrator(dev, src.weights, spread(windows, allocationWindows), false); err != nil {
		return nil, err
	}
	if j.file, err = os.CreateTemp("", "llama-webgpu-logits-"); err != nil {
		return nil, err
	}
	err = j.run(ctx, floats{src.weights, src}, func(f verify.Forwarder) (err error) {
		j.recording, err = verify.Record(ctx, f, j.windows, j.file, nil)
		return err
	})
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
	if j.file != nil {
		errs = append(errs, j.file.Close(), os.Remove(j.file.Name()))
	}
	return errors.Join(errs...)
}

// run loads a model and lets f use it.
func (j *judge) run(ctx context.Context, from transformer.Source, f func(verify.Forwarder) error) error {
	t, err := transformer.New(ctx, j.dev, from, transformer.Options{MaxSeqLen: len(j.windows[0]), KVBits: 32})
	if err != nil {
		return fmt.Errorf("allocation runs the whole model: %w", err)
	}
	defer t.Close()
	return f(t)
}

// Sums implements convert.Judge.
func (j *judge) Sums(ctx context.Context, i int) (*quant.Sums, error) { return j.sums.Sums(ctx, i) }

// Drift implements convert.Judge.
func (j *judge) Drift(ctx context.Context, i int, s quant.Scheme, blocks []byte) (float64, error) {
	var kld float64
	err := j.run(ctx, replaced{floats{j.src.weights, j.src}, i, s, blocks}, func(f verify.Forwarder) error {
		d, err := verify.MeasureDrift(ctx, j.recording.Play(), f, j.windows, nil)
		if err == nil {
			kld = d.MeanKLD
		}
		return err
	})
	return kld, err
}

// replaced is a model with one matrix of blocks.
type replaced struct {
	floats
	matrix int
	scheme quant.Scheme
	blocks []byte
}

func (r replaced) Packing(i int) (bits, block int) {
	if i == r.matrix {
		return r.scheme.Bits, r.scheme.Block
	}
	return r.floats.Packing(i)
}

func (r replaced) ReadAt(i int, p []byte, off int64) error {
	if i == r.matrix {
		copy(p, r.blocks[off:])
		return nil
	}
	return r.floats.ReadAt(i, p, off)
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
