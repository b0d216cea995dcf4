package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// dryRun is what quantize --dry-run prints with --json.
type dryRun struct {
	Tensors   []plannedTensor   `json:"tensors"`
	Files     []bundle.File     `json:"files"`
	Before    int64             `json:"bytes_before"`
	After     int64             `json:"bytes_after"`
	Bits      float64           `json:"bits_per_weight"`
	Seconds   float64           `json:"seconds"` // about
	Disk      int64             `json:"disk_bytes"`
	Available uint64            `json:"disk_available,omitempty"`
	Context   int               `json:"context"`
	GPU       map[string]uint64 `json:"gpu_bytes"` // by purpose, at that context
	GPUTotal  uint64            `json:"gpu_bytes_total"`
	Notes     []string          `json:"notes"`

	Calibration *convert.CalibrationNeed `json:"calibration,omitempty"`

	sum convert.Sum
}

type plannedTensor struct {
	Name   string  `json:"name"`
	Shape  []int   `json:"shape"`
	Type   string  `json:"type"`
	Block  int     `json:"block,omitempty"`
	File   string  `json:"file"`
	Before int64   `json:"bytes_before"`
	After  int64   `json:"bytes_after"`
	Bits   float64 `json:"bits_per_weight"`
}

// preview shows what quantize would do.
func preview(c *cli.Context, o auto.Options) error {
	v, err := llm.PreviewConvert(c.Context, c.String("input-dir"), c.Int("context"), o)
	if err != nil {
		return failed(&meter{c: c}, err)
	}
	d := newDryRun(v)
	if out := c.String("output-dir"); out != "" {
		d.Available, _ = outdir.Available(out)
	}
	if c.Bool("json") {
		return cmdline.PrintJSON(c, d)
	}
	d.show(c)
	return nil
}

func newDryRun(v *auto.Preview) *dryRun {
	d := &dryRun{
		Files: v.Files, Before: v.In, After: v.Out, Seconds: v.Time.Seconds(), Disk: v.Disk, Context: v.Context,
		GPU: v.GPU, GPUTotal: auto.Sum(v.GPU), Notes: append([]string{}, v.Notes...), Calibration: v.Calibration,
		sum: convert.Total(v.Tensors),
	}
	d.Bits = d.sum.Bits()
	for i, t := range v.Planned {
		r := v.Tensors[i]
		d.Tensors = append(d.Tensors, plannedTensor{t.Name, t.Shape, string(t.Type), t.Block, v.Files[t.File].Name, r.In, r.Out, r.Bits})
	}
	return d
}

func (d *dryRun) show(c *cli.Context) {
	out := stdout(c)
	t := cmdline.NewTable(table.Row{"tensor", "shape", "stored as", "before", "after", "bits/weight"}, 2, 3)
	for _, p := range d.Tensors {
		t.AppendRow(table.Row{p.Name, fmt.Sprint(p.Shape), storedAs(p.Type, p.Block), p.Before, p.After, fmt.Sprintf("%.2f", p.Bits)})
	}
	cmdline.ShowTable(c, t)
	fmt.Fprintln(out)
	fmt.Fprintf(out, "tensors     %d, %d weights\n", d.sum.Tensors, d.sum.Weights)
	fmt.Fprintf(out, "size        %s before, %s after, %.2f bits/weight\n", cmdline.HumanSize(d.Before), cmdline.HumanSize(d.After), d.Bits)
	if len(d.Files) > 1 {
		fmt.Fprintf(out, "files       %d, the first %s\n", len(d.Files), cmdline.HumanSize(d.Files[0].Size))
	}
	fmt.Fprintf(out, "time        about %.1f s\n", d.Seconds)
	if n := d.Calibration; n != nil {
		if n.Seconds > 0 {
			fmt.Fprintf(out, "calibration %d tokens on the CPU: about %.1f s of that\n", n.Tokens, n.Seconds)
		} else {
			fmt.Fprintf(out, "calibration %d tokens on the GPU: on top, %.3g·10¹² operations, %s of memory there, %s more or as much in temporary files\n",
				n.Tokens, n.Operations/1e12, cmdline.HumanSize(n.GPU), cmdline.HumanSize(n.Disk))
		}
	}
	fmt.Fprintf(out, "disk        %s needed", cmdline.HumanSize(d.Disk))
	if d.Available > 0 {
		fmt.Fprintf(out, ", %s available", cmdline.HumanSize(int64(d.Available)))
	}
	fmt.Fprintf(out, "\nGPU memory  %s at a context of %d", cmdline.HumanSize(int64(d.GPUTotal)), d.Context)
	sep := ": "
	for _, purpose := range slices.Sorted(maps.Keys(d.GPU)) {
		fmt.Fprintf(out, "%s%s %s", sep, purpose, cmdline.HumanSize(int64(d.GPU[purpose])))
		sep = ", "
	}
	fmt.Fprintln(out)
	for _, note := range d.Notes {
		fmt.Fprintf(out, "\nnote: %s\n", note)
	}
}
