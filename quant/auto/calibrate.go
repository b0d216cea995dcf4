package auto

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed" // the general text
	"errors"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	gpucalibrate "github.com/llama-webgpu/llama-webgpu/gpu/calibrate"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
	"github.com/llama-webgpu/llama-webgpu/quant/calibrate"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// Defaults of Calibration.
const (
	defaultWindows    = 128
	defaultTokens     = 512
	defaultCorrection = 0.5
)

// generalText calibrates a model if the caller has no better text: prose of Jane Austen (in the public domain), program
// code, tables, conversation, and a few paragraphs in each of thirteen languages, all mixed.
//
//go:embed general.txt
var generalText string

// calibrate prepares the calibration, if the method wants one. It ends with the job.
func (j *job) calibrate(ctx context.Context) error {
	if j.options.Method != convert.GPTQ {
		return nil
	}
	windows, err := j.windows()
	if err != nil {
		return err
	}
	dev, err := j.openDevice(ctx)
	if err != nil {
		return err
	}
	exact := j.options.Correction > 0
	if dev == nil {
		k, err := calibrate.New(j.source.Weights, windows, exact)
		if err != nil {
			return err
		}
		j.ends = append(j.ends, k.Close)
		j.options.Calibration = k
		return nil
	}
	j.ends = append(j.ends, func() error { dev.Close(); return nil })
	if err := j.allocate(ctx, dev, windows); err != nil {
		return err
	}
	k, err := gpucalibrate.New(dev, j.source.Weights, windows, exact)
	if err != nil {
		return err
	}
	j.ends = append(j.ends, j.logged("calibration: temporary file", k.Close))
	j.options.Calibration = k
	return nil
}

// openDevice opens the GPU that calibration text is run on, nil for the CPU engine: where the options say, or, if they
// do not, on a GPU if there is a real one. What only the GPU can do is done there, even if the GPU is software.
func (j *job) openDevice(ctx context.Context) (*gpu.Device, error) {
	k := &j.wanted.Calibration
	if k.Device == "cpu" {
		return nil, nil
	}
	o := gpu.Options{Adapter: k.Adapter}
	if j.wanted.Log != nil {
		o.Log = j.wanted.Log
	}
	dev, err := gpu.Open(ctx, o)
	free := j.onCPUToo() && k.Device == "" && k.Adapter == ""
	switch {
	case err != nil && free:
		return nil, nil
	case err != nil:
		return nil, err
	case dev.OnCPU() && free:
		dev.Close()
		return nil, nil
	}
	return dev, nil
}

// onCPUToo reports whether the CPU engine can do what is asked for.
func (j *job) onCPUToo() bool {
	return j.options.Bits == 0
}

// checkCalibration reports what calibration cannot do with the model, and takes over its options.
func (j *job) checkCalibration() error {
	k, spec := &j.wanted.Calibration, j.source.Weights.Spec()
	switch {
	case j.options.Method != convert.GPTQ:
		return nil
	case k.Device == "cpu" && !j.onCPUToo():
		return option.New("device", "cpu", errors.New("bits are measured on a GPU only"))
	case j.options.Bits > 0 && slices.ContainsFunc(spec.Kinds, func(y model.Layer) bool { return y.MLP.Experts > 0 }):
		return errors.New("bits: what the matrices of a mixture of experts cost is not measured: choose with format and overrides")
	}
	j.options.Unrefined = k.Unrefined
	j.options.Correction = max(0, cmp.Or(k.Correction, defaultCorrection))
	return nil
}

// TextError says what is wrong with a calibration text.
type TextError struct{ Err error }

func (e *TextError) Error() string { return "calibration text: " + e.Err.Error() }
func (e *TextError) Unwrap() error { return e.Err }

// windows cuts the text into windows of tokens and records which text it is.
func (j *job) windows() ([][]int32, error) {
	k := &j.wanted.Calibration
	text, what := k.Text, ""
	if text == "" {
		text, what = generalText, "the general text, "
	}
	tok, err := j.source.Tokenizer()
	if err != nil {
		return nil, err
	}
	size := min(cmp.Or(k.Tokens, defaultTokens), j.source.Context())
	windows, err := verify.Windows(tok.Encode(text, false), tok.Begin(), size, max(0, cmp.Or(k.Windows, defaultWindows)))
	if err != nil {
		return nil, &TextError{err}
	}
	j.options.Text = fmt.Sprintf("%d windows of %d tokens of %ssha256:%x", len(windows), size, what, sha256.Sum256([]byte(text)))
	return windows, nil
}
