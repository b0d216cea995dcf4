package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

var quantizeCommand = &cli.Command{
	Name:      "quantize",
	Category:  "Models",
	Usage:     "turn a Hugging Face checkpoint into a bundle: model.wgpu, manifest.json, vocab.json",
	UsageText: "llama-webgpu quantize --input-dir DIR --output-dir DIR --format int8|int4|int2|f16 [options]",
	Description: `Reads config.json, tokenizer.json and *.safetensors (float16, bfloat16 or float32), stores the
matrices as blocks of integers that share a float16 scale and an int8 zero-point, and keeps norms
and biases as they are. The output directory appears when all is done, or not at all.

Examples:

  llama-webgpu quantize --input-dir testdata/tiny --output-dir out --format int4
  llama-webgpu quantize --input-dir testdata/tiny --output-dir out2 --format int2 --embed-format int8 --keep-f16 'layers\.0\.'`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "input-dir", Aliases: []string{"i"}, Usage: "checkpoint to read: `DIR` (required)", Category: "Input and output"},
		&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}, Usage: "bundle to write: `DIR` (required)", Category: "Input and output"},
		&cli.BoolFlag{Name: "force", Usage: "replace an output directory that is there", Category: "Input and output", DisableDefaultText: true},

		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "of the matrices: `TYPE` int8, int4, int2, or f16 to keep them (required)", Category: "Format"},
		&cli.IntFlag{Name: "block-size", Usage: "weights that share a scale: `N` 32, 64, 128 or 256", DefaultText: "128, for int2 256", Category: "Format"},
		&cli.StringFlag{Name: "embed-format", Usage: "of the embedding: `TYPE`", DefaultText: "as --format", Category: "Format"},
		&cli.StringFlag{Name: "head-format", Usage: "of the head, where it is not the embedding: `TYPE`", DefaultText: "as --format", Category: "Format"},
		&cli.StringSliceFlag{Name: "keep-f16", Usage: "keep matrices as float16 whose names match `REGEX` (repeatable)", Category: "Format"},

		&cli.StringFlag{Name: "method", Value: string(quant.Search), Usage: "how blocks are fitted: `METHOD` search (better) or rtn (min-max, faster)", Category: "Encoding"},
		&cli.BoolFlag{Name: "sanitize", Usage: "replace NaN by 0, and infinities by the largest value of their block", Category: "Encoding", DisableDefaultText: true},
		&cli.BoolFlag{Name: "saturate", Usage: "clamp what does not fit in a float16 scale instead of failing", Category: "Encoding", DisableDefaultText: true},
		&cli.IntFlag{Name: "threads", Usage: "workers: `N`; the output does not depend on it", DefaultText: "one for each CPU", Category: "Encoding"},

		quietFlag, jsonFlag("print the summary as JSON"),
	},
	Action: quantize,
}

func quantize(c *cli.Context) (err error) {
	if err := check(c, "input-dir", "output-dir", "format"); err != nil {
		return err
	}
	options, err := convertOptions(c)
	if err != nil {
		return err
	}
	src, err := openCheckpoint(c.String("input-dir"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()

	var progress bar
	options.Progress = func(p convert.Progress) {
		if progress.bar == nil {
			progress = newBar(c, "", p.Total, true)
		}
		progress.set(p.Done, p.Tensor)
	}
	report, err := convert.Run(c.Context, convertSource(src), c.String("output-dir"), options)
	progress.end()
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w (--force)", err)
	case err != nil:
		return err
	}
	switch {
	case c.Bool("json"):
		return printJSON(c, newSummary(c, report))
	case !c.Bool(quietFlag.Name):
		showSummary(c, report)
	}
	return nil
}

func convertOptions(c *cli.Context) (convert.Options, error) {
	o := convert.Options{
		Format: c.String("format"), Block: c.Int("block-size"), Method: quant.Method(c.String("method")),
		EmbedFormat: c.String("embed-format"), HeadFormat: c.String("head-format"),
		Sanitize: c.Bool("sanitize"), Saturate: c.Bool("saturate"),
		Generator: "llama-webgpu " + version,
		Threads:   c.Int("threads"), Force: c.Bool("force"),
	}
	for _, pattern := range c.StringSlice("keep-f16") {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return o, usagef("keep-f16: %v", err)
		}
		o.KeepF16 = append(o.KeepF16, re)
	}
	return o, nil
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
	return table.Row{name, s.tensors, s.weights, bytes(s.in), bytes(s.out), fmt.Sprintf("%.2f", s.bits())}
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

	byError := slices.Clone(r.Tensors)
	slices.SortStableFunc(byError, func(a, b convert.TensorReport) int { return cmp.Compare(b.Error, a.Error) })
	t = newTable(table.Row{"largest errors", "stored as", "relative RMS"}, 2)
	for _, e := range byError[:min(worst, len(byError))] {
		t.AppendRow(table.Row{e.Name, e.Type, fmt.Sprintf("%.4f", e.Error)})
	}
	fmt.Fprintln(stdout(c))
	showTable(c, t)
	for _, note := range r.Manifest.Notes {
		fmt.Fprintf(stdout(c), "\nnote: %s\n", note)
	}
	fmt.Fprintf(stdout(c), "\n%s written in %.1f s\n", c.String("output-dir"), r.Elapsed.Seconds())
}
