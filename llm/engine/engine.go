package engine

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// Device is where a model runs.
type Device string

// The devices.
const (
	GPU  Device = "gpu"  // an adapter: a bundle, but no checkpoint
	CPU  Device = "cpu"  // the CPU engine: a bundle or a checkpoint
	Auto Device = "auto" // the GPU, but the CPU engine for a checkpoint, and where the adapter is software: that is the same processor, slower
)

// DefaultContext is the longest context that is chosen without being asked for, in tokens: a model may be trained for
// one that no memory holds.
const DefaultContext = model.DefaultContext

// Options say where and how a model is loaded. The zero value loads a bundle onto the best GPU.
type Options struct {
	Device    Device     // "": GPU
	GPU       gpu.Select // which GPU, and which engine drives it; zero: the best
	Context   int        // how many tokens prompt and text may have together; 0: what it was trained for, at most DefaultContext
	Sequences int        // how many sequences the KV cache holds, 1 to 64 on a GPU, 1 on the CPU; 0: 1
	KVBits    int        // of a cached value: 16 or 32; 0: 16
	Check     bool       // compare a bundle with its hashes: on a GPU while it is loaded, on the CPU before

	// Tuning is the file of `llama-webgpu tune`: a path, "" for DefaultTuningPath, TuningOff for none. What it says of
	// other devices or other kernels is ignored.
	Tuning string
	// Kernels are what multiplies matrices: "" or "auto" for what is right and fastest on the GPU, "baseline" for what
	// every GPU runs, or one of tune.VariantNames.
	Kernels string
	// Warm are the passes whose kernels are compiled while the weights load, in tokens: the length of the first prompt,
	// 1 for generating, n for n sequences at once.
	Warm []int

	Progress func(done, total int64) // told how many bytes of the weights are loaded or checked, by one goroutine at a time
	Log      gpu.Logger              // told what happens on the GPU: a *slog.Logger; nil: nobody
}

// Engine is a model that runs somewhere. The Forwarder is what runs it: what it can do beside (as a verify.Tracer) is
// asked of the Forwarder itself.
type Engine struct {
	verify.Forwarder
	Transformer *transformer.Transformer // nil on the CPU
	Device      *gpu.Device              // nil on the CPU
}

// Open loads a model, which must stay open as long as the Engine is used. The errors to branch on are gpu.ErrNoGPU and
// gpu.ErrNoAdapter, where there is no GPU, transformer.ErrTooLarge, bundle.ErrCorrupt if Options.Check finds damage,
// and that of ctx.
func Open(ctx context.Context, m *source.Model, o Options) (*Engine, error) {
	switch o.Device {
	case CPU:
		return openCPU(ctx, m, o)
	case GPU, Auto, "":
	default:
		return nil, fmt.Errorf("device %q: want %s, %s or %s", o.Device, GPU, CPU, Auto)
	}
	switch {
	case m.Bundle == nil && o.Device == Auto:
		return openCPU(ctx, m, o)
	case m.Bundle == nil:
		return nil, fmt.Errorf("%s: is a checkpoint: make a bundle of it with llama-webgpu quantize, or use --device cpu", m.Dir)
	}
	dev, err := gpu.Open(ctx, gpu.Options{Select: o.GPU, Log: o.Log})
	if err != nil {
		return nil, err
	}
	if o.Device == Auto && dev.OnCPU() {
		dev.Close()
		return openCPU(ctx, m, o)
	}
	return OpenOn(ctx, dev, m, o)
}

// OpenOn loads a bundle onto an open device, which is closed with it, or if it cannot be loaded.
func OpenOn(ctx context.Context, dev *gpu.Device, m *source.Model, o Options) (*Engine, error) {
	t, err := load(ctx, dev, m, o)
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("%s: %w", m.Dir, err)
	}
	return &Engine{Forwarder: t, Transformer: t, Device: dev}, nil
}

// load uploads a bundle.
func load(ctx context.Context, dev *gpu.Device, m *source.Model, o Options) (*transformer.Transformer, error) {
	choice, err := ChooseKernels(ctx, dev, m.Packed(), o.Tuning, o.Kernels)
	if err != nil {
		return nil, err
	}
	options := transformer.Options{
		Kernels: choice, MaxSeqLen: o.context(m), MaxBatch: o.Sequences, KVBits: o.KVBits, Warm: o.Warm,
	}
	if o.Progress != nil {
		total := m.Bundle.Manifest.Size()
		options.Progress = func(done uint64) { o.Progress(int64(done), total) }
	}
	if !o.Check {
		return transformer.New(ctx, dev, m.Packed(), options)
	}
	return LoadChecked(ctx, dev, m, options)
}

