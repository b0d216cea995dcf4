package transformer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// cost is what a dispatch has to do at least.
type cost struct{ bytes, flops uint64 }

// Dispatch is one dispatch of a profiled pass.
type Dispatch struct {
	Key   string // the kernel and its constants
	Part  string // of the pass: "embedding", "layer 0", …, "head", "candidates"
	Bytes uint64 // of weights and cache that it must read
	FLOPs uint64 // of products that it must compute
	gpu.Timing
}

// KernelTime says how long the dispatches of one kernel took in one pass.
type KernelTime struct {
	Key        string
	Dispatches int
	Time       time.Duration // on the device, together
	Gap        time.Duration // from the end of the dispatch before to the beginning of each, together
	Bytes      uint64
	FLOPs      uint64
	Compile    time.Duration // what its compilation took
}

// Profile feeds tokens, one chunk of them, and times every dispatch by the device's clock, each in
// a pass of its own: from the embedding to the candidates of the last token.
func (t *Transformer) Profile(ctx context.Context, tokens []int32) ([]Dispatch, error) {
	if err := t.accept(tokens); err != nil {
		return nil, err
	}
	var programs []*gpu.Program
	t.run = func(ps ...*gpu.Program) error {
		programs = append(programs, ps...)
		return nil
	}
	defer func() { t.run = t.dev.Run }()
	tokens = tokens[:t.chunk(len(tokens))]
	if err := t.feed(ctx, tokens); err != nil {
		return nil, err
	}
	if err := t.runHead(len(tokens)-1, 1); err != nil {
		return nil, err
	}
	top, err := t.topProgram(1)
	if err != nil {
		return nil, err
	}
	programs = append(programs, top)
	times, err := t.dev.RunTimed(programs...)
	if err != nil {
		return nil, err
	}
	return t.dispatches(programs, times), nil
}

// dispatches joins what was recorded with when it ran.
func (t *Transformer) dispatches(programs []*gpu.Program, times []gpu.Timing) []Dispatch {
	var list []Dispatch
	for i, p := range programs {
		part := fmt.Sprintf("layer %d", i-1)
		switch i {
		case 0:
			part = "embedding"
		case len(programs) - 2:
			part = "head"
		case len(programs) - 1:
			part = "candidates"
		}
		for j, key := range p.Keys() {
			c := t.costs[p][j]
			list = append(list, Dispatch{key, part, c.bytes, c.flops, times[len(list)]})
		}
	}
	return list
}

// Kernels adds up the dispatches of each kernel; the slowest kernel comes first.
func (t *Transformer) Kernels(list []Dispatch) []KernelTime {
	var times []KernelTime
	for i, d := range list {
		at := slices.IndexFunc(times, func(k KernelTime) bool { return k.Key == d.Key })
		if at < 0 {
			at = len(times)
			times = append(times, KernelTime{Key: d.Key, Compile: t.dev.CompileTime(d.Key)})
		}
		k := &times[at]
		k.Dispatches++
		k.Time += d.Time()
		k.Bytes += d.Bytes
		k.FLOPs += d.FLOPs
		if i > 0 {
			k.Gap += d.Begin - list[i-1].End
		}
	}
	slices.SortStableFunc(times, func(a, b KernelTime) int { return cmp.Compare(b.Time, a.Time) })
	return times
}
