package transformer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
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

	layer int // −1: of none
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
	first := t.Position()
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
	list := t.dispatches(programs, times)
	for i := range list {
		if d := &list[i]; d.layer >= 0 && (strings.HasPrefix(d.Key, "attention/") || strings.HasPrefix(d.Key, "attention_split/")) {
			d.Bytes, d.FLOPs = t.attentionCost(d.layer, first, len(tokens))
		}
	}
	return list, nil
}

// attentionCost reports what attention of n tokens from a position on has to read of a layer's cache, once for
// all of the tokens, and to compute.
func (t *Transformer) attentionCost(layer, first, n int) (bytes, flops uint64) {
	a, window := &t.spec.Layer(layer).Attention, t.kv[layer].window
	seen := 0 // by all tokens together
	for p := first; p < first+n; p++ {
		seen += min(p+1, window)
	}
	positions := min(first+n, window+n-1)
	bytes = 2 * uint64(positions*a.KVHeads*a.HeadDim*t.opts.KVBits/8)
	return bytes, 4 * uint64(seen*a.Heads*a.HeadDim)
}

// dispatches joins what was recorded with when it ran.
func (t *Transformer) dispatches(programs []*gpu.Program, times []gpu.Timing) []Dispatch {
	var list []Dispatch
	for i, p := range programs {
		part, layer := fmt.Sprintf("layer %d", i-1), -1
		switch i {
		case 0:
			part = "embedding"
		case len(programs) - 2:
			part = "head"
		case len(programs) - 1:
			part = "candidates"
		default:
			layer = i - 1
		}
		for j, key := range p.Keys() {
			c := t.costs[p][j]
			list = append(list, Dispatch{key, part, c.bytes, c.flops, times[len(list)], layer})
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