// ChooseKernels returns the kernels and constants for weights on a device: of a tuning file as in Options.Tuning, and
// what Options.Kernels wants. On software, "auto" is the baseline: trying kernels there takes longer than it gains.
func ChooseKernels(ctx context.Context, dev *gpu.Device, src graph.Source, tuning, want string) (c graph.Choice, err error) {
	if c.Tuning, err = TuningFor(dev, tuning); err != nil {
		return c, err
	}
	if dev.OnCPU() && (want == "" || want == tune.VariantsAuto) {
		want = tune.VariantsBaseline
	}
	v, err := tune.NewVariants(dev, want)
	if err != nil {
		return c, err
	}
	if c.Variants, err = v.Choose(ctx, src); err == nil {
		c.Subgroup = v.Shuffles(c.Variants)
		err = v.ChooseMatrices(ctx, src, &c)
	}
	return c, err
}

// LoadChecked uploads a bundle and compares it with its hashes on the way.
func LoadChecked(ctx context.Context, dev *gpu.Device, m *source.Model, o transformer.Options) (*transformer.Transformer, error) {
	packed := m.Packed().Hashing()
	t, err := transformer.New(ctx, dev, packed, o)
	if err != nil {
		return nil, err
	}
	if err := packed.AllChecked(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// openCPU prepares the CPU engine, which reads the weights as it goes.
func openCPU(ctx context.Context, m *source.Model, o Options) (*Engine, error) {
	if o.Sequences > 1 {
		return nil, fmt.Errorf("%d sequences: the CPU engine has one", o.Sequences)
	}
	if o.Check && m.Bundle != nil {
		if err := check(ctx, m, o); err != nil {
			return nil, err
		}
	}
	return NewCPU(m, o)
}

func check(ctx context.Context, m *source.Model, o Options) error {
	progress := o.Progress
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if err := m.Bundle.Check(ctx, progress); err != nil {
		return fmt.Errorf("%s: %w", m.Dir, err)
	}
	return nil
}

// NewCPU returns a model on the CPU engine. Of Options it heeds Context and KVBits.
func NewCPU(m *source.Model, o Options) (*Engine, error) {
	e, err := cpu.New(m.Weights, cpu.Options{KVFloat16: o.KVBits != 32, MaxSeqLen: o.context(m)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Dir, err)
	}
	return &Engine{Forwarder: e}, nil
}

// NewReference returns a model on the plain CPU reference, slow and obvious. Of Options it heeds Context and KVBits.
func NewReference(m *source.Model, o Options) (*verify.Reference, error) {
	r, err := verify.NewReference(m.Weights, verify.ReferenceOptions{KVFloat16: o.KVBits != 32, MaxSeqLen: o.context(m)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Dir, err)
	}
	return r, nil
}

// context returns how many tokens the model sees.
func (o Options) context(m *source.Model) int {
	if o.Context > 0 {
		return o.Context
	}
	return m.Weights.Spec().Context()
}

// Software reports whether the model runs on a GPU adapter that is software.
func (e *Engine) Software() bool { return e.Device != nil && e.Device.OnCPU() }

// Close gives back what the engine has on a GPU, and closes the device.
func (e *Engine) Close() {
	if e.Transformer != nil {
		e.Transformer.Close()
		e.Device.Close()
	}
}

// Memory says what the CPU engine takes, in bytes by purpose; nil on a GPU.
func (e *Engine) Memory() map[string]uint64 {
	c, ok := e.Forwarder.(*cpu.Engine)
	if !ok {
		return nil
	}
	m := c.Memory()
	return map[string]uint64{
		"activations": uint64(m.Activations + m.Logits), "kv cache": uint64(m.Cache), "norms and biases": uint64(m.Vectors),
		"mapped weights": uint64(m.Mapped),
	}
}

// String says where the model runs: "NVIDIA H100 80GB HBM3 (Vulkan, discrete, NVIDIA), engine dawn", or "CPU, AVX2".
func (e *Engine) String() string {
	if e.Device == nil {
		return CPUName()
	}
	return e.Device.Info().Where()
}

// CPUName says what the CPU engine computes with: "CPU, AVX2".
func CPUName() string { return "CPU, " + simd.Name() }
