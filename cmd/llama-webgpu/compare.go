package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
	"github.com/llama-webgpu/llama-webgpu/verify/run"
)

var compareCommand = &cli.Command{
	Name:      "compare",
	Category:  "Models",
	Usage:     "compare several bundles of one checkpoint",
	UsageText: "llama-webgpu compare --reference DIR BUNDLE… [options]",
	ArgsUsage: "BUNDLE…",
	Description: `Measures how far each bundle's predictions are from those of the checkpoint, as verify does, and
lists the bundles with their sizes. The checkpoint is run once; its logits are kept in a temporary file, or
with --reference-cache in a file for later runs (4 bytes for each scored position and token of the
vocabulary). Bundles are loaded one at a time.

Example:

  llama-webgpu compare --reference testdata/tiny int8 int4 int2 --html compare.html`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "reference", Aliases: []string{"r"}, Usage: "`DIR`: checkpoint or .gguf file that the bundles were made from (required)", Category: "What to compare"},
		&cli.StringSliceFlag{Name: "model", Aliases: []string{"m"}, KeepSpace: true, Usage: "`DIR`: bundle, same as an argument without a flag (repeatable)", Category: "What to compare"},
		loraFlag("What to compare"),
	}, textFlags, []cli.Flag{
		&cli.StringFlag{Name: "html", Usage: "`FILE`: write a page with a chart", Category: "Output"},
		cmdline.ReportFlag, quietFlag,
	}, deviceFlags(), referenceFlags),
	Action: compareBundles,
}

func compareBundles(c *cli.Context) (err error) {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := cmp.Or(checkDevice(c), checkReference(c), cmdline.Within(c, textBounds...), cmdline.Writable(c, "json", "html", "reference-cache")); err != nil {
		return err
	}
	if c.String("reference") == "" || len(bundleDirs(c)) == 0 {
		return cmdline.Usagef("compare: want --reference and at least one bundle; see llama-webgpu compare --help")
	}
	bars := &steps{c: c}
	o, err := judgeOptions(c, bars)
	if err != nil {
		return err
	}
	all, err := run.OpenComparison(c.String("reference"), bundleDirs(c), o)
	if err != nil {
		return judged(c, err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	t := newComparisonTable(c, all)
	var rows []report.Row
	for row, err := range all.Rows(c.Context) {
		bars.end()
		if err != nil {
			return judged(c, err)
		}
		rows = append(rows, row)
		t.add(row)
	}
	return showComparison(c, all, rows)
}

// bundleDirs are the directories to compare.
func bundleDirs(c *cli.Context) []string {
	return append(slices.Clone(c.StringSlice("model")), c.Args().Slice()...)
}

// showComparison writes the results where they are wanted.
func showComparison(c *cli.Context, all *run.Comparison, rows []report.Row) error {
	if path := c.String("html"); path != "" {
		if err := cmdline.WriteFile(path, func(w io.Writer) error { return report.WriteComparison(w, all.Page(rows)) }); err != nil {
			return err
		}
	}
	done, err := cmdline.WriteReport(c, struct {
		Reference string       `json:"reference"`
		Device    string       `json:"device"`
		Bundles   []report.Row `json:"bundles"`
	}{all.Reference, all.Device, rows})
	if err != nil || done || !printsTable(c) {
		return err
	}
	d := rows[0].Drift
	fmt.Fprintf(stdout(c), "\n%d positions of %s of %d tokens; bits/weight of the matrices in the layers; the checkpoint's perplexity is %.4g\n",
		d.Scored, counted(d.Windows, "window"), d.WindowTokens, d.PPLReference)
	return nil
}

// printsTable reports whether there is to be a table.
func printsTable(c *cli.Context) bool {
	return !c.Bool(quietFlag.Name) && c.String(cmdline.ReportFlag.Name) != "-"
}

// comparisonTable is printed row by row, each as soon as it is measured.
type comparisonTable struct {
	c            *cli.Context
	name, method int // widths of the first two columns
	begun        bool
}

// compareColumns are those of the table but for the first two, whose widths follow from the bundles.
var compareColumns = []string{"bits/weight", "   size", "           mean KLD", "     99 %", "same top token", "perplexity"}

func newComparisonTable(c *cli.Context, all *run.Comparison) *comparisonTable {
	t := &comparisonTable{c: c, name: len("bundle"), method: len("quantization")}
	for _, b := range all.Bundles {
		t.name = max(t.name, utf8.RuneCountInString(b.Dir))
		t.method = max(t.method, utf8.RuneCountInString(b.Bundle.Manifest.Quantization.String()))
	}
	return t
}

func (t *comparisonTable) add(row report.Row) {
	if !printsTable(t.c) {
		return
	}
	if !t.begun {
		t.begun = true
		t.cells("bundle", "quantization", compareColumns...)
	}
	d := row.Drift
	t.cells(row.Name, row.Method, fmt.Sprintf("%.2f", row.Bits), cmdline.HumanSize(row.Bytes), fmt.Sprintf("%.4g ± %.2g", d.MeanKLD, d.MeanKLDError),
		fmt.Sprintf("%.3g", d.KLD.P99), fmt.Sprintf("%.2f %%", 100*d.Top1), fmt.Sprintf("%.4g", d.PPL))
}

func (t *comparisonTable) cells(name, method string, numbers ...string) {
	line := fmt.Sprintf("%-*s   %-*s", t.name, name, t.method, method)
	for i, n := range numbers {
		line += fmt.Sprintf("   %*s", utf8.RuneCountInString(compareColumns[i]), n)
	}
	fmt.Fprintln(stdout(t.c), line)
}
