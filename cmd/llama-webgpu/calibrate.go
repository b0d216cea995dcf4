package main

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the general text
	"fmt"
	"log/slog"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/quant/calibrate"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

var calibrationFlags = []cli.Flag{
	&cli.StringFlag{Name: "calibration", Usage: "`FILE`: for --method gptq, a text of the kind that the model will read and write", DefaultText: "a general one", Category: "Encoding"},
	&cli.IntFlag{Name: "calibration-windows", Value: 128, Usage: "read at most `N` windows of it", Category: "Encoding"},
	&cli.IntFlag{Name: "calibration-tokens", Value: 512, Usage: "a window has `N` tokens", Category: "Encoding"},
	&cli.Float64Flag{Name: "correction", Value: 0.5, Usage: "`SHARE`: for --method gptq, how much of the earlier layers' errors each matrix makes up for; 0: nothing, which takes half the time", Category: "Encoding"},
	&cli.BoolFlag{Name: "no-refinement", Usage: "for --method gptq: leave scales, codes and zero-points as rounding with feedback has made them, which is faster and worse", Category: "Encoding"},
	&cli.StringFlag{Name: "sensitivity", Usage: "for --bits: take what matrices cost the model from `FILE` (JSON), and keep there what had to be measured; it serves any --bits of the same checkpoint and calibration text", Category: "Encoding"},
	&cli.StringFlag{Name: "device", Usage: "`DEVICE`: for --method gptq, where the calibration text is run: gpu or cpu", DefaultText: "gpu, if there is a real one or only a GPU can do it", Category: "Encoding"},
	adapterFlag("Encoding", "for --method gptq, the "),
}

// calibration prepares the calibration that the flags ask for, which were checked; done ends it.
func calibration(c *cli.Context, p *policy, src *source, o *convert.Options) (done func(), err error) {
	if o.Method != convert.GPTQ {
		return func() {}, nil
	}
	windows, err := calibrationText(c, c.String("calibration"), src, o)
	if err != nil {
		return nil, err
	}
	dev, err := calibrationDevice(c, src, o)
	if err != nil {
		return nil, err
	}
	if dev == nil {
		o.Calibration, err = calibrate.New(src.weights, windows, o.Correction > 0)
		return func() {}, err
	}
	if err := allocate(c, p, src, dev, windows, o); err != nil {
		dev.Close()
		return nil, err
	}
	k, err := transformer.NewCalibrator(dev, src.weights, windows, o.Correction > 0)
	if err != nil {
		dev.Close()
		return nil, err
	}
	o.Calibration = k
	return func() {
		if err := k.Close(); err != nil {
			slog.Warn("calibration: temporary file", "error", err)
		}
		dev.Close()
	}, nil
}

// calibrationDevice opens the GPU that calibration text is run on, nil for the CPU engine: where --device says, or, if it
// does not, on a GPU if there is a real one. What only the GPU can do is done there, also if that is software.
func calibrationDevice(c *cli.Context, src *source, o *convert.Options) (*gpu.Device, error) {
	where := c.String("device")
	if where == "cpu" {
		return nil, nil
	}
	dev, err := openGPU(c)
	free := onCPUToo(o, src.weights.Spec()) && where == "" && !c.IsSet("adapter")
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
func onCPUToo(o *convert.Options, spec *model.Spec) bool {
	return o.Bits == 0 && calibrate.Supported(spec)
}

// checkCalibration reports flags of calibration that do not go together or with the model, and takes over --correction.
func checkCalibration(c *cli.Context, path string, spec *model.Spec, o *convert.Options) error {
	if c.IsSet("device") {
		if err := oneOf(c, "device", "gpu", "cpu"); err != nil {
			return err
		}
	}
	switch {
	case o.Bits > 0 && o.Method != convert.GPTQ:
		return usagef("quantize: --bits wants --method gptq")
	case c.String("sensitivity") != "" && o.Bits == 0:
		return usagef("quantize: --sensitivity is for --bits")
	case c.Bool("no-refinement") && o.Method != convert.GPTQ:
		return usagef("quantize: --no-refinement is for --method gptq")
	case path != "" && o.Method != convert.GPTQ:
		return usagef("quantize: --calibration is for --method gptq")
	case o.Method != convert.GPTQ:
		return nil
	}
	if c.String("device") == "cpu" && !onCPUToo(o, spec) {
		return usagef("quantize: --device cpu: --bits and mixtures of experts are measured on a GPU only")
	}
	o.Unrefined = c.Bool("no-refinement")
	if o.Bits > 0 && slices.ContainsFunc(spec.Kinds, func(y model.Layer) bool { return y.MLP.Experts > 0 }) {
		return fmt.Errorf("quantize: --bits: what the matrices of a mixture of experts cost is not measured: choose with --format and --override")
	}
	o.Correction = c.Float64("correction")
	return nil
}

// generalText is what a model is calibrated with if nobody says better: prose of Jane Austen (in the public domain), program
// code, tables, conversation, and a few paragraphs in each of thirteen languages, all mixed.
//
//go:embed general.txt
var generalText string

// calibrationText cuts the text into windows and records which text it is.
func calibrationText(c *cli.Context, path string, src *source, o *convert.Options) ([][]int32, error) {
	text, what, err := generalText, "the general text, ", error(nil)
	if path != "" {
		text, err = readText(c, "calibration")
		what = ""
	}
	if err != nil {
		return nil, err
	}
	tok, err := src.tokenizer()
	if err != nil {
		return nil, err
	}
	size := min(c.Int("calibration-tokens"), src.context())
	windows, err := verify.Windows(tok.Encode(text, false), tok.Begin(), size, c.Int("calibration-windows"))
	if err != nil {
		return nil, fmt.Errorf("--calibration %s: %w", quoted(cmp.Or(path, "(the general text)")), err)
	}
	o.Text = fmt.Sprintf("%d windows of %d tokens of %ssha256:%x", len(windows), size, what, sha256.Sum256([]byte(text)))
	return windows, nil
}

// auto is the method that chooses between gptq and search.
const auto = "auto"

// autoOnCPU is how many weights a model may have for --method auto to calibrate it without a real GPU: a few minutes' worth.
const autoOnCPU = 30e6

// chooseMethod settles --method auto: gptq where it takes minutes, else search, and a note of which and why.
func chooseMethod(c *cli.Context, src *source, o *convert.Options) error {
	spec := src.weights.Spec()
	switch {
	case o.Bits > 0:
		return usagef("quantize: --bits wants --method gptq")
	case o.Format == string(bundle.F16):
		return nil
	case !calibrate.Supported(spec) || !src.hasTokenizer():
		src.notes = append(src.notes, "method auto: search: this model is calibrated only if --method gptq asks for it")
		return nil
	}
	dev, err := calibrationDevice(c, src, o)
	if err != nil {
		return err
	}
	where := "the CPU"
	if dev != nil {
		where = dev.Info().Name
		dev.Close()
	}
	if n := weights(src.weights.Tensors()); dev == nil && n > autoOnCPU {
		src.notes = append(src.notes, fmt.Sprintf("method auto: search: on this CPU, calibrating %.3g million weights would take long; --method gptq does it, and takes a third to half of the drift off", float64(n)/1e6))
		return nil
	}
	o.Method = convert.GPTQ
	src.notes = append(src.notes, "method auto: gptq on "+where+", which takes a third to half of the drift off")
	return nil
}
