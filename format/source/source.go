package source

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Names of files.
const (
	ConfigName    = "config.json"
	TokenizerName = "tokenizer.json"
)

// Model is a model on disk. Exactly one of Bundle and Checkpoint is set.
type Model struct {
	Dir        string         // a directory, or a .gguf file
	Weights    model.Weights  // those of Bundle or Checkpoint, unless they were replaced
	Bundle     *bundle.Bundle // nil for a checkpoint
	Checkpoint *hf.Checkpoint // nil for a bundle
	BOS        int            // token that begins a text, −1: none
	EOS        []int          // tokens that end one
	Merged     []string       // adapters, with their scales
}

// Open opens what is at path: a bundle, a checkpoint's directory or a .gguf file. Edits change the configuration of
// a checkpoint; a bundle ignores them.
func Open(path string, edits ...hf.Edit) (*Model, error) {
	switch {
	case Exists(path, bundle.ManifestName):
		return openBundle(path)
	case Exists(path, ConfigName) || hf.IsGGUF(path):
		return OpenCheckpoint(path, edits...)
	}
	return nil, WrongKind(path)
}

// OpenBundle opens what is in dir, which must be a bundle.
func OpenBundle(dir string) (*Model, error) {
	m, err := Open(dir)
	if err == nil && m.Bundle == nil {
		return nil, errors.Join(WrongKind(dir), m.Close())
	}
	return m, err
}

// OpenCheckpoint opens what is at path, which must be a checkpoint.
func OpenCheckpoint(path string, edits ...hf.Edit) (*Model, error) {
	if hf.Recognize(path).Kind == hf.BundleKind {
		return nil, WrongKind(path)
	}
	ck, err := hf.Open(path, edits...)
	if err != nil {
		return nil, err
	}
	return &Model{Dir: path, Weights: ck, Checkpoint: ck, BOS: ck.Tokens().BOS, EOS: ck.Tokens().EOS}, nil
}

func openBundle(dir string) (*Model, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	return &Model{Dir: dir, Weights: b, Bundle: b, BOS: b.Manifest.Tokenizer.BOS, EOS: b.Manifest.Tokenizer.EOS}, nil
}

// Close closes the files. Do not use m afterwards.
func (m *Model) Close() error {
	if m.Bundle != nil {
		return m.Bundle.Close()
	}
	return m.Checkpoint.Close()
}

// WrongKind returns the error that says what is at a path where a model was expected.
func WrongKind(path string) error { return fmt.Errorf("%s: %s", path, hf.Recognize(path).Advice) }

// Exists reports whether there is a file of this name in dir.
func Exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// LogIgnored logs the keys of a checkpoint's configuration that were not read; log may be nil.
func (m *Model) LogIgnored(log *slog.Logger) {
	if m.Checkpoint != nil {
		LogIgnored(log, filepath.Join(m.Dir, ConfigName), m.Checkpoint.Ignored())
	}
}

// LogIgnored logs the keys of a configuration that were not read; log may be nil.
func LogIgnored(log *slog.Logger, path string, keys []string) {
	if len(keys) > 0 && log != nil {
		log.Info("keys that change nothing were not read", "file", path, "keys", strings.Join(keys, ", "))
	}
}

// Context returns how many positions the model was trained for, or model.DefaultContext if it does not say.
func (m *Model) Context() int { return m.Weights.Spec().TrainedContext() }

// Packed returns the stored bytes of a bundle, for the GPU. m must be a bundle.
func (m *Model) Packed() Packed { return Packed{m.Bundle, m.Weights.Spec()} }

// Packed is a bundle with the Spec to run it with.
type Packed struct {
	*bundle.Bundle
	spec *model.Spec
}

// Spec implements model.Weights.
func (p Packed) Spec() *model.Spec { return p.spec }

// Hashing is p with its hashes compared as it is read; see bundle.Bundle.Hashing.
func (p Packed) Hashing() Packed { return Packed{p.Bundle.Hashing(), p.spec} }
