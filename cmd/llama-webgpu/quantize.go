package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify/run"
)

var quantizeCommand = &cli.Command{
	Name:      "quantize",
	Category:  "Models",
	Usage:     "turn a checkpoint or GGUF file into a bundle: model.wgpu, manifest.json, vocab.json",
	UsageText: "llama-webgpu quantize DIR --output-dir DIR --format TYPE [options]",
	Description: `Reads a GGUF file, or a checkpoint: config.json, *.safetensors, and tokenizer.json, or what one can be made
from: tokenizer.model, tekken.json, *.tiktoken, or vocab.json and merges.txt. Weights may be float16, bfloat16,
float32, float64, 8- and 4-bit floats with their scales, or quantized by bitsandbytes, GPTQ, AWQ, AutoRound,
compressed-tensors, modelopt or MLX. Adapters of --lora are merged first. Matrices become blocks of integers that
share a float16 scale and an int8 zero-point; norms and biases stay as they are. Integers of the checkpoint are
copied unchanged if their groups fit blocks, and so is MXFP4 with --format int8.

The output directory appears when everything is done, or not at all. If the run is interrupted, --resume continues
with the first tensor that is not complete, and ends with the same bytes.

A matrix whose name matches --keep-f16 is kept as f16; otherwise the first --override that matches decides, then
--embed-format, --head-format or --format. What these leave open follows from the model's size and shape, and the
summary says what was chosen: int4 of a small model gets blocks of 64 and 32, and int8 for the matrices that matter
most. For int4/128 throughout, give --block-size 128 --embed-format int4. --config reads these choices from a YAML
file, which --write-config writes; flags take precedence over the file.

--bits measures what each matrix costs the model, which takes a while; --sensitivity keeps the measurements in a
file, for runs with another number of bits. An interrupted measurement continues from that file, too.

With --json-progress, standard output gets one JSON object per line: event "progress" with tensor, done,
total, bytes_per_second and seconds_left, and at the end event "done" with the summary, or "error". With --bits,
event "measuring" comes before them, with done and total in matrices.

Examples:

  llama-webgpu quantize testdata/tiny --output-dir out --format int4
  llama-webgpu quantize -i model.Q8_0.gguf -o out1 -f int8
  llama-webgpu quantize --input-dir testdata/tiny --output-dir out2 --format int2 --embed-format int8 --keep-f16 'layers\.0\.'
  llama-webgpu quantize --input-dir testdata/tiny --output-dir out3 --bits 2.9 --method gptq --calibration text.txt --sensitivity tiny.json
  llama-webgpu quantize --input-dir testdata/tiny --output-dir out4 --bits 2.7 --method gptq --calibration text.txt --sensitivity tiny.json
  llama-webgpu quantize --input-dir testdata/tiny --format int4 --override 'down_proj=int8:32' --dry-run`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "input-dir", Aliases: []string{"i"}, Usage: "`DIR`: checkpoint to read, or a .gguf file (required)", Category: "Input and output"},
		&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}, Usage: "`DIR`: bundle to write (required)", Category: "Input and output"},
		loraFlag("Input and output"),
		ropeFlag("Input and output"),
		&cli.BoolFlag{Name: "force", Usage: "replace the output directory if it exists", Category: "Input and output", DisableDefaultText: true},
		&cli.BoolFlag{Name: "resume", Usage: "continue an interrupted run, if there was one", Category: "Input and output", DisableDefaultText: true},
		&cli.BoolFlag{Name: "discard", Usage: "remove what an interrupted run left, and start over", Category: "Input and output", DisableDefaultText: true},
		&cli.StringFlag{Name: "max-shard-size", Usage: "`SIZE`: split model.wgpu into files of at most this size (2GB, 100MB)", DefaultText: "one file", Category: "Input and output"},
		&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and the disk and GPU memory it needs; write no bundle", Category: "Input and output", DisableDefaultText: true},
		&cli.IntFlag{Name: "context", Usage: "with --dry-run: GPU memory at a context of `N` tokens", DefaultText: "what the model was trained for, at most 4096", Category: "Input and output"},

		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "`TYPE`: format of the matrices: int8, int4, int2, or f16 to keep them (required, unless --bits is given)", Category: "Format"},
		&cli.Float64Flag{Name: "bits", Usage: "`N`: use at most N bits per weight in the layers, scales included: measures how much error each matrix tolerates, and chooses its bits and block size (needs --method gptq)", Category: "Format"},
		&cli.IntFlag{Name: "block-size", Usage: "`N`: how many weights share a scale, in all matrices: 32, 64, 128 or 256", DefaultText: "by the model", Category: "Format"},
		&cli.StringFlag{Name: "embed-format", Usage: "`TYPE`: format of the embedding", DefaultText: "int8 below 4 billion weights, else as --format", Category: "Format"},
		&cli.StringFlag{Name: "head-format", Usage: "`TYPE`: format of the head, if it is not the embedding", DefaultText: "as the embedding, if neither is given, else as --format", Category: "Format"},
		&cli.StringSliceFlag{Name: "keep-f16", KeepSpace: true, Usage: "`REGEX`: keep matrices whose names match as float16 (repeatable)", Category: "Format"},
		&cli.StringSliceFlag{Name: "override", KeepSpace: true, Usage: "`REGEX=TYPE[:BLOCK]`: format of the matrices whose names match (repeatable, the first match wins)", Category: "Format"},
		&cli.StringFlag{Name: "config", Usage: "read format and encoding from `FILE` (YAML)", Category: "Format"},
		&cli.StringFlag{Name: "write-config", Usage: "record format and encoding in `FILE` (YAML)", Category: "Format"},

		&cli.StringFlag{Name: "method", DefaultText: string(quant.Search), Usage: "`METHOD`: how blocks are fitted: search, rtn (min-max, faster), gptq (best, runs a text through the model), or auto: gptq if that takes only minutes, else search", Category: "Encoding"},
		&cli.BoolFlag{Name: "rotate", Usage: "rotate the residual stream by an orthogonal matrix first, which spreads outliers; a head that is the embedding becomes a matrix of its own", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "sanitize", Usage: "replace NaN by 0, and infinities by the largest value of their block", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "saturate", Usage: "clamp values that do not fit a float16 scale instead of failing", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "strict", Usage: "fail instead of warning, before anything is written", Category: "Encoding", DisableDefaultText: true},
		&cli.IntFlag{Name: "threads", Usage: "`N`: number of threads; the output does not depend on it", DefaultText: "one for each CPU", Category: "Encoding"},

		quietFlag, jsonFlag("print the summary as JSON"), jsonProgressFlag,
	}, calibrationFlags),
	Action: quantize,
}

