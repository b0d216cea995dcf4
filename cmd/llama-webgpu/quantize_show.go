package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// summary is what quantize prints with --json.
type summary struct {
	Output      string          `json:"output"`
	ID          string          `json:"id"`
	Format      string          `json:"format"`
	Block       int             `json:"block"`
	Method      string          `json:"method"`
	Calibrated  string          `json:"calibrated_on,omitempty"` // where, and what made the sums
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
		Output: c.String("output-dir"), ID: r.Manifest.ID, Format: q.Format, Block: q.Block, Method: q.Method, Calibrated: r.Calibrated,
		BytesBefore: r.In, BytesAfter: r.Out, Bits: convert.Total(r.Tensors).Bits(), Seconds: r.Elapsed.Seconds(),
		Notes: append([]string{}, r.Manifest.Notes...),
	}
	for i, t := range r.Tensors {
		s.Tensors = append(s.Tensors, tensorSummary{
			t.Name, string(t.Type), r.Manifest.Tensors[i].Block, t.In, t.Out, t.Bits, t.Error,
		})
	}
	return s
}

// worst is how many tensors the summary names.
const worst = 5

func showSummary(c *cli.Context, r *convert.Report) {
	t := cmdline.NewTable(table.Row{"stored as", "tensors", "weights", "before", "after", "bits/weight"})
	types := r.ByType()
	for _, s := range types {
		t.AppendRow(sumRow(s.Stored, s.Sum))
	}
	if len(types) > 1 {
		t.AppendRow(sumRow("all", convert.Total(r.Tensors)))
	}
	cmdline.ShowTable(c, t)

	t = cmdline.NewTable(table.Row{"largest errors", "stored as", "relative RMS"}, 2)
	wrong := r.Worst(worst)
	for _, e := range wrong {
		t.AppendRow(table.Row{e.Name, e.Type, fmt.Sprintf("%.4f", e.Error)})
	}
	if len(wrong) > 0 {
		fmt.Fprintln(stdout(c))
		cmdline.ShowTable(c, t)
	}
	for _, note := range r.Manifest.Notes {
		fmt.Fprintf(stdout(c), "\nnote: %s\n", note)
	}
	if r.Calibrated != "" {
		fmt.Fprintf(stdout(c), "\ncalibrated on %s\n", r.Calibrated)
	}
	fmt.Fprintf(stdout(c), "\n%s written in %.1f s\n", c.String("output-dir"), r.Elapsed.Seconds())
}

func sumRow(name string, s convert.Sum) table.Row {
	return table.Row{name, s.Tensors, s.Weights, cmdline.HumanSize(s.In), cmdline.HumanSize(s.Out), fmt.Sprintf("%.2f", s.Bits())}
}

// storedAs names a type and its block size.
func storedAs(kind string, block int) string { return bundle.StoredAs(bundle.Type(kind), block) }
