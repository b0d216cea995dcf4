package source

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
)

// Partial is a model with a configuration, but without all of its weights.
type Partial struct {
	Path    string // of the configuration
	Config  *hf.Config
	Missing []string // files of a checkpoint that are missing: weights first
	Instead string   // what is there instead of the weights, and what to do with it
}

// otherJSON are names of files in checkpoints and bundles that are no configurations.
var otherJSON = regexp.MustCompile(`^(manifest|vocab|added_tokens|special_tokens_map|(tokenizer|generation|adapter|preprocessor|processor)(_config)?|.*\.index)\.json$`)

// OpenPartial reads the model that path, a configuration or a checkpoint without all of its weights,
// describes. It is nil for anything else, which Open opens, or names in its error.
func OpenPartial(path string) (*Partial, error) {
	info, err := os.Stat(path)
	if err != nil || hf.IsGGUF(path) {
		return nil, nil
	}
	p := Partial{Path: path}
	if info.IsDir() {
		if Exists(path, bundle.ManifestName) || !Exists(path, ConfigName) {
			return nil, nil
		}
		p.Path = filepath.Join(path, ConfigName)
	} else if otherJSON.MatchString(filepath.Base(path)) || !looksLikeJSON(path) {
		return nil, nil
	}
	if filepath.Base(p.Path) == ConfigName {
		if err := p.findMissing(filepath.Dir(p.Path)); err != nil {
			return nil, err
		}
		if info.IsDir() && (len(p.Missing) == 0 || p.Missing[0] == TokenizerName) {
			return nil, nil // all weights are there
		}
	}
	data, err := os.ReadFile(p.Path)
	if err != nil {
		return nil, err
	}
	if p.Config, err = hf.ReadConfig(data); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	return &p, nil
}

// looksLikeJSON reports whether a file begins as an object does.
func looksLikeJSON(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := f.Read(head) // nothing: is not JSON
	return strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(string(head[:n]), "\ufeff"), " \t\r\n"), "{")
}

// findMissing names what a checkpoint in dir lacks.
func (p *Partial) findMissing(dir string) error {
	missing, err := hf.Missing(dir)
	if err != nil {
		return err
	}
	p.Missing = missing
	if len(missing) > 0 {
		p.Instead = hf.Instead(dir)
	}
	if !hasFile(dir, TokenizerName, "tokenizer.model", "tekken.json", "*.tiktoken", "vocab.json") {
		p.Missing = append(p.Missing, TokenizerName)
	}
	return nil
}

// hasFile reports whether a file in dir has a name that one of the patterns describes.
func hasFile(dir string, patterns ...string) bool {
	entries, _ := os.ReadDir(dir) // an error in reading it was reported before
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			ok, _ := filepath.Match(p, e.Name()) // the patterns are well-formed
			return ok
		})
	})
}
