//go:build !js

package llm

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// ConvertOptions say how to convert a checkpoint: Policy decides the bytes, the rest how they are made. Format or Bits
// must be set; the zero values of all others are good defaults.
type ConvertOptions = auto.Options

// The parts of ConvertOptions, and what Convert reports.
type (
	ConvertPolicy   = auto.Policy      // the formats of matrices, and the method
	ConvertOverride = auto.Override    // another format for matrices whose names match
	Calibration     = auto.Calibration // what the method gptq learns from, and where
	ConvertProgress = auto.Progress    // how far it is: bytes of the checkpoint, or matrices that were measured
	ConvertReport   = convert.Report   // the manifest of the bundle, and for each tensor what it costs
	ConvertPreview  = auto.Preview     // what Convert would do, and what that needs
)

// Convert turns the checkpoint at dir, a directory or a .gguf file, into a bundle that will be the directory out. The
// same checkpoint, options and version give the same bytes, however many threads there are.
//
// After an error nothing is left of out, unless it is a *convert.Interrupted: then another call with Stale set to
// outdir.Resume continues. Other errors to branch on: *OptionError, a mistake in the options; fs.ErrExist, if out
// exists and Force is not set; block.ErrNotFinite and quant.ErrOverflow, which Sanitize and Saturate avoid;
// gpu.ErrNoAdapter, if calibration was asked to run on a GPU.
func Convert(ctx context.Context, dir, out string, o ConvertOptions) (*ConvertReport, error) {
	return auto.Convert(ctx, dir, out, o)
}

// PreviewConvert works out what Convert would do and writes nothing: types and sizes of the tensors, the time, and the
// disk and GPU memory that the bundle needs, the latter at a context of this many tokens; 0: what the model was trained for,
// at most 4096.
func PreviewConvert(ctx context.Context, dir string, tokens int, o ConvertOptions) (*ConvertPreview, error) {
	return auto.Look(ctx, dir, tokens, o)
}
