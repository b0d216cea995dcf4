package auto

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed" // the general text
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	gpucalibrate "github.com/llama-webgpu/llama-webgpu/gpu/calibrate"
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
	if dev != nil {
		j.ends = append(j.ends, func() error { dev.Close(); return nil })
	}
	if err := j.allocate(ctx, dev, windows); err != nil {
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
		j.tell("the CPU")
		return nil
	}
	k, err := gpucalibrate.New(ctx, dev, j.source.Weights, windows, exact)
	if err != nil {
		return err
	}
	j.ends = append(j.ends, j.logged("calibration: temporary file", k.Close))
	j.options.Calibration = k
	j.tell(fmt.Sprintf("%s, sums by kernel %s", dev.Info().Where(), k.Choice()))
	return nil
}

// tell notes, and logs, where the calibration text is run.
func (j *job) tell(where string) {
	j.calibrated = where
	if j.wanted.Log != nil {
		j.wanted.Log.Info("calibration", "on", where)
	}
}

// openDevice opens the GPU that calibration text is run on, nil for the CPU engine: where the options say, or, if they
// do not, on a GPU if there is a real one. One that is there and cannot be opened is an error.
func (j *job) openDevice(ctx context.Context) (*gpu.Device, error) {
	k := &j.wanted.Calibration
	if k.Device == "cpu" {
		return nil, nil
	}
	o := gpu.Options{Select: k.GPU}
	if j.wanted.Log != nil {
		o.Log = j.wanted.Log
	}
	dev, err := gpu.Open(ctx, o)
	asked := k.Device != "" || k.GPU != gpu.Select{}
	none := errors.Is(err, gpu.ErrNoGPU) || errors.Is(err, gpu.ErrNoAdapter)
	switch {
	case none && !asked:
		return nil, nil
	case err != nil:
		return nil, err
	case dev.OnCPU() && !asked:
		dev.Close()
		return nil, nil
	}
	return dev, nil
}

// takeCalibration takes over the options of calibration.
func (j *job) takeCalibration() {
	if k := &j.wanted.Calibration; j.options.Method == convert.GPTQ {
		j.options.Unrefined = k.Unrefined
		j.options.Correction = max(0, cmp.Or(k.Correction, defaultCorrection))
	}
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
	text, chats, err := j.asConversations(text, tok)
	if err != nil {
		return nil, err
	}
	if chats {
		what += "as conversations, "
	}
	size := min(cmp.Or(k.Tokens, defaultTokens), j.source.Context())
	ids, err := tok.Encode(text, false)
	if err != nil {
		return nil, &TextError{err}
	}
	windows, err := verify.Windows(ids, tok.Begin(), size, 0)
	if err != nil {
		return nil, &TextError{err}
	}
	if most := cmp.Or(k.Windows, defaultWindows); most > 0 {
		windows = spread(windows, most)
	}
	j.options.Text = fmt.Sprintf("%d windows of %d tokens of %ssha256:%x", len(windows), size, what, sha256.Sum256([]byte(text)))
	return windows, nil
}
