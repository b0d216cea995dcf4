package auto

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	gpucalibrate "github.com/llama-webgpu/llama-webgpu/gpu/calibrate"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
	"github.com/llama-webgpu/llama-webgpu/quant/calibrate"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// Preview says what Convert would do, and what that and the bundle need.
type Preview struct {
	*convert.Preview
	Context     int                      // positions that GPU is for
	GPU         map[string]uint64        // bytes by purpose, to run the bundle
	Calibration *convert.CalibrationNeed // nil: the method needs none
}

// Look works out what Convert would do and writes nothing. GPU memory is for a context of this many positions; 0: what
// the model was trained for, at most 4096. What Policy.Bits would choose is known only after a run: asking for it is an
// *OptionError.
func Look(ctx context.Context, dir string, positions int, o Options) (_ *Preview, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Bits > 0 {
		return nil, option.New("bits", "", errors.New("what it would choose is known only after a run"))
	}
	j, err := newJob(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	from := j.source.converter()
	v, err := convert.Look(ctx, from, j.options)
	if err != nil {
		return nil, err
	}
	p := &Preview{Preview: v, Context: cmp.Or(positions, j.source.Weights.Spec().Context())}
	p.GPU, err = need(from.Weights, v.Planned, p.Context)
	if err != nil || j.options.Method != convert.GPTQ {
		return p, err
	}
	p.Calibration, err = j.calibrationNeed(ctx, v)
	return p, err
}

// calibrationNeed says what calibration takes. On the CPU its time is known, and added to that of the preview.
func (j *job) calibrationNeed(ctx context.Context, v *convert.Preview) (*convert.CalibrationNeed, error) {
	windows, err := j.windows()
	if err != nil {
		return nil, err
	}
	n := convert.LookCalibration(j.source.Weights, len(windows)*len(windows[0]), j.options.Correction > 0, gpucalibrate.SumBytes)
	dev, err := j.openDevice(ctx)
	if err != nil {
		return nil, err
	}
	if dev != nil {
		dev.Close()
		return &n, nil
	}
	t := calibrate.Time(n.Operations)
	n.Seconds = t.Seconds()
	v.Time += t
	return &n, nil
}

// Need reports how many bytes of GPU memory a model takes at a context of this many positions, by purpose.
func Need(w transformer.Source, positions int) (map[string]uint64, error) {
	return transformer.Need(w, transformer.Options{MaxSeqLen: positions}, bindingLimit)
}

// Sum adds up bytes by purpose.
func Sum(by map[string]uint64) (all uint64) {
	for _, n := range by {
		all += n
	}
	return all
}

// bindingLimit is how many bytes a binding holds on the devices that memory is counted for. Smaller ones split large
// matrices, which takes no more memory.
const bindingLimit = 1 << 31

func need(w model.Weights, tensors []bundle.Tensor, positions int) (map[string]uint64, error) {
	return Need(plannedBundle{w, tensors}, positions)
}

// plannedBundle is a bundle that is not written yet, to count the memory it will need.
type plannedBundle struct {
	model.Weights
	tensors []bundle.Tensor
}

func (p plannedBundle) Packing(i int) (bits, block int) {
	return p.tensors[i].Type.Bits(), p.tensors[i].Block
}

func (p plannedBundle) ReadAt(i int, _ []byte, _ int64) error {
	return fmt.Errorf("tensor %q: is only planned", p.tensors[i].Name)
}

// noWeights is a model without weights.
type noWeights struct{ spec *model.Spec }

func (n noWeights) Spec() *model.Spec                   { return n.spec }
func (n noWeights) Tensors() []model.Tensor             { return n.spec.Tensors() }
func (n noWeights) Rows(int, int, int, []float32) error { return errors.New("there are no weights") }
