package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
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
	if err := cmp.Or(check(c, []string{"model", "output-dir"}, "model", "output-dir"), oneOf(c, "type", "f16", "f32")); err != nil {
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
	b := src.Bundle
	config, files, err := documents(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.String("model"), err)
	}
	if err := checkHashes(c, src); err != nil {
		return err
	}
	var progress bar
	w, err := hf.Write(c.Context, out, b, config, hf.WriteOptions{
		Type: strings.ToUpper(c.String("type")), MaxFile: most, Force: c.Bool("force"), Files: files,
		Keep32: func(i int) bool { return b.Manifest.Tensors[i].Type == bundle.F32 },
		Progress: func(done, all int64) {
			if progress.bar == nil {
				progress = newBar(c, "writing weights", all, false)
			}
			progress.set(done, "")
		},
	})
	progress.end()
	switch {
	case err != nil:
		return forcible(err)
	case c.Bool("json"):
		return printJSON(c, exported{out, w.Files, w.Tensors, w.Bytes})
	case !c.Bool(quietFlag.Name):
		fmt.Fprintf(stdout(c), "%s: %d tensors, %s, in %d file(s) of weights\n", out, w.Tensors, humanSize(w.Bytes), len(w.Files))
	}
	return nil
}

// shardSize reads --max-shard-size.
func shardSize(c *cli.Context) (int64, error) {
	text := c.String("max-shard-size")
	n, err := auto.ParseSize(text)
	if err != nil {
		return 0, usagef("--max-shard-size %s: %v", quoted(text), err)
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

// documents returns the configuration that came with a bundle, and the files that go beside it.
func documents(b *bundle.Bundle) (config []byte, files map[string][]byte, err error) {
	m := b.Manifest
	if config = m.Documents[source.ConfigName]; config == nil {
		return nil, nil, fmt.Errorf("the manifest has no %s, without which nothing opens a checkpoint: quantize the checkpoint anew", source.ConfigName)
	}
	files = map[string][]byte{}
	for name, v := range m.Documents {
		if name != source.ConfigName {
			files[name] = append(v, '\n')
		}
	}
	vocab, err := b.Vocab()
	if err != nil {
		return nil, nil, err
	}
	if vocab != nil {
		files[source.TokenizerName] = vocab
	}
	if settings := tokenSettings(m); settings != nil && m.Documents[tokenizerConfigName] == nil && vocab != nil {
		files[tokenizerConfigName] = settings
	}
	if m.Tokenizer.ChatTemplate != "" && !hasMember(jsontext.Value(m.Documents[tokenizerConfigName]), "chat_template") {
		files["chat_template.jinja"] = []byte(m.Tokenizer.ChatTemplate)
	}
	return config, files, nil
}

const tokenizerConfigName = "tokenizer_config.json"

// tokenSettings names the special tokens for a tokenizer that had no settings, as one of a GGUF file; nil if they have no
// names.
func tokenSettings(m *bundle.Manifest) []byte {
	if len(m.Tokenizer.SpecialTokens) == 0 {
		return nil
	}
	settings := map[string]string{"tokenizer_class": "PreTrainedTokenizerFast"}
	maps.Copy(settings, m.Tokenizer.SpecialTokens)
	text, err := json.Marshal(settings, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return nil // strings can be marshaled
	}
	return append(text, '\n')
}

// hasMember reports whether an object has a member.
func hasMember(object jsontext.Value, name string) bool {
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return false
		}
		if t.String() == name {
			return true
		}
		if err := d.SkipValue(); err != nil {
			return false
		}
	}
	return false
}
