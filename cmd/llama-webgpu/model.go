package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// source is a model on disk: a bundle or a checkpoint.
type source struct {
	dir     string
	weights model.Weights
	bundle  *bundle.Bundle // nil for a checkpoint
	hf      *hf.Checkpoint // nil for a bundle
	bos     int            // −1: none
	eos     []int
	merged  []string         // adapters, with their scales
	notes   []string         // what else people should know
	rotated *convert.Rotated // weights, if they are
}

// openSource opens what is in dir.
func openSource(dir string, edits ...hf.Edit) (*source, error) {
	switch {
	case exists(dir, bundle.ManifestName):
		return openBundle(dir)
	case exists(dir, "config.json") || hf.IsGGUF(dir):
		return openCheckpoint(dir, edits...)
	}
	return nil, wrongKind(dir)
}

// wrongKind says what lies at a path where a model was wanted.
func wrongKind(path string) error { return fmt.Errorf("%s: %s", path, hf.Recognize(path).Advice) }

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// openOnlyBundle opens what is in dir, which must be a bundle.
func openOnlyBundle(dir string) (*source, error) {
	s, err := openSource(dir)
	if err == nil && s.bundle == nil {
		return nil, errors.Join(wrongKind(dir), s.close())
	}
	return s, err
}

func openBundle(dir string) (*source, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	return &source{dir: dir, weights: b, bundle: b, bos: b.Manifest.Tokenizer.BOS, eos: b.Manifest.Tokenizer.EOS}, nil
}

func (s *source) close() error {
	if s.bundle != nil {
		return s.bundle.Close()
	}
	return s.hf.Close()
}

// halved returns the model as it computes after PyTorch's model.half(), see verify.Halved. It shares
// the files of s.
func (s *source) halved() *source {
	h := *s
	h.weights = verify.Halved(s.weights)
	return &h
}

// packed is a bundle with the Spec that its weights are to be used with.
type packed struct {
	*bundle.Bundle
	spec *model.Spec
}

func (p packed) Spec() *model.Spec { return p.spec }

// packed hands the stored bytes to the GPU; there must be a bundle.
func (s *source) packed() packed { return packed{s.bundle, s.weights.Spec()} }

// context is how many positions the model was trained for, or 4096 if it does not say.
func (s *source) context() int {
	if n := s.weights.Spec().MaxPositions; n > 0 {
		return n
	}
	return 4096
}

// hasTokenizer reports whether there is one to read.
func (s *source) hasTokenizer() bool {
	if s.hf != nil {
		data, _, err := s.hf.Tokenizer()
		return data != nil || err != nil
	}
	return s.bundle.Manifest.Tokenizer.Size > 0
}

// tokenizer reads the tokenizer of the model.
func (s *source) tokenizer() (*tokenizer.Tokenizer, error) {
	if s.hf != nil {
		return s.checkpointTokenizer()
	}
	data, err := s.bundle.Vocab()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errors.New(s.dir + ": the bundle has no " + bundle.VocabName + ": its checkpoint had no tokenizer.json")
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, bundle.VocabName), err)
	}
	return t, nil
}

// checkpointTokenizer reads the tokenizer of a checkpoint, or the one made of its other files.
func (s *source) checkpointTokenizer() (*tokenizer.Tokenizer, error) {
	data, _, err := s.hf.Tokenizer()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%s: has no %s, and no other file that one can be made from", s.dir, tokenizerName)
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, tokenizerName), err)
	}
	return t, nil
}

// specialTokens returns the texts of special tokens by the names that chat templates know them by.
func (s *source) specialTokens(tok *tokenizer.Tokenizer) map[string]string {
	var names map[string]string
	if s.hf != nil {
		names = s.hf.SpecialTokens()
	} else {
		names = s.bundle.Manifest.Tokenizer.SpecialTokens
	}
	if names != nil {
		return names
	}
	names = map[string]string{}
	if text, ok := tok.Token(int32(s.bos)); ok {
		names["bos_token"] = text
	}
	if len(s.eos) > 0 {
		if text, ok := tok.Token(int32(s.eos[0])); ok {
			names["eos_token"] = text
		}
	}
	return names
}

// chatTemplate returns the model's chat template, "" if it has none.
func (s *source) chatTemplate() string {
	if s.hf != nil {
		return s.hf.ChatTemplate()
	}
	return s.bundle.Manifest.Tokenizer.ChatTemplate
}
