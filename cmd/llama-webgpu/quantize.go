package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

var quantizeCommand = &cli.Command{
	Name:      "quantize",
	Category:  "Models",
	Usage:     "turn a checkpoint or GGUF file into a bundle: model.wgpu, manifest.json, vocab.json",
	UsageText: "llama-webgpu quantize DIR --output-dir DIR --format TYPE [options]",
	Description: `Reads a GGUF file, or a checkpoint: config.json, *.safetensors, and tokenizer.json, or what one can be made
from: tokenizer.model, tekken.json, *.tiktoken, or vocab.json and merges.txt. Weights may be float16, bfloat16,
float32, 8- and 4-bit floats with their scales, or quantized by bitsandbytes, GPTQ, AWQ, AutoRound,
compressed-tensors, modelopt or MLX. Adapters of --lora are merged first. Matrices become blocks of integers that
share a float16 scale and an int8 zero-point; norms and biases stay as they are. Integers of the checkpoint are
taken over unchanged where their groups make blocks, and so is MXFP4 with --format int8.

The output directory appears when everything is done, or not at all. If the run is interrupted, --resume continues
with the first tensor that is not complete, and gives the same bytes.

A matrix whose name matches --keep-f16 is kept as f16; otherwise the first --override that matches decides, then
--embed-format, --head-format or --format. What these leave open follows from the model's size and shape, and the
summary says what was chosen: int4 of a small model gets blocks of 64 and 32, and int8 for the matrices that matter
most. For int4/128 throughout, give --block-size 128 --embed-format int4. --config reads such choices from a YAML
file, which --write-config writes; flags take precedence over the file.

--bits measures what each matrix costs the model, which takes a while; --sensitivity keeps the measurements in a
file, for runs with another number of bits. An interrupted measurement continues from that file, too.

With --json-progress, standard output gets one JSON object per line: event "progress" with tensor, done,
total, bytes_per_second and seconds_left, and at the end event "done" with the summary, or "error".

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
		&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and the disk and GPU memory it needs; write nothing", Category: "Input and output", DisableDefaultText: true},
		&cli.IntFlag{Name: "context", Usage: "with --dry-run: GPU memory at a context of `N` tokens", DefaultText: "what it was trained for, at most 4096", Category: "Input and output"},

		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "`TYPE`: what matrices become: int8, int4, int2, or f16 to keep them (required, unless --bits is given)", Category: "Format"},
		&cli.Float64Flag{Name: "bits", Usage: "`N`: use at most N bits per weight in the layers, scales included: measures what each matrix can take, and chooses its bits and block size (needs --method gptq)", Category: "Format"},
		&cli.IntFlag{Name: "block-size", Usage: "`N`: how many weights share a scale, in all matrices: 32, 64, 128 or 256", DefaultText: "by the model", Category: "Format"},
		&cli.StringFlag{Name: "embed-format", Usage: "`TYPE`: what the embedding becomes", DefaultText: "int8 below 4 billion weights, else as --format", Category: "Format"},
		&cli.StringFlag{Name: "head-format", Usage: "`TYPE`: what the head becomes, where it is not the embedding", DefaultText: "as the embedding, if both are left open, else as --format", Category: "Format"},
		&cli.StringSliceFlag{Name: "keep-f16", KeepSpace: true, Usage: "`REGEX`: keep matrices whose names match as float16 (repeatable)", Category: "Format"},
		&cli.StringSliceFlag{Name: "override", KeepSpace: true, Usage: "`REGEX=TYPE[:BLOCK]`: what matrices whose names match become (repeatable, the first match wins)", Category: "Format"},
		&cli.StringFlag{Name: "config", Usage: "read format and encoding from `FILE` (YAML)", Category: "Format"},
		&cli.StringFlag{Name: "write-config", Usage: "record format and encoding in `FILE` (YAML)", Category: "Format"},

		&cli.StringFlag{Name: "method", DefaultText: string(quant.Search), Usage: "`METHOD`: how blocks are fitted: search, rtn (min-max, faster), gptq (best, runs a text through the model), or auto: gptq if that takes minutes, else search", Category: "Encoding"},
		&cli.BoolFlag{Name: "rotate", Usage: "rotate the residual stream by an orthogonal matrix first, which spreads outliers; a head that is the embedding becomes a matrix of its own", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "sanitize", Usage: "replace NaN by 0, and infinities by the largest value of their block", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "saturate", Usage: "clamp values that do not fit a float16 scale instead of failing", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "strict", Usage: "fail instead of warning, before anything is written", Category: "Encoding", DisableDefaultText: true},
		&cli.IntFlag{Name: "threads", Usage: "`N`: how many threads work; the output does not depend on it", DefaultText: "one for each CPU", Category: "Encoding"},

		quietFlag, jsonFlag("print the summary as JSON"), jsonProgressFlag,
	}, calibrationFlags),
	Action: quantize,
}

func quantize(c *cli.Context) (err error) {
	required := []string{"input-dir", "output-dir"}
	if c.Bool("dry-run") {
		required = required[:1]
	}
	err = cmp.Or(check(c, []string{"input-dir", "output-dir"}, required...), within(c, quantizeBounds...), writable(c, "write-config", "sensitivity"))
	if err != nil {
		return err
	}
	p, options, err := convertOptions(c)
	if err != nil {
		return err
	}
	edits, err := ropeEdits(c)
	if err != nil {
		return err
	}
	progress := &meter{c: c}
	if err := checkTarget(c, &options); err != nil {
		return failed(progress, err)
	}
	src, err := openCheckpoint(c.String("input-dir"), edits...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	if err := errors.Join(merge(c, src), checkTokenizer(c, src)); err != nil {
		return err
	}
	if options.Rotate {
		if err := rotate(src); err != nil {
			return err
		}
	}
	if p.Method == auto {
		if err := chooseMethod(c, src, &options); err != nil {
			return err
		}
	}
	if err := checkCalibration(c, c.String("calibration"), src.weights.Spec(), &options); err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return showPlan(c, src, options)
	}
	done, err := calibration(c, p, src, &options)
	if err != nil {
		return err
	}
	defer done()
	if path := c.String("write-config"); path != "" && options.Bits > 0 {
		if err := p.write(path, options.Force); err != nil {
			return err
		}
	}
	options.Progress = progress.set
	report, err := convert.Run(c.Context, convertSource(src), c.String("output-dir"), options)
	progress.end()
	if err != nil {
		return failed(progress, err)
	}
	switch {
	case c.Bool(jsonProgressFlag.Name):
		s := newSummary(c, report)
		return progress.line(progressJSON{Event: "done", Result: &s})
	case c.Bool("json"):
		return printJSON(c, newSummary(c, report))
	case !c.Bool(quietFlag.Name):
		showSummary(c, report)
	}
	return nil
}

// quantizeBounds are what quantize's numbers may be.
var quantizeBounds = []bound{
	{name: "context", least: 1, most: 1 << 20},
	{name: "bits", most: 16, open: true},
	{name: "threads", least: 1, most: 4096},
	{name: "calibration-windows", most: unbounded, not: "0: all of the text"},
	{name: "calibration-tokens", least: leastTokens, most: unbounded},
	{name: "correction", most: 1},
}

// checkTarget reports outputs that will not do, before anything is computed for them.
func checkTarget(c *cli.Context, o *convert.Options) error {
	if c.Bool("dry-run") {
		return nil
	}
	if err := outdir.Apart(c.String("output-dir"), c.String("input-dir")); err != nil {
		return err
	}
	if path := c.String("write-config"); o.Bits > 0 && path != "" && !o.Force && exists(filepath.Dir(path), filepath.Base(path)) {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	return bundle.CheckTarget(c.String("output-dir"), bundle.Options{Force: o.Force, Stale: o.Stale})
}

// failed adds to a conversion's error what to do next.
func failed(m *meter, err error) error {
	var stopped *convert.Interrupted
	resumable := errors.As(err, &stopped)
	switch {
	case errors.Is(err, block.ErrNotFinite):
		err = fmt.Errorf("%s: %w: --sanitize replaces such values, with --discard if a run was interrupted by this", m.c.String("input-dir"), err)
	case errors.Is(err, quant.ErrOverflow):
		err = fmt.Errorf("%s: %w: --saturate clamps such values, with --discard if a run was interrupted by this", m.c.String("input-dir"), err)
	case resumable && errors.Is(err, context.Canceled):
		err = fmt.Errorf("interrupted: %d of %d tensors are whole in %s: go on with --resume, or start anew with --discard", stopped.Whole, stopped.Tensors, stopped.Work)
	case resumable:
		err = fmt.Errorf("%w: go on with --resume when that is mended, or start anew with --discard", err)
	case errors.Is(err, outdir.ErrUnfinished):
		err = fmt.Errorf("%w: go on with it with --resume, or remove it with --discard", err)
	case errors.Is(err, convert.ErrChanged):
		err = fmt.Errorf("%w: start anew with --discard", err)
	default:
		err = forcible(err)
	}
	if m.c.Bool(jsonProgressFlag.Name) {
		err = errors.Join(err, m.line(progressJSON{Event: "error", Error: oneLine(err), Resume: resumable}))
	}
	return err
}

// convertOptions reads the flags. It writes the file of --write-config, too, unless the policy is yet to
// be completed.
func convertOptions(c *cli.Context) (*policy, convert.Options, error) {
	p, err := newPolicy(c)
	if err != nil {
		return nil, convert.Options{}, err
	}
	o, err := p.options()
	if err != nil {
		return nil, o, err
	}
	o.Generator = "llama-webgpu " + version
	o.Threads, o.Force, o.Strict = c.Int("threads"), c.Bool("force"), c.Bool("strict")
	switch resume, discard := c.Bool("resume"), c.Bool("discard"); {
	case resume && discard:
		return nil, o, usagef("quantize: want --resume or --discard, not both")
	case resume:
		o.Stale = outdir.Resume
	case discard:
		o.Stale = outdir.Discard
	}
	if err := o.Check(); err != nil {
		return nil, o, usagef("quantize: %v", err)
	}
	if o.Bits > 0 && c.Bool("dry-run") {
		return nil, o, usagef("quantize: what --bits chooses is not known without a run: --dry-run takes the file of --write-config of one")
	}
	if path := c.String("write-config"); path != "" && o.Bits == 0 {
		err = p.write(path, o.Force)
	}
	return p, o, err
}

// summary is what quantize prints with --json.
type summary struct {
	Output      string          `json:"output"`
	ID          string          `json:"id"`
	Format      string          `json:"format"`
	Block       int             `json:"block"`
	Method      string          `json:"method"`
	BytesBefore int64           `json:"bytes_before"`
	BytesAfter  int64           `json:"bytes_after"`
	Bits        float64         `json:"bits_per_weight"`
	Seconds     float64         `json:"seconds"`
	Notes       []string        `json:"notes"`
	Tensors     []tensorSummary `json:"tensors"`
}

type tensorSummary struct {
	Name        string  `json:"name"`
	Type        string  `json:"type"`
	Block       int     `json:"block"`
	BytesBefore int64   `json:"bytes_before"`
	BytesAfter  int64   `json:"bytes_after"`
	Bits        float64 `json:"bits_per_weight"`
	Error       float64 `json:"error"` // √(Σ(w−ŵ)²/Σw²)
}

func newSummary(c *cli.Context, r *convert.Report) summary {
	q := r.Manifest.Quantization
	s := summary{
		Output: c.String("output-dir"), ID: r.Manifest.ID, Format: q.Format, Block: q.Block, Method: q.Method,
		BytesBefore: r.In, BytesAfter: r.Out, Bits: total(r.Tensors).bits(), Seconds: r.Elapsed.Seconds(),
		Notes: append([]string{}, r.Manifest.Notes...),
	}
	for i, t := range r.Tensors {
		s.Tensors = append(s.Tensors, tensorSummary{
			t.Name, string(t.Type), r.Manifest.Tensors[i].Block, t.In, t.Out, t.Bits, t.Error,
		})
	}
	return s
}

// sum adds up tensors.
type sum struct {
	tensors          int
	weights, in, out int64
}

func (s *sum) add(t convert.TensorReport) {
	s.tensors++
	s.weights += t.Weights
	s.in += t.In
	s.out += t.Out
}

func (s sum) bits() float64 { return float64(s.out) * 8 / float64(s.weights) }

func (s sum) row(name string) table.Row {
	return table.Row{name, s.tensors, s.weights, humanSize(s.in), humanSize(s.out), fmt.Sprintf("%.2f", s.bits())}
}

func total(tensors []convert.TensorReport) sum {
	var s sum
	for _, t := range tensors {
		s.add(t)
	}
	return s
}

// worst is how many tensors the summary names.
const worst = 5

func showSummary(c *cli.Context, r *convert.Report) {
	types, sums := []string{}, map[string]*sum{}
	for i, t := range r.Tensors {
		name := storedAs(string(t.Type), r.Manifest.Tensors[i].Block)
		if sums[name] == nil {
			types, sums[name] = append(types, name), new(sum)
		}
		sums[name].add(t)
	}
	t := newTable(table.Row{"stored as", "tensors", "weights", "before", "after", "bits/weight"})
	for _, name := range types {
		t.AppendRow(sums[name].row(name))
	}
	if len(types) > 1 {
		t.AppendRow(total(r.Tensors).row("all"))
	}
	showTable(c, t)

	byError := slices.DeleteFunc(slices.Clone(r.Tensors), func(e convert.TensorReport) bool { return e.Error == 0 })
	slices.SortStableFunc(byError, func(a, b convert.TensorReport) int { return cmp.Compare(b.Error, a.Error) })
	t = newTable(table.Row{"largest errors", "stored as", "relative RMS"}, 2)
	for _, e := range byError[:min(worst, len(byError))] {
		t.AppendRow(table.Row{e.Name, e.Type, fmt.Sprintf("%.4f", e.Error)})
	}
	if len(byError) > 0 {
		fmt.Fprintln(stdout(c))
		showTable(c, t)
	}
	for _, note := range r.Manifest.Notes {
		fmt.Fprintf(stdout(c), "\nnote: %s\n", note)
	}
	fmt.Fprintf(stdout(c), "\n%s written in %.1f s\n", c.String("output-dir"), r.Elapsed.Seconds())
}
