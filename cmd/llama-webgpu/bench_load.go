package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// benchSource is what bench loads: a bundle, or made-up weights.
type benchSource struct {
	disk *source.Model   // nil if made up
	made *tune.Synthetic // nil if on disk
}

func (s *benchSource) close() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.Close()
}

// weights returns what the device loads.
func (s *benchSource) weights() transformer.Source {
	if s.made != nil {
		return s.made
	}
	return s.disk.Packed()
}

// weightFlags choose a bundle or a shape.
func weightFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle", Category: category},
		&cli.StringFlag{Name: "shape", Usage: "`NAME`: made-up weights of this shape, or of a config.json", Category: category},
		&cli.StringFlag{Name: "format", Value: "int4", Usage: "`FORMAT`: of made-up weights: int8, int4, int2 or f16", Category: category},
		&cli.IntFlag{Name: "block-size", Usage: "`N`: how many made-up weights share a scale", DefaultText: "int8, int4: 128, int2: 256", Category: category},
	}
}

// checkWeights reports weightFlags that make no sense.
func checkWeights(c *cli.Context) error {
	if (c.String("model") == "") == (c.String("shape") == "") {
		return cmdline.Usagef("%s: want either --model or --shape; see llama-webgpu %s --help", c.Command.Name, c.Command.Name)
	}
	return cmdline.OneOf(c, "format", "int8", "int4", "int2", "f16")
}

// openWeights opens the bundle or makes up the weights.
func openWeights(c *cli.Context) (*benchSource, error) {
	if dir := c.String("model"); dir != "" {
		s, err := source.OpenBundle(dir)
		if err != nil {
			return nil, err
		}
		return &benchSource{disk: s}, nil
	}
	config, err := shapes.ReadFile("shapes/" + c.String("shape") + ".json")
	if err != nil {
		if config, err = os.ReadFile(c.String("shape")); err != nil {
			return nil, fmt.Errorf("shape %q: want %s, or the path of a config.json", c.String("shape"), strings.Join(shapeNames(), ", "))
		}
	}
	spec, err := hf.ParseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("shape %s: %w", c.String("shape"), err)
	}
	bits, block := packing(c)
	made, err := tune.NewSynthetic(spec, bits, block)
	return &benchSource{made: made}, err
}

// packing returns the bits and the block size of made-up weights.
func packing(c *cli.Context) (bits, block int) {
	p := map[string][2]int{"int8": {8, 128}, "int4": {4, 128}, "int2": {2, 256}, "f16": {16, 0}}[c.String("format")]
	if n := c.Int("block-size"); n != 0 && p[1] != 0 {
		p[1] = n
	}
	return p[0], p[1]
}

// loadResult is how fast the weights came to the device.
type loadResult struct {
	Test    string  `json:"test"`
	Bytes   uint64  `json:"bytes"` // as they are at rest
	Seconds float64 `json:"seconds"`
	Spread  float64 `json:"standard_deviation"`
	Rate    float64 `json:"bytes_per_second"`
}

// What load measures.
const (
	loadMade    = "made up on the GPU"
	loadPlain   = "hashes not compared"
	loadChecked = "hashes compared"
)

// load brings the weights to the device once.
func (b *benchmark) load(ctx context.Context, src *benchSource) (err error) {
	length := b.most("prompt", 1)
	for _, n := range b.c.IntSlice("context") {
		length = max(length, n+b.c.Int("n")+1)
	}
	test := loadChecked
	switch {
	case src.made != nil:
		test = loadMade
	case b.c.Bool("no-verify"):
		test = loadPlain
	}
	r := loadResult{Test: test}
	b.t, r.Seconds, err = b.timeLoad(ctx, src, test, transformer.Options{
		MaxSeqLen: length, MaxBatch: b.most("batch", 1), Chunk: 512, Ready: []int{1, 512},
		Progress: func(done uint64) { r.Bytes = done },
	})
	r.Rate = float64(r.Bytes) / r.Seconds
	b.report.Loads = append(b.report.Loads, r)
	return err
}

