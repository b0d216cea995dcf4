package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

var inspectCommand = &cli.Command{
	Name:      "inspect",
	Category:  "Models",
	Usage:     "show what is in a checkpoint, bundle or config.json",
	UsageText: "llama-webgpu inspect PATH [options]",
	Description: `Of a bundle it shows what it was made from and how, of a checkpoint what it holds. A config.json will do, or a
directory that is still being downloaded: then it shows what is missing, and what the model will take as
a bundle, on disk and on a GPU.

Examples:

  llama-webgpu inspect testdata/tiny
  llama-webgpu inspect config.json --context 8192
  llama-webgpu inspect out --tensors
  llama-webgpu inspect out --check`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`PATH`: checkpoint, .gguf file, bundle or config.json (required)"},
		&cli.IntFlag{Name: "context", Usage: "show GPU memory at a context of `N` tokens", DefaultText: "for a configuration, what it was trained for, at most 4096"},
		&cli.BoolFlag{Name: "check", Usage: "read the whole bundle and check it against its hashes", DisableDefaultText: true},
		&cli.BoolFlag{Name: "tensors", Usage: "list each tensor", Category: "Output", DisableDefaultText: true},
		quietFlag, jsonFlag("print everything as JSON"),
	},
	Action: inspect,
}

// inspection is what inspect prints with --json.
type inspection struct {
	Kind    string       `json:"kind"` // bundle, checkpoint, or configuration: a checkpoint without all of its weights
	Spec    *model.Spec  `json:"spec"`
	Weights int64        `json:"weights"`
	Bytes   int64        `json:"bytes"` // of all tensors
	Bits    float64      `json:"bits_per_weight"`
	BOS     *int         `json:"bos,omitempty"` // −1: none
	EOS     []int        `json:"eos,omitempty"`
	Tensors []tensorInfo `json:"tensors"`

	ID           string               `json:"id,omitempty"` // of a bundle, like what follows
	Generator    string               `json:"generator,omitempty"`
	Quantization *bundle.Quantization `json:"quantization,omitempty"`
	Source       *bundle.Source       `json:"source,omitempty"`
	Notes        []string             `json:"notes,omitempty"`
	Parity       *bundle.Parity       `json:"parity,omitempty"`  // what verify --record found
	Checked      bool                 `json:"checked,omitempty"` // hashes and values are right

	Missing []string   `json:"missing,omitempty"`   // files of a checkpoint that are not there
	Ignored []string   `json:"ignored,omitempty"`   // keys of its configuration that change nothing
	Context int        `json:"context,omitempty"`   // that GPU memory is worked out for
	Sizes   []sizeInfo `json:"sizes,omitempty"`     // as a bundle, format by format
	GPU     uint64     `json:"gpu_bytes,omitempty"` // of a bundle, with --context
}

// tensorInfo describes a tensor.
type tensorInfo struct {
	Name   string     `json:"name"`
	Role   model.Role `json:"role"`
	Layer  int        `json:"layer"` // −1 outside the layers
	Shape  []int      `json:"shape"`
	Type   string     `json:"type"`
	Block  int        `json:"block,omitempty"`
	Bytes  int64      `json:"bytes"`
	Bits   float64    `json:"bits_per_weight"`
	Error  float64    `json:"error,omitempty"`  // of a bundle's tensor: √(Σ(w−ŵ)²/Σw²)
	Offset int64      `json:"offset,omitempty"` // of a bundle's tensor: bytes from the start of model.wgpu
}

// weights reports how many weights the tensor has.
func (t tensorInfo) weights() int64 { return model.Elements([]model.Tensor{{Shape: t.Shape}}) }

