package bench

import (
	"context"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// Profile is where the time of one pass went, by the device's clock. Times are in seconds.
type Profile struct {
	Title   string   `json:"title"`
	Tokens  int      `json:"tokens"`
	Context int      `json:"context"`
	Seconds float64  `json:"seconds"`        // from the first dispatch's beginning to the last one's end
	Kernel  float64  `json:"kernel_seconds"` // of these, while a kernel ran …
	Gap     float64  `json:"gap_seconds"`    // … and while none did
	Kernels []Kernel `json:"kernels"`

	list []tune.Dispatch
}

// Kernel is what one kernel took of a pass.
type Kernel struct {
	Kernel     string  `json:"kernel"`
	Dispatches int     `json:"dispatches"`
	Seconds    float64 `json:"seconds"`
	Gap        float64 `json:"gap_seconds"` // before its dispatches
	Bytes      uint64  `json:"bytes"`
	FLOPs      uint64  `json:"flops"`
	Roof       float64 `json:"share_of_roof"`
	Bound      string  `json:"bound,omitempty"` // what the roof is: copy or float32
	Compile    float64 `json:"compile_seconds"`
}

// profiles times a prompt, a token at the smallest and at the largest context, and one of each sequence of the largest batch.
func (b *benchmark) profiles(ctx context.Context) error {
	prompt := min(512, most(b.Prompts))
	if err := b.profile(ctx, fmt.Sprintf("a prompt of %d tokens", prompt), 0, prompt); err != nil {
		return err
	}
	contexts := []int{0}
	if all := b.Contexts; len(all) > 0 {
		contexts = slices.Compact([]int{slices.Min(all), slices.Max(all)})
	}
	for _, n := range contexts {
		if err := b.profile(ctx, fmt.Sprintf("a token at context %d", n), n, 1); err != nil {
			return err
		}
	}
	if n := most(b.Batches); n > 1 {
		return b.profileBatch(ctx, n, contexts[0])
	}
	return nil
}

// profileBatch times a token of each of n sequences.
func (b *benchmark) profileBatch(ctx context.Context, n, length int) error {
	t, err := b.batches(length, n, batchChunk)
	if err != nil {
		return err
	}
	defer t.Close()
	sequences := make([]int, n)
	for i := range sequences {
		sequences[i] = i
	}
	return b.profileOf(fmt.Sprintf("a token of each of %d sequences at context %d", n, length), length, n, func() ([]tune.Dispatch, error) {
		for _, i := range sequences {
			if err := t.Select(i); err != nil {
				return nil, err
			}
			if err := t.Rewind(length); err != nil {
				return nil, err
			}
		}
		return tune.ProfileBatch(ctx, t, sequences, make([]int32, n))
	})
}

// profile times the pass of n tokens after a context.
func (b *benchmark) profile(ctx context.Context, title string, length, n int) (err error) {
	return b.profileOf(title, length, n, func() ([]tune.Dispatch, error) {
		if err := b.t.Rewind(length); err != nil {
			return nil, err
		}
		return tune.Profile(ctx, b.t, make([]int32, n))
	})
}

// profileOf times a pass. The first time, which a driver may do more at, does not count.
func (b *benchmark) profileOf(title string, length, n int, run func() ([]tune.Dispatch, error)) (err error) {
	p := Profile{Title: title, Tokens: n, Context: length}
	for range 2 {
		if p.list, err = run(); err != nil {
			return err
		}
	}
	p.Seconds = p.list[len(p.list)-1].End.Seconds()
	for _, k := range tune.ByKernel(b.dev, p.list) {
		r := Kernel{
			Kernel: k.Key, Dispatches: k.Dispatches, Seconds: k.Time.Seconds(), Gap: k.Gap.Seconds(),
			Bytes: k.Bytes, FLOPs: k.FLOPs, Compile: k.Compile.Seconds(),
		}
		if k.Bytes+k.FLOPs > 0 && k.Time > 0 {
			var memory bool
			r.Roof, memory = b.report.Roof.Share(k.Bytes, k.FLOPs, k.Time)
			r.Bound = map[bool]string{true: "copy", false: "float32"}[memory]
		}
		p.Kernel += r.Seconds
		p.Gap += r.Gap
		p.Kernels = append(p.Kernels, r)
	}
	b.report.Profiles = append(b.report.Profiles, p)
	return nil
}
