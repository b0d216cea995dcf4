package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/verify"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
)

var compareCommand = &cli.Command{
	Name:      "compare",
	Category:  "Models",
	Usage:     "compare several bundles of one checkpoint",
	UsageText: "llama-webgpu compare --reference DIR BUNDLE… [options]",
	ArgsUsage: "BUNDLE…",
	Description: `Measures how far each bundle's predictions are from those of the checkpoint, as verify does, and
puts them beside their size. The checkpoint is run once; its logits wait in a temporary file, or in
that of --reference-cache for later runs (4 bytes for each scored position and token of the
vocabulary). Bundles are loaded one at a time.

Example:

  llama-webgpu compare --reference testdata/tiny int8 int4 int2 --html compare.html`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "reference", Aliases: []string{"r"}, Usage: "`DIR`: checkpoint or .gguf file that the bundles were made from (required)", Category: "What to compare"},
		&cli.StringSliceFlag{Name: "model", Aliases: []string{"m"}, KeepSpace: true, Usage: "`DIR`: bundle, as if it stood without a flag (repeatable)", Category: "What to compare"},
		loraFlag("What to compare"),
	}, textFlags, []cli.Flag{
		&cli.StringFlag{Name: "html", Usage: "`FILE`: write a page with a chart", Category: "Output"},
		reportJSONFlag, quietFlag,
	}, deviceFlags(), referenceFlags),
	Action: compareBundles,
}

// comparing is one run of compare.
type comparing struct {
	c         *cli.Context
	source    *source.Model
	bundles   []*source.Model
	windows   [][]int32
	recording *recorded
	device    string
	rows      []report.Row

	name, method int // columns of the table
}

func compareBundles(c *cli.Context) (err error) {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := cmp.Or(checkDevice(c), checkReference(c), within(c, textBounds...), writable(c, "json", "html", "reference-cache")); err != nil {
		return err
	}
	if c.String("device") == "gpu" {
		if err := checkGPU(c); err != nil {
			return err
		}
	}
	if c.String("reference") == "" || len(bundleDirs(c)) == 0 {
		return usagef("compare: want --reference and at least one bundle; see llama-webgpu compare --help")
	}
	r := comparing{c: c}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(); err != nil {
		return err
	}
	if r.recording, err = record(c, r.source, r.windows); err != nil {
		return err
	}
	r.showHead()
	for _, b := range r.bundles {
		if err := r.measure(c.Context, b.Dir, b); err != nil {
			return err
		}
	}
	return r.show()
}

// bundleDirs are the directories to compare.
func bundleDirs(c *cli.Context) []string {
	return append(slices.Clone(c.StringSlice("model")), c.Args().Slice()...)
}

func (r *comparing) close() error {
	errs := []error{r.recording.close()}
	for _, s := range append(r.bundles, r.source) {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// open opens and checks everything, so that nothing is found to be missing after long work.
func (r *comparing) open() (err error) {
	if r.source, err = source.Open(r.c.String("reference")); err != nil {
		return err
	}
	if err := r.source.Merge(adapters(r.c)...); err != nil {
		return err
	}
	for _, dir := range bundleDirs(r.c) {
		s, err := source.OpenBundle(dir)
		if err != nil {
			return err
		}
		r.bundles = append(r.bundles, s)
		first := r.bundles[0]
		if s.Bundle.Manifest.Tokenizer.SHA256 != first.Bundle.Manifest.Tokenizer.SHA256 || s.BOS != first.BOS {
			return fmt.Errorf("%s: has another tokenizer than %s", dir, first.Dir)
		}
		if err := checkPair(s, r.source); err != nil {
			return err
		}
	}
	r.windows, err = cutWindows(r.c, r.bundles[0])
	return err
}

// measure compares one bundle.
func (r *comparing) measure(ctx context.Context, name string, s *source.Model) error {
	if err := checkHashes(r.c, s); err != nil {
		return err
	}
	e, err := openForMany(r.c, s, len(r.windows[0]))
	if err != nil {
		return err
	}
	defer e.close()
	progress := newBar(r.c, name, int64(len(r.windows)), false)
	defer progress.end()
	d, err := verify.MeasureDrift(ctx, r.recording.Play(), e.Forwarder, r.windows, func(done, _ int) { progress.set(int64(done), "") })
	if err != nil {
		return fmt.Errorf("%s: %w", s.Dir, err)
	}
	m := s.Bundle.Manifest
	row := report.Row{Name: name, ID: m.ID, Method: m.Quantization.String(), Bytes: m.Size(), Drift: d}
	row.Bits, row.Total = layerBits(m)
	r.rows, r.device = append(r.rows, row), e.String()
	progress.end()
	r.showRow(row)
	return nil
}

// show writes the results where they are wanted.
func (r *comparing) show() error {
	if path := r.c.String("html"); path != "" {
		page := &report.Comparison{
			Reference: baseName(r.source.Dir), Rows: r.rows,
			Facts: slices.Concat([]report.Fact{{Name: "device", Value: r.device}, {Name: "cached keys and values", Value: r.c.String("kv")}}, commonFacts(r.c)),
		}
		if err := writeFile(path, func(w io.Writer) error { return report.WriteComparison(w, page) }); err != nil {
			return err
		}
	}
	done, err := writeReport(r.c, struct {
		Reference string       `json:"reference"`
		Device    string       `json:"device"`
		Bundles   []report.Row `json:"bundles"`
	}{r.source.Dir, r.device, r.rows})
	if err == nil && !done && r.prints() {
		r.showEnd()
	}
	return err
}

// compareColumns are those of the table but for the first two, whose widths follow from the bundles.
var compareColumns = []string{"bits/weight", "   size", "           mean KLD", "     99 %", "same top token", "perplexity"}

// showHead begins the table, which has a row as soon as it is measured.
func (r *comparing) showHead() {
	if !r.prints() {
		return
	}
	r.name, r.method = len("bundle"), len("quantization")
	for _, b := range r.bundles {
		r.name = max(r.name, utf8.RuneCountInString(b.Dir))
		r.method = max(r.method, utf8.RuneCountInString(b.Bundle.Manifest.Quantization.String()))
	}
	r.showCells("bundle", "quantization", compareColumns...)
}

func (r *comparing) showRow(row report.Row) {
	d := row.Drift
	if r.prints() {
		r.showCells(row.Name, row.Method, fmt.Sprintf("%.2f", row.Bits), humanSize(row.Bytes), fmt.Sprintf("%.4g ± %.2g", d.MeanKLD, d.MeanKLDError),
			fmt.Sprintf("%.3g", d.KLD.P99), fmt.Sprintf("%.2f %%", 100*d.Top1), fmt.Sprintf("%.4g", d.PPL))
	}
}

func (r *comparing) showCells(name, method string, numbers ...string) {
	line := fmt.Sprintf("%-*s   %-*s", r.name, name, r.method, method)
	for i, n := range numbers {
		line += fmt.Sprintf("   %*s", utf8.RuneCountInString(compareColumns[i]), n)
	}
	fmt.Fprintln(stdout(r.c), line)
}

func (r *comparing) showEnd() {
	d := r.rows[0].Drift
	fmt.Fprintf(stdout(r.c), "\n%d positions of %s of %d tokens; bits/weight of the matrices in the layers; the checkpoint's perplexity is %.4g\n",
		d.Scored, counted(d.Windows, "window"), d.WindowTokens, d.PPLReference)
}

// prints reports whether there is to be a table.
func (r *comparing) prints() bool {
	return !r.c.Bool(quietFlag.Name) && r.c.String(reportJSONFlag.Name) != "-"
}
