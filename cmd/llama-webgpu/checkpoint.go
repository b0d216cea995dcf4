package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// openCheckpoint opens a Hugging Face checkpoint.
func openCheckpoint(dir string, edits ...hf.Edit) (*source, error) {
	if hf.Recognize(dir).Kind == hf.BundleKind {
		return nil, wrongKind(dir)
	}
	ck, err := hf.Open(dir, edits...)
	if err != nil {
		return nil, err
	}
	sayIgnored(filepath.Join(dir, configName), ck.Ignored())
	return &source{dir: dir, weights: ck, hf: ck, bos: ck.Tokens().BOS, eos: ck.Tokens().EOS}, nil
}

const tokenizerName = "tokenizer.json"

// convertSource describes a checkpoint to the converter.
func convertSource(s *source) convert.Source {
	vocab, _, _ := s.hf.Tokenizer() // checkTokenizer has told of an error
	src := convert.Source{
		Weights: s.weights, Tokenizer: vocab, BOS: s.bos, EOS: s.eos,
		ChatTemplate: s.hf.ChatTemplate(), Special: s.hf.SpecialTokens(), Notes: append(slices.Clone(s.hf.Notes()), s.notes...), Documents: map[string]string{}, Merged: s.merged,
	}
	src.Alone = hf.IsGGUF(s.dir)
	for _, name := range bundle.DocumentNames {
		if exists(s.dir, name) && !s.hf.Unreadable(name) {
			src.Documents[name] = filepath.Join(s.dir, name)
		}
	}
	if s.hf.Edited() || s.rotated != nil {
		src.Config = s.hf.Config()
	}
	if s.rotated != nil && s.hf.Spec().TiedHead {
		src.Config = untied(src.Config)
	}
	for i, t := range s.weights.Tensors() {
		switch r := s.rotated; {
		case r == nil:
			src.Bytes = append(src.Bytes, s.hf.Bytes(i))
		case t.Role == model.RoleHead && s.hf.Spec().TiedHead:
			src.Bytes = append(src.Bytes, 0) // it is the embedding's
		default:
			src.Bytes = append(src.Bytes, s.hf.Bytes(r.Origin(i)))
		}
	}
	for _, f := range s.hf.Files() {
		src.Files = append(src.Files, f.Path)
	}
	return src
}

// headName is what the head is called that was the embedding.
const headName = "lm_head.weight"

// rotate puts the rotated model in the place of a checkpoint's.
func rotate(s *source) error {
	r, err := convert.Rotate(s.weights, headName)
	if err != nil {
		return fmt.Errorf("%s: %w", s.dir, err)
	}
	s.weights, s.rotated = r, r
	return nil
}

// untied returns a config.json that says that the head is a matrix of its own.
func untied(config []byte) []byte {
	var c map[string]json.RawMessage
	if json.Unmarshal(config, &c) != nil {
		return config // of a checkpoint that was opened, it is an object
	}
	c["tie_word_embeddings"] = json.RawMessage("false")
	out, err := json.Marshal(c)
	if err != nil {
		return config
	}
	return out
}

// ropeFlag stretches the context.
func ropeFlag(category string) cli.Flag {
	return &cli.StringFlag{
		Name: "rope-scaling", Category: category,
		Usage: "`TYPE:FACTOR`: use another RoPE scaling: linear, dynamic or yarn, or a JSON object as in config.json, for longrope and llama3 too",
	}
}

// ropeEdits returns what --rope-scaling does to a configuration.
func ropeEdits(c *cli.Context) ([]hf.Edit, error) {
	if !c.IsSet("rope-scaling") {
		return nil, nil
	}
	edit, err := hf.ScaleRoPE(c.String("rope-scaling"))
	if err != nil {
		return nil, usagef("%v", err)
	}
	return []hf.Edit{edit}, nil
}

// loraFlag names adapters.
func loraFlag(category string) cli.Flag {
	return &cli.StringSliceFlag{
		Name: "lora", KeepSpace: true, Category: category,
		Usage: "`DIR[:SCALE]`: merge the PEFT adapter in DIR into the checkpoint's weights (repeatable)",
	}
}

// merge merges the adapters of --lora into a checkpoint.
func merge(c *cli.Context, s *source) error {
	for _, arg := range c.StringSlice("lora") {
		if s.hf == nil {
			return fmt.Errorf("lora: %s: is a bundle, want a checkpoint", s.dir)
		}
		dir, scale := splitScale(arg)
		if err := s.hf.Merge(dir, scale); err != nil {
			return fmt.Errorf("lora: %w", err)
		}
		s.merged = append(s.merged, fmt.Sprintf("%s × %g", filepath.Base(dir), scale))
	}
	return nil
}

// splitScale cuts DIR:SCALE; without a number after the last colon, the scale is 1.
func splitScale(arg string) (dir string, scale float64) {
	if at := strings.LastIndexByte(arg, ':'); at > 0 {
		if v, err := strconv.ParseFloat(arg[at+1:], 64); err == nil {
			return arg[:at], v
		}
	}
	return arg, 1
}
