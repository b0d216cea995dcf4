package transformer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// cost is what a dispatch has to do at least.
type cost struct{ bytes, flops uint64 }

// KernelTime says how long the dispatches of one kernel took in one pass.
type KernelTime struct {
	Key        string // the kernel and its constants
	Dispatches int
	Time       time.Duration // on the device, together
	Bytes      uint64        // of weights and cache that they must read
	FLOPs      uint64        // of products that they must compute
}

// Profile feeds tokens, one chunk of them, and times every dispatch by the device's clock, each in
// a pass of its own; the head's are those of the last token. The slowest kernel comes first.
func (t *Transformer) Profile(ctx context.Context, tokens []int32) ([]KernelTime, error) {
	if err := t.accept(tokens); err != nil {
		return nil, err
	}
	var times []KernelTime
	t.run = func(programs ...*gpu.Program) error {
		for _, p := range programs {
			durations, err := t.dev.RunTimed(p)
			if err != nil {
				return err
			}
			for i, key := range p.Keys() {
				times = addTime(times, key, durations[i], t.costs[p][i])
			}
		}
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
	slices.SortFunc(times, func(a, b KernelTime) int { return cmp.Compare(b.Time, a.Time) })
	return times, nil
}

// addTime adds the time of one dispatch.
func addTime(list []KernelTime, key string, d time.Duration, c cost) []KernelTime {
	i := slices.IndexFunc(list, func(k KernelTime) bool { return k.Key == key })
	if i < 0 {
		list = append(list, KernelTime{Key: key})
		i = len(list) - 1
	}
	k := &list[i]
	k.Dispatches++
	k.Time += d
	k.Bytes += c.bytes
	k.FLOPs += c.flops
	return list
}
