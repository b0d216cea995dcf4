package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// Load says how fast the weights came to the device.
type Load struct {
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
func (b *benchmark) load(ctx context.Context) (err error) {
	length := most(b.Prompts)
	for _, n := range b.Contexts {
		length = max(length, n+b.Tokens+1)
	}
	test := loadChecked
	switch {
	case b.model.made != nil:
		test = loadMade
	case b.NoCheck:
		test = loadPlain
	}
	r := Load{Test: test}
	b.t, r.Seconds, err = b.timeLoad(ctx, b.model, test, transformer.Options{
		MaxSeqLen: length, Chunk: 512, Warm: []int{1, 512},
		Progress: func(done uint64) { r.Bytes = done },
	})
	r.Rate = float64(r.Bytes) / r.Seconds
	b.report.Loads = append(b.report.Loads, r)
	return err
}

// timeLoad makes a Transformer and returns how long that took, in seconds.
func (b *benchmark) timeLoad(ctx context.Context, m *Model, test string, o transformer.Options) (t *transformer.Transformer, seconds float64, err error) {
	o.KVBits = b.KVBits
	if o.Kernels, err = engine.ChooseKernels(ctx, b.dev, m.Weights(), b.Tuning, b.Kernels); err != nil {
		return nil, 0, err
	}
	for p, v := range o.Kernels.Variants {
		if v.Kernel != "" {
			b.report.Kernels[p.String()] = v.Kernel
		}
	}
	begun := time.Now()
	switch test {
	case loadMade:
		o.Repeats = true
		t, err = transformer.New(ctx, b.dev, m.made, o)
	case loadPlain:
		t, err = transformer.New(ctx, b.dev, m.disk.Packed(), o)
	default:
		t, err = engine.LoadChecked(ctx, b.dev, m.disk, o)
	}
	return t, time.Since(begun).Seconds(), err
}

// loads measures loading and nothing else: with a context of one chunk, after once that is not counted
// and brings the files into memory.
func (b *benchmark) loads(ctx context.Context) (err error) {
	m := *b.model
	tests := []string{loadPlain, loadChecked}
	if m.made != nil {
		tests = append([]string{loadMade}, tests...)
		dir, err := os.MkdirTemp("", "llama-webgpu-bench-*")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if m.disk, err = b.store(ctx, m.made, filepath.Join(dir, "bundle")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.disk.Close()) }()
	}
	for _, test := range tests {
		r := Load{Test: test}
		var seconds []float64
		for i := range b.Repetitions + 1 {
			t, s, err := b.timeLoad(ctx, &m, test, transformer.Options{
				MaxSeqLen: 512, Chunk: 512, Warm: []int{1, 512}, Progress: func(done uint64) { r.Bytes = done },
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
		if b.Progress != nil {
			b.Progress(int64(i+1), int64(len(tensors)))
		}
	}
	manifest := &bundle.Manifest{Generator: "llama-webgpu bench", Spec: *m.Spec(), Quantization: bundle.Quantization{Format: b.report.Format}}
	manifest.Tokenizer.BOS = -1
	if err := w.Commit(manifest); err != nil {
		return nil, err
	}
	return source.Open(dir)
}
