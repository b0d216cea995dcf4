package auto

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	gpucalibrate "github.com/llama-webgpu/llama-webgpu/gpu/calibrate"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/calibrate"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// How much of the calibration text is read to measure matrices: their inputs vary less than the drift
// costs to measure.
const (
	allocationWindows = 48
	driftWindows      = 4
)

// What the CPU reads: the beginnings of fewer windows.
const (
	driftWindowsOnCPU = 2
	driftTokensOnCPU  = 128
)

// measurer is a convert.Judge that ends.
type measurer interface {
	convert.Judge
	Close() error
}

// extent is how much text drifts are measured on.
type extent struct{ windows, tokens int }

// extentOf says how much a device reads, nil for the CPU.
func extentOf(dev *gpu.Device, windows [][]int32) extent {
	if dev == nil {
		return extent{driftWindowsOnCPU, min(driftTokensOnCPU, len(windows[0]))}
	}
	return extent{driftWindows, len(windows[0])}
}

// newMeasurer returns one that runs on the GPU, or on the CPU if dev is nil.
func newMeasurer(ctx context.Context, src *checkpoint, dev *gpu.Device, windows [][]int32, of extent) (measurer, error) {
	var drift [][]int32
	for _, w := range spread(windows, of.windows) {
		drift = append(drift, w[:min(len(w), of.tokens)])
	}
	if dev != nil {
		return newJudge(ctx, src, dev, spread(windows, allocationWindows), drift)
	}
	return calibrate.NewJudge(ctx, src.Weights, spread(windows, allocationWindows), drift)
}

// judge is a convert.Judge that keeps the float model on the GPU and replaces one matrix at a time.
type judge struct {
	floats    source.Floats
	sums      *gpucalibrate.Calibrator
	windows   [][]int32 // of the drift
	model     *transformer.Transformer
	file      *os.File
	recording *verify.Recording
	slow      bool // the device is software
}

func newJudge(ctx context.Context, src *checkpoint, dev *gpu.Device, text, windows [][]int32) (_ *judge, err error) {
	j := &judge{floats: src.Floats(), windows: windows, slow: dev.OnCPU()}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	if j.sums, err = gpucalibrate.New(ctx, dev, src.Weights, text, false); err != nil {
		return nil, err
	}
	j.model, err = transformer.New(ctx, dev, j.floats, transformer.Options{MaxSeqLen: len(j.windows[0]), KVBits: 32})
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

func (j *judge) Close() error {
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

// ExpertSums implements convert.Judge.
func (j *judge) ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error) {
	return j.sums.ExpertSums(ctx, i, e)
}

// Slow implements convert.Judge.
func (j *judge) Slow() bool { return j.slow }

// Drift implements convert.Judge. The model is the float model again when it returns without an error.
func (j *judge) Drift(ctx context.Context, i int, s block.Scheme, blocks []byte) (float64, error) {
	if err := j.model.Reload(ctx, j.floats.With(replaced{j.floats.Weights, i, s, blocks}), i); err != nil {
		return 0, err
	}
	d, err := verify.MeasureDrift(ctx, j.recording.Play(), j.model, j.windows, nil)
	if err != nil {
		return 0, err
	}
	return d.MeanKLD, j.model.Reload(ctx, j.floats, i)
}

// replaced is a model with one matrix in blocks.
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