// timeLoad makes a Transformer and returns how long that took, in seconds.
func (b *benchmark) timeLoad(ctx context.Context, src *benchSource, test string, o transformer.Options) (t *transformer.Transformer, seconds float64, err error) {
	o.KVBits = 16
	if b.c.String("kv") == "f32" {
		o.KVBits = 32
	}
	if o.Kernels.Tuning, err = tuningOf(b.c, b.dev); err != nil {
		return nil, 0, err
	}
	begun := time.Now()
	switch test {
	case loadMade:
		o.Repeats = true
		t, err = transformer.New(ctx, b.dev, src.made, o)
	case loadPlain:
		t, err = transformer.New(ctx, b.dev, src.disk.Packed(), o)
	default:
		t, err = engine.LoadChecked(ctx, b.dev, src.disk, o)
	}
	return t, time.Since(begun).Seconds(), err
}

// loads measures loading and nothing else: with a context of one chunk, after once that is not counted
// and brings the files into memory.
func (b *benchmark) loads(ctx context.Context, src *benchSource) (err error) {
	tests := []string{loadPlain, loadChecked}
	if src.made != nil {
		tests = append([]string{loadMade}, tests...)
		dir, err := os.MkdirTemp("", "llama-webgpu-bench-*")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if src.disk, err = b.store(ctx, src.made, filepath.Join(dir, "bundle")); err != nil {
			return err
		}
	}
	for _, test := range tests {
		r := loadResult{Test: test}
		var seconds []float64
		for i := range b.c.Int("repetitions") + 1 {
			t, s, err := b.timeLoad(ctx, src, test, transformer.Options{
				MaxSeqLen: 512, Chunk: 512, Ready: []int{1, 512}, Progress: func(done uint64) { r.Bytes = done },
			})
			if err != nil {
				return err
			}
			t.Close()
			if i > 0 {
				seconds = append(seconds, s)
			}
		}
		r.Seconds, r.Spread = meanAndDeviation(seconds)
		r.Rate = float64(r.Bytes) / r.Seconds
		b.report.Loads = append(b.report.Loads, r)
	}
	return nil
}

// store writes made-up weights as a bundle.
func (b *benchmark) store(ctx context.Context, m *tune.Synthetic, dir string) (s *source.Model, err error) {
	var tensors []bundle.Tensor
	for i, t := range m.Tensors() {
		bits, block := m.Packing(i)
		stored := bundle.Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape, Type: bundle.F16, Block: block}
		if bits < 16 {
			stored.Type, stored.Method = bundle.Type(fmt.Sprintf("int%d", bits)), "rtn"
		}
		tensors = append(tensors, stored)
	}
	w, err := bundle.Create(ctx, dir, tensors, bundle.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	bar := newBar(b.c, "writing a bundle", int64(len(tensors)), false)
	defer bar.End()
	buf := make([]byte, 1<<20)
	for i, t := range w.Tensors() {
		if err := w.Begin(t); err != nil {
			return nil, err
		}
		for off := int64(0); off < t.Length; off += int64(len(buf)) {
			p := buf[:min(int64(len(buf)), t.Length-off)]
			if err := errors.Join(ctx.Err(), m.ReadAt(i, p, off)); err != nil {
				return nil, err
			}
			if _, err := w.Write(p); err != nil {
				return nil, err
			}
		}
		if err := w.End(bundle.Outcome{}); err != nil {
			return nil, err
		}
		bar.Set(int64(i+1), "")
	}
	manifest := &bundle.Manifest{Generator: "llama-webgpu bench", Spec: *m.Spec(), Quantization: bundle.Quantization{Format: b.report.Format}}
	manifest.Tokenizer.BOS = -1
	if err := w.Commit(manifest); err != nil {
		return nil, err
	}
	return source.Open(dir)
}
