package tune

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

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
func Profile(ctx context.Context, t *transformer.Transformer, tokens []int32) ([]Dispatch, error) {
	first := t.Position()
	passes, err := t.Record(tokens)
	if err != nil {
		return nil, err
	}
	n := t.Position() - first
	return timePasses(ctx, t.Graph(), passes, func(layer int) (bytes, flops uint64) { return attentionCost(t.Graph(), layer, first, n) })
}

// ProfileBatch does the same with one token for each of several sequences, which have as many tokens as the selected one.
func ProfileBatch(ctx context.Context, t *transformer.Transformer, sequences []int, tokens []int32) ([]Dispatch, error) {
	first := t.Position()
	passes, err := t.RecordBatch(sequences, tokens)
	if err != nil {
		return nil, err
	}
	n := uint64(len(tokens))
	return timePasses(ctx, t.Graph(), passes, func(layer int) (bytes, flops uint64) {
		bytes, flops = attentionCost(t.Graph(), layer, first, 1)
		return n * bytes, n * flops
	})
}

// timePasses runs passes and times their dispatches; attention says what a layer's has to read and to compute.
func timePasses(ctx context.Context, g *graph.Graph, passes []*graph.Pass, attention func(layer int) (bytes, flops uint64)) ([]Dispatch, error) {
	program, err := g.Program(passes...)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	times, err := g.Device().RunTimed(program)
	if err != nil {
		return nil, err
	}
	var list []Dispatch
	for _, pass := range passes {
		for _, d := range pass.Dispatches {
			if d.Copies() {
				continue
			}
			list = append(list, Dispatch{d.Kernel.Key, pass.Name, d.Cost.Bytes, d.Cost.FLOPs, times[len(list)]})
			if l, ok := strings.CutPrefix(pass.Name, "layer "); ok && attends(d.Kernel.Key) {
				layer, _ := strconv.Atoi(l) // as it was written
				last := &list[len(list)-1]
				last.Bytes, last.FLOPs = attention(layer)
			}
		}
	}
	return list, nil
}

// attends reports whether a kernel reads the cache.
func attends(key string) bool {
	kernel, _, _ := strings.Cut(key, "/")
	return slices.Contains([]string{"attention", "attention_split", "attention_token", "attention_subgroups", "attention_matrix"}, kernel)
}

// attentionCost reports what attention of n tokens from a position on has to read of a layer's cache, once for
// all of the tokens, and to compute.
func attentionCost(g *graph.Graph, layer, first, n int) (bytes, flops uint64) {
	a, window := &g.Weights().Spec().Layer(layer).Attention, g.KV(layer).Window
	seen := 0 // by all tokens together
	for p := first; p < first+n; p++ {
		seen += min(p+1, window)
	}
	positions := min(first+n, window+n-1)
	core := a.Core()
	bytes = uint64(positions * a.Cached() * g.Options().KVBits / 8)
	return bytes, 2 * uint64(seen*core.Heads*(core.HeadDim+core.ValueWidth()))
}

// ByKernel adds up the dispatches of each kernel; the slowest kernel comes first.
func ByKernel(dev *gpu.Device, list []Dispatch) []KernelTime {
	var times []KernelTime
	for i, d := range list {
		at := slices.IndexFunc(times, func(k KernelTime) bool { return k.Key == d.Key })
		if at < 0 {
			at = len(times)
			times = append(times, KernelTime{Key: d.Key, Compile: dev.CompileTime(d.Key)})
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
