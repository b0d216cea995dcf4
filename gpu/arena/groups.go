package arena

import (
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// mostBindings is how many ranges a bind group may have: more than any kernel binds.
const mostBindings = 12

// groupKey is what a bind group binds to which pipeline.
type groupKey struct {
	pipeline *gpu.Pipeline
	ranges   [mostBindings]gpu.Range
}

// binds reports whether the bind group uses a buffer.
func (k *groupKey) binds(b *gpu.Buffer) bool {
	return slices.ContainsFunc(k.ranges[:], func(r gpu.Range) bool { return r.Buffer == b })
}

// Group returns the bind group of a pipeline and ranges, which is made the first time. It lives until
// one of its buffers is released by Release, or the Arena is closed.
func (a *Arena) Group(p *gpu.Pipeline, ranges ...gpu.Range) (*gpu.BindGroup, error) {
	key := groupKey{pipeline: p}
	if len(ranges) > len(key.ranges) {
		return nil, fmt.Errorf("kernel %s: %d bindings: want at most %d", p.Key(), len(ranges), len(key.ranges))
	}
	copy(key.ranges[:], ranges)
	if g := a.groups[key]; g != nil {
		return g, nil
	}
	g, err := a.dev.BindGroup(p, ranges...)
	if err != nil {
		return nil, err
	}
	a.groups[key] = g
	return g, nil
}

// Groups reports how many bind groups there are.
func (a *Arena) Groups() int { return len(a.groups) }
