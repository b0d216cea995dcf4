package bench

import (
	"context"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// Options say what is measured.
type Options struct {
	Prompts      []int  // tokens of prompts
	Contexts     []int  // tokens before generation, of one sequence
	Batches      []int  // sequences at once, at the first context
	Clients      []int  // of the server at once, each of which streams a text
	ClientPrompt [2]int // tokens of their prompts: of the shortest and of the longest
	Tokens       int    // that are generated, of each sequence
	Repetitions  int    // of each measurement, after the device has warmed up
	KVBits       int    // of cached keys and values: 16 or 32
	NoCheck      bool   // do not compare a bundle with its hashes while it loads
	Tuning       string // see engine.Options
	Kernels      string // see engine.Options
	LoadOnly     bool   // measure loading, and nothing else
	Profile      bool   // time every kernel, too

	Progress func(done, total int64) // told how many tensors of a bundle are written to load it; may be nil
}

// check reports options that nothing can be measured with.
func (o *Options) check() error {
	for name, n := range map[string]int{
		"prompts": slices.Min(append([]int{1}, o.Prompts...)), "batches": slices.Min(append([]int{1}, o.Batches...)), "clients": slices.Min(append([]int{1}, o.Clients...)),
		"tokens": o.Tokens, "repetitions": o.Repetitions,
	} {
		if n < 1 {
			return fmt.Errorf("bench: %s: %d: want 1 or more", name, n)
		}
	}
	if p := o.ClientPrompt; len(o.Clients) > 0 && (p[0] < 1 || p[1] < p[0]) {
		return fmt.Errorf("bench: prompts of clients: %d to %d tokens: want 1 or more, the shortest first", p[0], p[1])
	}
	if n := slices.Min(append([]int{0}, o.Contexts...)); n < 0 {
		return fmt.Errorf("bench: contexts: %d: want 0 or more", n)
	}
	return nil
}

// Report is what was measured. Speeds are in tokens a second, bandwidths in bytes. Its JSON keys are an interface.
type Report struct {
	Device      string            `json:"device"`
	Engine      string            `json:"engine"`            // gpu.EngineBuiltin, gpu.EngineDawn or cpu
	Kernels     map[string]string `json:"kernels,omitempty"` // in place of matvec, by packing of the weights
	Model       string            `json:"model"`
	Format      string            `json:"format,omitempty"` // of made-up weights
	Roof        tune.Roof         `json:"roof"`
	Read        float64           `json:"read_bytes_per_second,omitempty"` // of memory, by the CPU: instead of the roof of copies
	OwnMemory   uint64            `json:"memory_bytes,omitempty"`          // that the CPU engine allocates, …
	Mapped      uint64            `json:"mapped_bytes,omitempty"`          // … and of the files that it reads where they are mapped
	Loads       []Load            `json:"loads"`
	Memory      map[string]uint64 `json:"gpu_memory_bytes"`
	Pipelines   int               `json:"pipelines"`
	Compile     float64           `json:"compile_seconds"`
	CacheHits   int               `json:"pipeline_cache_hits,omitzero"`   // parts of pipelines that an earlier start has compiled, …
	CacheMisses int               `json:"pipeline_cache_misses,omitzero"` // … and that this one has, where they are kept
	Results     []Speed           `json:"results,omitempty"`
	Waits       []Waits           `json:"waits,omitempty"` // of the server's clients
	Profiles    []Profile         `json:"profiles,omitempty"`
}

// TotalMemory adds up Memory.
func (r *Report) TotalMemory() (total uint64) {
	for _, n := range r.Memory {
		total += n
	}
	return total
}

// Run measures a model on a device.
func Run(ctx context.Context, dev *gpu.Device, m *Model, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	b := &benchmark{Options: o, dev: dev, model: m}
	b.report = Report{Device: dev.Info().String(), Engine: dev.Info().Engine, Kernels: map[string]string{}, Model: m.name, Format: m.format}
	measure := b.all
	if o.LoadOnly {
		measure = b.loads
	}
	if err := measure(ctx); err != nil {
		return nil, err
	}
	return &b.report, nil
}

// benchmark is one run.
type benchmark struct {
	Options
	dev    *gpu.Device
	model  *Model
	t      *transformer.Transformer
	report Report
}

// all measures everything but loading alone.
func (b *benchmark) all(ctx context.Context) (err error) {
	if b.report.Roof, err = tune.MeasureRoof(ctx, b.dev); err != nil {
		return err
	}
	if err := b.load(ctx); err != nil {
		return err
	}
	defer b.t.Close()
	if err := b.prompts(ctx); err != nil {
		return err
	}
	if err := b.generations(ctx); err != nil {
		return err
	}
	if err := b.clients(ctx); err != nil {
		return err
	}
	if b.Profile {
		if err := b.profiles(ctx); err != nil {
			return err
		}
	}
	stats := b.dev.Stats()
	b.report.Memory, b.report.Pipelines, b.report.Compile = b.dev.Memory(), stats.Pipelines, stats.CompileTime.Seconds()
	b.report.CacheHits, b.report.CacheMisses = stats.CacheHits, stats.CacheMisses
	return nil
}

// most returns the largest of the numbers, at least 1.
func most(numbers []int) int { return slices.Max(append([]int{1}, numbers...)) }
