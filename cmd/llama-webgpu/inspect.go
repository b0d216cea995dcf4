package main

import (
	"errors"
	"fmt"
	"log/slog"

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
	Description: `Shows what a bundle was made from and how, or what is in a checkpoint. For a config.json, or a directory that is
still being downloaded, it shows what is missing, and how much disk and GPU memory a bundle of the model would take.

Examples:

  llama-webgpu inspect testdata/tiny
  llama-webgpu inspect config.json --context 8192
  llama-webgpu inspect out --tensors
  llama-webgpu inspect out --check`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`PATH`: checkpoint, .gguf file, bundle or config.json (required)"},
		&cli.IntFlag{Name: "context", Usage: "show GPU memory at a context of `N` tokens", DefaultText: "for a config.json, what the model was trained for, at most 4096"},
		&cli.BoolFlag{Name: "check", Usage: "read the whole bundle and check it against its hashes", DisableDefaultText: true},
		&cli.BoolFlag{Name: "tensors", Usage: "list each tensor", Category: "Output", DisableDefaultText: true},
		quietFlag, jsonFlag("print everything as JSON"),
	},
	Action: inspect,
}

// inspection is what inspect prints with --json.
type inspection struct {
	Kind    string          `json:"kind"` // bundle, checkpoint, or configuration: a checkpoint without all of its weights
	Spec    *model.Spec     `json:"spec"`
	Weights int64           `json:"weights"`
	Bytes   int64           `json:"bytes"` // of all tensors
	Bits    float64         `json:"bits_per_weight"`
	BOS     *int            `json:"bos,omitempty"` // −1: none
	EOS     []int           `json:"eos,omitempty"`
	Tensors []source.Tensor `json:"tensors"`

	ID           string               `json:"id,omitempty"` // of a bundle, like what follows
	Generator    string               `json:"generator,omitempty"`
	Quantization *bundle.Quantization `json:"quantization,omitempty"`
	Source       *bundle.Source       `json:"source,omitempty"`
	Notes        []string             `json:"notes,omitempty"`
	Parity       *bundle.Parity       `json:"parity,omitempty"` // what verify --record found
	KVFloat32    []int                `json:"kv_float32,omitempty"`
	Checked      bool                 `json:"checked,omitempty"` // hashes and values are right

	Missing []string   `json:"missing,omitempty"`   // files of a checkpoint that are not there
	Ignored []string   `json:"ignored,omitempty"`   // keys of its configuration that change nothing
	Context int        `json:"context,omitempty"`   // that GPU memory is worked out for
	Sizes   []sizeInfo `json:"sizes,omitempty"`     // as a bundle, format by format
	GPU     uint64     `json:"gpu_bytes,omitempty"` // of a bundle, with --context
}

func inspect(c *cli.Context) (err error) {
	if err := cmdline.Check(c, []string{"model"}, "model"); err != nil {
		return err
	}
	if err := cmdline.Within(c, cmdline.Bound{Name: "context", Least: 1, Most: 1 << 20}); err != nil {
		return err
	}
	if m, err := source.OpenPartial(c.String("model")); m != nil || err != nil {
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
	in := &inspection{Kind: "checkpoint", Spec: s.Weights.Spec(), BOS: &s.BOS, EOS: append([]int{}, s.EOS...), Tensors: s.Stored()}
	all := source.Total(in.Tensors)
	in.Weights, in.Bytes, in.Bits = all.Weights, all.Bytes, all.Bits()
	if s.Bundle == nil {
		in.Notes, in.Ignored = s.Checkpoint.Notes(), s.Checkpoint.Ignored()
		return in
	}
	m := s.Bundle.Manifest
	in.Kind, in.ID, in.Generator, in.Notes = "bundle", m.ID, m.Generator, m.Notes
	in.Quantization, in.Source, in.Parity, in.KVFloat32 = &m.Quantization, &m.Source, m.Parity, m.KVFloat32
	return in
}
