package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
	llmengine "github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// deviceFlags say where a model runs.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "device", Value: "gpu", Usage: "`DEVICE`: where to run the bundle: gpu or cpu", Category: "Device"},
		adapterFlag("Device", ""),
		&cli.StringFlag{Name: "kv", Value: "f16", Usage: "`TYPE`: type of the cached keys and values: f16 or f32", Category: "Device"},
		tuningFlag("Device"),
		listAdaptersFlag("Device"),
	}
}

// checkDevice reports wrong values of deviceFlags.
func checkDevice(c *cli.Context) error {
	if err := oneOf(c, "device", "gpu", "cpu"); err != nil {
		return err
	}
	return oneOf(c, "kv", "f16", "f32")
}

// engineOptions returns what deviceFlags say. The error is that of a --tuning file that is not there.
func engineOptions(c *cli.Context) (llmengine.Options, error) {
	o := llmengine.Options{Device: llmengine.Device(c.String("device")), Adapter: c.String("adapter"), Tuning: c.String("tuning"), Log: slog.Default()}
	if c.String("kv") == "f32" {
		o.KVBits = 32
	}
	if o.Device == llmengine.CPU {
		return o, nil
	}
	return o, checkTuning(c)
}

// engine is a model that runs somewhere.
type engine struct {
	verify.Forwarder                          // what the model can do beside it (verify.Tracer) is asked of it, not of the engine
	gpu              *transformer.Transformer // nil on the CPU
	dev              *gpu.Device              // nil on the CPU
}

// loadOptions say how a model is loaded.
type loadOptions struct {
	maxSeqLen int
	maxBatch  int   // sequences; 0: 1
	ready     []int // see transformer.Options
	check     bool  // compare a bundle with its hashes
}

// openEngineWith loads the model where the flags say.
func openEngineWith(c *cli.Context, s *source.Model, o loadOptions) (*engine, error) {
	if c.String("device") == "cpu" {
		if o.check && s.Bundle != nil {
			if err := checkHashes(c, s); err != nil {
				return nil, err
			}
		}
		return newCPU(s, o.maxSeqLen, c.String("kv") == "f16")
	}
	if s.Bundle == nil {
		return nil, fmt.Errorf("%s: is a checkpoint: make a bundle of it with llama-webgpu quantize, or use --device cpu", s.Dir)
	}
	dev, err := openGPU(c)
	if err != nil {
		return nil, err
	}
	return openOn(c, dev, s, o)
}

// openOn loads the model on a device, which is closed with it, or if it cannot be loaded.
func openOn(c *cli.Context, dev *gpu.Device, s *source.Model, o loadOptions) (*engine, error) {
	t, err := load(c, dev, s, o)
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	return &engine{Forwarder: t, gpu: t, dev: dev}, nil
}

// load uploads the model.
func load(c *cli.Context, dev *gpu.Device, s *source.Model, o loadOptions) (*transformer.Transformer, error) {
	total := s.Bundle.Manifest.Size()
	progress := newBar(c, "loading", total, true)
	defer progress.end()
	bits := 16
	if c.String("kv") == "f32" {
		bits = 32
	}
	tuning, err := tuningOf(c, dev)
	if err != nil {
		return nil, err
	}
	options := transformer.Options{
		Tuning:    tuning,
		MaxSeqLen: o.maxSeqLen, MaxBatch: o.maxBatch, KVBits: bits, Ready: o.ready,
		Progress: func(done uint64) { progress.set(int64(done), "") },
	}
	if !o.check {
		return transformer.New(c.Context, dev, s.Packed(), options)
	}
	return loadCompared(c.Context, dev, s, options)
}

// loadCompared uploads the model and compares it with its hashes on the way.
func loadCompared(ctx context.Context, dev *gpu.Device, s *source.Model, o transformer.Options) (*transformer.Transformer, error) {
	hashing := s.Packed().Hashing()
	t, err := transformer.New(ctx, dev, hashing, o)
	if err != nil {
		return nil, err
	}
	if err := hashing.AllChecked(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// newCPU returns the model of s on the CPU engine. With kvFloat16 it rounds keys and values as a GPU does.
func newCPU(s *source.Model, maxSeqLen int, kvFloat16 bool) (*engine, error) {
	r, err := onCPU(s, verify.ReferenceOptions{KVFloat16: kvFloat16, MaxSeqLen: maxSeqLen, Vector: true})
	if err != nil {
		return nil, err
	}
	return &engine{Forwarder: r}, nil
}

// newReference returns the reference's model of s. With kvFloat16 it rounds keys and values as a GPU does.
func newReference(s *source.Model, maxSeqLen int, kvFloat16 bool) (*verify.Reference, error) {
	return onCPU(s, verify.ReferenceOptions{KVFloat16: kvFloat16, MaxSeqLen: maxSeqLen})
}

func onCPU(s *source.Model, o verify.ReferenceOptions) (*verify.Reference, error) {
	r, err := verify.NewReference(s.Weights, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	return r, nil
}

func (e *engine) close() {
	if e.gpu != nil {
		e.gpu.Close()
		e.dev.Close()
	}
}

// String says where the model runs.
func (e *engine) String() string {
	if e.dev == nil {
		return "CPU, " + simd.Name()
	}
	return e.dev.Info().String()
}

// model is what sampling drives: on a GPU the transformer itself, which can hand over its largest
// logits alone.
func (e *engine) model() sample.Model {
	if e.gpu != nil {
		return e.gpu
	}
	return e.Forwarder
}
