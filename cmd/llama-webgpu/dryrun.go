package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
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

// plannedBundle is a bundle that there is not yet, to count what it will need.
type plannedBundle struct {
	model.Weights
	tensors []bundle.Tensor
}

func (p plannedBundle) Packing(i int) (bits, block int) {
	return p.tensors[i].Type.Bits(), p.tensors[i].Block
}

func (p plannedBundle) ReadAt(i int, _ []byte, _ int64) error {
	return fmt.Errorf("tensor %q: is only planned", p.tensors[i].Name)
}

// bindingLimit is what a binding holds on the devices that memory is counted for. Smaller ones split
// large matrices, which takes no more.
const bindingLimit = 1 << 31

func showPlan(c *cli.Context, src *source, options convert.Options) error {
	from := convertSource(src)
	v, err := convert.Look(c.Context, from, options)
	if err != nil {
		return err
	}
	d := dryRun{
		Files: v.Files, Before: v.In, After: v.Out, Bits: total(v.Tensors).bits(), Seconds: v.Time.Seconds(), Disk: v.Disk,
		Context: c.Int("context"), Notes: append([]string{}, v.Notes...),
	}
	if d.Context == 0 {
		d.Context = min(src.context(), 4096)
	}
	for i, t := range v.Planned {
		r := v.Tensors[i]
		d.Tensors = append(d.Tensors, plannedTensor{t.Name, t.Shape, string(t.Type), t.Block, v.Files[t.File].Name, r.In, r.Out, r.Bits})
	}
	d.GPU, err = transformer.Need(plannedBundle{from.Weights, v.Planned}, transformer.Options{MaxSeqLen: d.Context}, bindingLimit)
	if err != nil {
		return err
	}
	for _, n := range d.GPU {
		d.GPUTotal += n
	}
	if options.Method == convert.GPTQ {
		windows, err := calibrationText(c, c.String("calibration"), src, &options)
		if err != nil {
			return err
		}
		need := convert.LookCalibration(src.weights, len(windows)*len(windows[0]), c.Float64("correction") > 0, transformer.SumBytes)
		d.Calibration = &need
	}
	if out := c.String("output-dir"); out != "" {
		d.Available, _ = outdir.Available(out)
	}
	if c.Bool("json") {
		return printJSON(c, d)
	}
	d.show(c, v)
	return nil
}

func (d *dryRun) show(c *cli.Context, v *convert.Preview) {
	out := stdout(c)
	t := newTable(table.Row{"tensor", "shape", "stored as", "before", "after", "bits/weight"}, 2, 3)
	for _, p := range d.Tensors {
		t.AppendRow(table.Row{p.Name, fmt.Sprint(p.Shape), storedAs(p.Type, p.Block), p.Before, p.After, fmt.Sprintf("%.2f", p.Bits)})
	}
	showTable(c, t)
	fmt.Fprintln(out)
	s := total(v.Tensors)
	fmt.Fprintf(out, "tensors     %d, %d weights\n", s.tensors, s.weights)
	fmt.Fprintf(out, "size        %s before, %s after, %.2f bits/weight\n", humanSize(d.Before), humanSize(d.After), d.Bits)
	if len(d.Files) > 1 {
		fmt.Fprintf(out, "files       %d, the first %s\n", len(d.Files), humanSize(d.Files[0].Size))
	}
	fmt.Fprintf(out, "time        about %.1f s\n", d.Seconds)
	if n := d.Calibration; n != nil {
		fmt.Fprintf(out, "calibration %d tokens: on top, %.3g·10¹² operations on the GPU or the CPU engine, %s of memory there, %s more or as much in temporary files\n",
			n.Tokens, n.Operations/1e12, humanSize(n.GPU), humanSize(n.Disk))
	}
	fmt.Fprintf(out, "disk        %s needed", humanSize(d.Disk))
	if d.Available > 0 {
		fmt.Fprintf(out, ", %s available", humanSize(int64(d.Available)))
	}
	fmt.Fprintf(out, "\nGPU memory  %s at a context of %d", humanSize(int64(d.GPUTotal)), d.Context)
	sep := ": "
	for _, purpose := range slices.Sorted(maps.Keys(d.GPU)) {
		fmt.Fprintf(out, "%s%s %s", sep, purpose, humanSize(int64(d.GPU[purpose])))
		sep = ", "
	}
	fmt.Fprintln(out)
	for _, note := range d.Notes {
		fmt.Fprintf(out, "\nnote: %s\n", note)
	}
}
