package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
)

// configured is a model of which there is a configuration, and not all of its weights.
type configured struct {
	path    string // of the configuration
	config  *hf.Config
	missing []string // files that a checkpoint has and that are not there
	instead string   // what there is in place of the weights, and what to do with it
}

// otherJSON are names of files in checkpoints and bundles that are no configurations.
var otherJSON = regexp.MustCompile(`^(manifest|vocab|added_tokens|special_tokens_map|(tokenizer|generation|adapter|preprocessor|processor)(_config)?|.*\.index)\.json$`)

// findConfigured returns the model that path, a configuration or a checkpoint without all of its weights,
// describes; nil if it is something else.
func findConfigured(path string) (*configured, error) {
	info, err := os.Stat(path)
	if err != nil || hf.IsGGUF(path) {
		return nil, nil // whoever opens it says what it is
	}
	m := configured{path: path}
	if info.IsDir() {
		if source.Exists(path, bundle.ManifestName) || !source.Exists(path, source.ConfigName) {
			return nil, nil
		}
		m.path = filepath.Join(path, source.ConfigName)
	} else if otherJSON.MatchString(filepath.Base(path)) || !looksLikeJSON(path) {
		return nil, nil
	}
	if filepath.Base(m.path) == source.ConfigName {
		if err := m.findMissing(filepath.Dir(m.path)); err != nil {
			return nil, err
		}
		if info.IsDir() && (len(m.missing) == 0 || m.missing[0] == source.TokenizerName) {
			return nil, nil // all weights are there
		}
	}
	data, err := os.ReadFile(m.path)
	if err != nil {
		return nil, err
	}
	if m.config, err = hf.ReadConfig(data); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	source.LogIgnored(slog.Default(), m.path, m.config.Ignored)
	return &m, nil
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

// sayIgnored logs keys of a configuration that were not read.
// findMissing names what a checkpoint in dir lacks: weights first, then the tokenizer.
func (m *configured) findMissing(dir string) error {
	missing, err := hf.Missing(dir)
	if err != nil {
		return err
	}
	m.missing = missing
	if len(missing) > 0 {
		m.instead = hf.Instead(dir)
	}
	if !hasFile(dir, source.TokenizerName, "tokenizer.model", "tekken.json", "*.tiktoken", "vocab.json") {
		m.missing = append(m.missing, source.TokenizerName)
	}
	return nil
}

// hasFile reports whether a file in dir has a name that one of the patterns describes.
func hasFile(dir string, patterns ...string) bool {
	entries, _ := os.ReadDir(dir) // one that cannot be read has been told of
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			ok, _ := filepath.Match(p, e.Name()) // the patterns are well-formed
			return ok
		})
	})
}

// sizeInfo is what a model takes in one format.
type sizeInfo struct {
	Stored string  `json:"stored_as"`
	Bytes  int64   `json:"bytes"` // of the files with tensors
	Bits   float64 `json:"bits_per_weight"`
	GPU    uint64  `json:"gpu_bytes"` // at the context
}

// sizes works out what a model takes in each format, at a context.
func sizes(ctx context.Context, spec *model.Spec, length int) ([]sizeInfo, error) {
	if most := spec.Positions; most > 0 && length > most {
		return nil, cmdline.Usagef("--context %d: the model has %d positions", length, most)
	}
	list, err := auto.Sizes(ctx, spec, length)
	if err != nil {
		return nil, err
	}
	var all []sizeInfo
	weights := model.Elements(spec.Tensors())
	for _, v := range list {
		s := sizeInfo{Stored: storedAs(v.Format, v.Block), Bytes: v.Bytes, Bits: float64(v.Bytes) * 8 / float64(weights), GPU: v.GPU}
		if v.Fitted {
			s.Stored = "--format " + v.Format
		}
		all = append(all, s)
	}
	return all, nil
}

// contextFor is the context that --context asks for, or what a model was trained for, at most 4096.
func contextFor(c *cli.Context, spec *model.Spec) int {
	return cmp.Or(c.Int("context"), min(cmp.Or(spec.MaxPositions, 4096), 4096))
}

// addSizes adds what the device needs at a context: for a bundle, or for what a checkpoint may become.
func (in *inspection) addSizes(c *cli.Context, s *source.Model) (err error) {
	in.Context = contextFor(c, in.Spec)
	if s.Bundle == nil {
		in.Sizes, err = sizes(c.Context, in.Spec, in.Context)
		return err
	}
	need, err := auto.Need(s.Packed(), in.Context)
	in.GPU = auto.Sum(need)
	return err
}

// inspectConfigured shows a model of which there are not all weights.
func inspectConfigured(c *cli.Context, m *configured) error {
	if c.Bool("check") {
		return cmdline.Usagef("inspect: --check is for bundles, %s has only the configuration of a checkpoint", m.path)
	}
	spec := m.config.Spec
	in := &inspection{
		Kind: "configuration", Spec: spec, Weights: model.Elements(spec.Tensors()), Tensors: []tensorInfo{},
		Notes: m.config.Notes, Missing: m.missing, Ignored: m.config.Ignored, Context: contextFor(c, spec),
	}
	if m.instead != "" {
		in.Notes = append(in.Notes, filepath.Dir(m.path)+": "+m.instead)
	}
	if q := m.config.Quantization; q != "" {
		in.Notes = append(in.Notes, "the checkpoint's weights are quantized: "+q)
	}
	var err error
	if in.Sizes, err = sizes(c.Context, spec, in.Context); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	switch {
	case c.Bool("json"):
		return cmdline.PrintJSON(c, in)
	case !c.Bool(quietFlag.Name):
		in.showModel(c)
		in.showMissing(c)
		fmt.Fprintln(stdout(c))
		in.showSizes(c)
		in.showNotes(c)
	}
	return nil
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
