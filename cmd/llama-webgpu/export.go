package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

var exportCommand = &cli.Command{
	Name:      "export",
	Category:  "Models",
	Usage:     "turn a bundle back into a Hugging Face checkpoint",
	UsageText: "llama-webgpu export DIR --output-dir DIR [options]",
	Description: `Writes the weights as the bundle has them, dequantized, to safetensors files, with config.json and
tokenizer files beside them, so that other tools can evaluate what quantization did. The bundle is
checked against its hashes first.

With --type f16 a weight is rounded to float16, which it then has anyway in most tools; with f32 it
is exactly the bundle's. Tensors that the bundle keeps as f32 stay so.

Example:

  llama-webgpu export out --output-dir checkpoint`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle (required)", Category: "Input and output"},
		&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}, Usage: "`DIR`: checkpoint to write (required)", Category: "Input and output"},
		&cli.BoolFlag{Name: "force", Usage: "replace the output directory if it exists", Category: "Input and output", DisableDefaultText: true},
		&cli.StringFlag{Name: "type", Value: "f16", Usage: "`TYPE`: type of the weights: f16 or f32", Category: "Format"},
		&cli.StringFlag{Name: "max-shard-size", Value: "5GB", Usage: "`SIZE`: start another file before one gets larger than this", Category: "Format"},
		quietFlag, jsonFlag("print files and sizes as JSON"),
	},
	Action: exportBundle,
}

// exported is what export prints with --json.
type exported struct {
	Output  string   `json:"output"`
	Files   []string `json:"files"` // of weights
	Tensors int      `json:"tensors"`
	Bytes   int64    `json:"bytes"`
}

func exportBundle(c *cli.Context) (err error) {
	if err := cmp.Or(cmdline.Check(c, []string{"model", "output-dir"}, "model", "output-dir"), cmdline.OneOf(c, "type", "f16", "f32")); err != nil {
		return err
	}
	most, err := shardSize(c)
	if err != nil {
		return err
	}
	out := c.String("output-dir")
	if err := outdir.Apart(out, c.String("model")); err != nil {
		return err
	}
	if err := hf.CheckTarget(out, hf.WriteOptions{Force: c.Bool("force")}); err != nil {
		return forcible(err)
	}
	src, err := source.OpenBundle(c.String("model"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := checkHashes(c, src); err != nil {
		return err
	}
	bar, begun := cmdline.Bar{}, false
	defer func() { bar.End() }()
	w, err := convert.Export(c.Context, src.Bundle, out, convert.ExportOptions{
		Type: c.String("type"), MaxFile: most, Force: c.Bool("force"),
		Progress: func(done, all int64) {
			if !begun {
				bar, begun = newBar(c, "writing weights", all, false), true
			}
			bar.Set(done, "")
		},
	})
	bar.End()
	switch {
	case errors.Is(err, convert.ErrNoConfig):
		return fmt.Errorf("%s: %w", c.String("model"), err)
	case err != nil:
		return forcible(err)
	case c.Bool("json"):
		return cmdline.PrintJSON(c, exported{out, w.Files, w.Tensors, w.Bytes})
	case !c.Bool(quietFlag.Name):
		fmt.Fprintf(stdout(c), "%s: %d tensors, %s, in %s of weights\n", out, w.Tensors, cmdline.HumanSize(w.Bytes), counted(len(w.Files), "file"))
	}
	return nil
}

// shardSize reads --max-shard-size.
func shardSize(c *cli.Context) (int64, error) {
	text := c.String("max-shard-size")
	n, err := auto.ParseSize(text)
	if err != nil {
		return 0, cmdline.Usagef("--max-shard-size %s: %v", cmdline.Quoted(text), err)
	}
	return n, nil
}

// forcible adds to an error that a target is there what replaces it.
func forcible(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (--force)", err)
	}
	return err
}