func quantize(c *cli.Context) error {
	required := []string{"input-dir", "output-dir"}
	if c.Bool("dry-run") {
		required = required[:1]
	}
	err := cmp.Or(cmdline.Check(c, []string{"input-dir", "output-dir"}, required...), cmdline.Within(c, quantizeBounds...), cmdline.Writable(c, "write-config", "sensitivity"))
	if err != nil {
		return err
	}
	o, err := quantizeOptions(c)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return preview(c, o)
	}
	m := &meter{c: c}
	o.Progress = m.set
	report, err := llm.Convert(c.Context, c.String("input-dir"), c.String("output-dir"), o)
	m.end()
	if err != nil {
		return failed(m, err)
	}
	switch {
	case c.Bool(jsonProgressFlag.Name):
		s := newSummary(c, report)
		return m.line(progressJSON{Event: "done", Result: &s})
	case c.Bool("json"):
		return cmdline.PrintJSON(c, newSummary(c, report))
	case !c.Bool(quietFlag.Name):
		showSummary(c, report)
	}
	return nil
}

// quantizeBounds are what quantize's numbers may be.
var quantizeBounds = []cmdline.Bound{
	{Name: "context", Least: 1, Most: 1 << 20},
	{Name: "bits", Most: 16, Open: true},
	{Name: "threads", Least: 1, Most: 4096},
	{Name: "calibration-windows", Most: cmdline.Unbounded, Not: "0: all of the text"},
	{Name: "calibration-tokens", Least: run.LeastTokens, Most: cmdline.Unbounded},
	{Name: "calibration-minutes", Most: cmdline.Unbounded, Open: true},
	{Name: "correction", Most: 1},
}

// failed adds to a conversion's error what to do next.
func failed(m *meter, err error) error {
	var wrong *auto.OptionError
	if errors.As(err, &wrong) {
		return wrongOption(err)
	}
	var stopped *convert.Interrupted
	resumable := errors.As(err, &stopped)
	var measured *auto.MeasureInterrupted
	var text *auto.TextError
	switch {
	case errors.Is(err, block.ErrNotFinite):
		err = fmt.Errorf("%s: %w: --sanitize replaces such values, with --discard if a run was interrupted by this", m.c.String("input-dir"), err)
	case errors.Is(err, quant.ErrOverflow):
		err = fmt.Errorf("%s: %w: --saturate clamps such values, with --discard if a run was interrupted by this", m.c.String("input-dir"), err)
	case resumable && errors.Is(err, context.Canceled):
		err = fmt.Errorf("interrupted: %d of %d tensors are complete in %s: continue with --resume, or start over with --discard", stopped.Whole, stopped.Tensors, stopped.Work)
	case resumable:
		err = fmt.Errorf("%w: continue with --resume when that is fixed, or start over with --discard", err)
	case errors.As(err, &measured):
		err = measureInterrupted(measured)
	case errors.Is(err, outdir.ErrUnfinished):
		err = fmt.Errorf("%w: continue with --resume, or remove it with --discard", err)
	case errors.Is(err, convert.ErrChanged):
		err = fmt.Errorf("%w: start over with --discard", err)
	case errors.As(err, &text):
		err = fmt.Errorf("--calibration %s: %w", cmdline.Quoted(cmp.Or(m.c.String("calibration"), "(the general text)")), text.Err)
	default:
		err = noGPU(m.c, forcible(err))
	}
	if m.c.Bool(jsonProgressFlag.Name) {
		err = errors.Join(err, m.line(progressJSON{Event: "error", Error: cmdline.OneLine(err), Resume: resumable}))
	}
	return err
}

// measureInterrupted says what becomes of an interrupted measurement.
func measureInterrupted(e *auto.MeasureInterrupted) error {
	if e.File == "" {
		return fmt.Errorf("%w; with --sensitivity FILE what was measured is kept, and another run continues from there", errInterrupted)
	}
	return fmt.Errorf("%w: %d of %d matrices are still to be measured, the others are kept in %s: run the same command again to continue",
		errInterrupted, e.Missing, e.Total, e.File)
}
