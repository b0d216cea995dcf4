package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
)

// sizeInfo is what a model takes in one format.
type sizeInfo struct {
	Stored string  `json:"stored_as"`
	Bytes  int64   `json:"bytes"` // of the files with tensors
	Bits   float64 `json:"bits_per_weight"`
	GPU    uint64  `json:"gpu_bytes"` // at the context
}

// sizes works out what a model takes in each format, at a context.
func sizes(ctx context.Context, spec *model.Spec, length int) ([]sizeInfo, error) {
	list, err := auto.Sizes(ctx, spec, length)
	if err != nil {
		return nil, wrongOption(err)
	}
	var all []sizeInfo
	for _, v := range list {
		s := sizeInfo{Stored: storedAs(v.Format, v.Block), Bytes: v.Bytes, Bits: v.Bits, GPU: v.GPU}
		if v.Fitted {
			s.Stored = "--format " + v.Format
		}
		all = append(all, s)
	}
	return all, nil
}

// contextFor is the context that --context asks for, or what spec.Context says.
func contextFor(c *cli.Context, spec *model.Spec) int {
	return cmp.Or(c.Int("context"), spec.Context())
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
func inspectConfigured(c *cli.Context, m *source.Partial) error {
	if c.Bool("check") {
		return cmdline.Usagef("inspect: --check is for bundles, %s has only the configuration of a checkpoint", m.Path)
	}
	source.LogIgnored(slog.Default(), m.Path, m.Config.Ignored)
	spec := m.Config.Spec
	in := &inspection{
		Kind: "configuration", Spec: spec, Weights: model.Elements(spec.Tensors()), Tensors: []source.Tensor{},
		Notes: m.Config.Notes, Missing: m.Missing, Ignored: m.Config.Ignored, Context: contextFor(c, spec),
	}
	if m.Instead != "" {
		in.Notes = append(in.Notes, filepath.Dir(m.Path)+": "+m.Instead)
	}
	if q := m.Config.Quantization; q != "" {
		in.Notes = append(in.Notes, "the checkpoint's weights are quantized: "+q)
	}
	var err error
	if in.Sizes, err = sizes(c.Context, spec, in.Context); err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
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