func inspect(c *cli.Context) (err error) {
	if err := cmdline.Check(c, []string{"model"}, "model"); err != nil {
		return err
	}
	if err := cmdline.Within(c, cmdline.Bound{Name: "context", Least: 1, Most: 1 << 20}); err != nil {
		return err
	}
	if m, err := findConfigured(c.String("model")); m != nil || err != nil {
		if err != nil {
			return err
		}
		return inspectConfigured(c, m)
	}
	s, err := source.Open(c.String("model"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.LogIgnored(slog.Default())
	in := newInspection(s)
	if c.Bool("check") {
		if err := checkHashes(c, s); err != nil {
			return err
		}
		in.Checked = true
	}
	if c.IsSet("context") {
		if err := in.addSizes(c, s); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return cmdline.PrintJSON(c, in)
	}
	if !c.Bool(quietFlag.Name) {
		in.show(c)
	}
	return nil
}

func checkHashes(c *cli.Context, s *source.Model) error {
	if s.Bundle == nil {
		return cmdline.Usagef("inspect: --check is for bundles, %s is a checkpoint", s.Dir)
	}
	progress := newBar(c, "checking", s.Bundle.Manifest.Size(), true)
	defer progress.End()
	if err := s.Bundle.Check(c.Context, func(done, _ int64) { progress.Set(done, "") }); err != nil {
		return fmt.Errorf("%s: %w", s.Dir, err)
	}
	return nil
}

func newInspection(s *source.Model) *inspection {
	in := &inspection{Kind: "checkpoint", Spec: s.Weights.Spec(), BOS: &s.BOS, EOS: append([]int{}, s.EOS...)}
	for i, t := range s.Weights.Tensors() {
		info := tensorInfo{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape}
		stored(s, i, &info)
		info.Bits = float64(info.Bytes) * 8 / float64(info.weights())
		in.Tensors = append(in.Tensors, info)
		in.Weights += info.weights()
		in.Bytes += info.Bytes
	}
	in.Bits = float64(in.Bytes) * 8 / float64(in.Weights)
	if s.Bundle == nil {
		in.Notes, in.Ignored = s.Checkpoint.Notes(), s.Checkpoint.Ignored()
		return in
	}
	m := s.Bundle.Manifest
	in.Kind, in.ID, in.Generator, in.Notes = "bundle", m.ID, m.Generator, m.Notes
	in.Quantization, in.Source, in.Parity = &m.Quantization, &m.Source, m.Parity
	return in
}

// stored fills in how tensor i is stored.
func stored(s *source.Model, i int, t *tensorInfo) {
	if s.Bundle == nil {
		t.Type = s.Checkpoint.SourceType(i)
		t.Bytes = s.Checkpoint.Bytes(i)
		return
	}
	e := s.Bundle.Manifest.Tensors[i]
	t.Type, t.Block, t.Bytes, t.Error, t.Offset = string(e.Type), e.Block, e.Length, e.Error, e.Offset
}

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
		line("layers", "%s", describeKind(s, k))
	}
	line("head", "%s", map[bool]string{true: "is the embedding", false: "has its own weights"}[s.TiedHead])
	if in.Bytes > 0 {
		line("size", "%s, %.2f bits/weight", cmdline.HumanSize(in.Bytes), in.Bits)
	}
	if in.GPU > 0 {
		line("GPU memory", "%s at a context of %d", cmdline.HumanSize(int64(in.GPU)), in.Context)
	}
	if in.Parity != nil {
		line("verified", "%s", in.Parity.String())
	}
}

// describeKind says what a kind of layers is, and how many there are of it.
func describeKind(s *model.Spec, k int) string {
	n := 0
	for _, of := range s.Layers {
		if of == k {
			n++
		}
	}
	a, m := s.Kinds[k].Attention, s.Kinds[k].MLP
	text := fmt.Sprintf("%d with %d heads of %d, %d for keys and values; %s MLP of %d", n, a.Heads, a.HeadDim, a.KVHeads, m.Activation, m.Intermediate)
	if m.Experts > 0 {
		text += fmt.Sprintf(", %d of %d experts", m.TopK, m.Experts)
	}
	switch {
	case a.Window > 0:
		text += fmt.Sprintf("; window %d", a.Window)
	case a.Chunk > 0:
		text += fmt.Sprintf("; chunks of %d", a.Chunk)
	}
	if a.RoPE < 0 && len(s.RoPE) > 0 {
		text += "; no RoPE"
	}
	return text
}

// group is tensors of one role that are stored alike.
type group struct {
	role          model.Role
	shape, stored string
	tensors       int
	bytes         int64
	bits          float64
}

// showRoles sums up the tensors by role.
func (in *inspection) showRoles(c *cli.Context) {
	var groups []*group
	find := map[[3]string]*group{}
	for _, t := range in.Tensors {
		key := [3]string{string(t.Role), fmt.Sprint(t.Shape), storedAs(t.Type, t.Block)}
		g := find[key]
		if g == nil {
			g = &group{role: t.Role, shape: key[1], stored: key[2], bits: t.Bits}
			groups, find[key] = append(groups, g), g
		}
		g.tensors++
		g.bytes += t.Bytes
	}
	w := cmdline.NewTable(table.Row{"role", "tensors", "shape", "stored as", "bytes", "bits/weight"}, 3, 4)
	for _, g := range groups {
		w.AppendRow(table.Row{g.role, g.tensors, g.shape, g.stored, cmdline.HumanSize(g.bytes), fmt.Sprintf("%.2f", g.bits)})
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
