package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

func (in *inspection) show(c *cli.Context) {
	in.showModel(c)
	fmt.Fprintln(stdout(c))
	if c.Bool("tensors") {
		in.showTensors(c)
	} else {
		in.showRoles(c)
	}
	if in.Sizes != nil {
		fmt.Fprintln(stdout(c))
		in.showSizes(c)
	}
	in.showNotes(c)
}

func (in *inspection) showNotes(c *cli.Context) {
	for _, note := range in.Notes {
		fmt.Fprintf(stdout(c), "\nnote: %s\n", note)
	}
}

// showModel says what the model is.
func (in *inspection) showModel(c *cli.Context) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(stdout(c), "%-10s  %s\n", name, fmt.Sprintf(format, args...))
	}
	s := in.Spec
	line("kind", "%s", in.Kind)
	if in.Kind == "bundle" {
		line("id", "%s%s", in.ID, map[bool]string{true: ", hashes checked"}[in.Checked])
		line("made by", "%s, %s", in.Generator, in.Quantization.String())
	}
	line("model", "%s, %d weights, %d layers, hidden %d, vocabulary %d, context %d",
		s.Family, in.Weights, len(s.Layers), s.Hidden, s.Vocab, s.MaxPositions)
	for k := range s.Kinds {
		line("layers", "%s", s.DescribeKind(k))
	}
	line("head", "%s", map[bool]string{true: "is the embedding", false: "has its own weights"}[s.TiedHead])
	if in.Bytes > 0 {
		line("size", "%s, %.2f bits/weight", cmdline.HumanSize(in.Bytes), in.Bits)
	}
	if in.GPU > 0 {
		line("GPU memory", "%s at a context of %d", cmdline.HumanSize(int64(in.GPU)), in.Context)
	}
	if len(in.KVFloat32) > 0 {
		line("KV cache", "float32 in layers %v, whose keys or values float16 may not hold", in.KVFloat32)
	}
	if in.Parity != nil {
		line("verified", "%s", in.Parity.String())
	}
}

// showRoles sums up the tensors by role.
func (in *inspection) showRoles(c *cli.Context) {
	w := cmdline.NewTable(table.Row{"role", "tensors", "shape", "stored as", "bytes", "bits/weight"}, 3, 4)
	for _, g := range source.ByRole(in.Tensors) {
		w.AppendRow(table.Row{g.Role, g.Tensors, fmt.Sprint(g.Shape), g.Stored, cmdline.HumanSize(g.Bytes), fmt.Sprintf("%.2f", g.Bits())})
	}
	cmdline.ShowTable(c, w)
}

// showTensors lists the tensors.
func (in *inspection) showTensors(c *cli.Context) {
	header := table.Row{"tensor", "shape", "stored as", "bytes", "bits/weight"}
	if in.Kind == "bundle" {
		header = append(header, "error")
	}
	w := cmdline.NewTable(header, 2, 3)
	for _, t := range in.Tensors {
		row := table.Row{t.Name, fmt.Sprint(t.Shape), storedAs(t.Type, t.Block), t.Bytes, fmt.Sprintf("%.2f", t.Bits)}
		if in.Kind == "bundle" {
			row = append(row, fmt.Sprintf("%.4f", t.Error))
		}
		w.AppendRow(row)
	}
	cmdline.ShowTable(c, w)
}

func (in *inspection) showMissing(c *cli.Context) {
	for i, name := range in.Missing {
		if i == mostNamed && len(in.Missing) > mostNamed+1 {
			fmt.Fprintf(stdout(c), "%-10s  and %d more files\n", "", len(in.Missing)-mostNamed)
			return
		}
		fmt.Fprintf(stdout(c), "%-10s  %s\n", map[bool]string{true: "missing"}[i == 0], name)
	}
}

// mostNamed is how many missing files are named.
const mostNamed = 8

func (in *inspection) showSizes(c *cli.Context) {
	w := cmdline.NewTable(table.Row{"as a bundle of", "size", "bits/weight", fmt.Sprintf("GPU memory at a context of %d", in.Context)})
	for _, s := range in.Sizes {
		w.AppendRow(table.Row{s.Stored, cmdline.HumanSize(s.Bytes), fmt.Sprintf("%.2f", s.Bits), cmdline.HumanSize(int64(s.GPU))})
	}
	cmdline.ShowTable(c, w)
}
