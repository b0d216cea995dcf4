package main

import (
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// openCheckpoint opens a Hugging Face checkpoint.
func openCheckpoint(dir string) (*source, error) {
	ck, err := hf.Open(dir)
	if err != nil {
		return nil, err
	}
	return &source{dir: dir, weights: ck, hf: ck, bos: ck.Tokens().BOS, eos: ck.Tokens().EOS}, nil
}

// tokenizerPath is where a checkpoint has its tokenizer, "" if it has none.
func tokenizerPath(dir string) string {
	if !exists(dir, tokenizerName) {
		return ""
	}
	return filepath.Join(dir, tokenizerName)
}

const tokenizerName = "tokenizer.json"

// convertSource describes a checkpoint to the converter.
func convertSource(s *source) convert.Source {
	src := convert.Source{
		Weights: s.weights, Tokenizer: tokenizerPath(s.dir), BOS: s.bos, EOS: s.eos,
		ChatTemplate: s.hf.ChatTemplate(), Notes: s.hf.Notes(),
	}
	for i, t := range s.weights.Tensors() {
		src.Bytes = append(src.Bytes, int64(t.Rows())*int64(t.Cols())*int64(typeBits[s.hf.SourceType(i)])/8)
	}
	for _, f := range s.hf.Files() {
		src.Files = append(src.Files, f.Path)
	}
	return src
}

// typeBits are the bits of an element in a checkpoint.
var typeBits = map[string]int{"F16": 16, "BF16": 16, "F32": 32}
