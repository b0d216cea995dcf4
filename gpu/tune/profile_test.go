package tune

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

// TestProfile profiles a prompt and a token: what dispatches there are, what they must read and compute, and
// that times follow one another.
func TestProfile(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64))
	tr, err := transformer.New(ctx, dev, src, transformer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	a, layers := &tr.Spec().Layer(0).Attention, len(tr.Spec().Layers)
	for _, c := range []struct{ position, n, seen int }{{0, 20, 210}, {30, 1, 31}} {
		if err := tr.Rewind(c.position); err != nil {
			t.Fatal(err)
		}
		list, err := Profile(ctx, tr, make([]int32, c.n))
		if err != nil {
			t.Fatal(err)
		}
		if first, last := list[0], list[len(list)-1]; first.Part != "embedding" || last.Part != "candidates" || first.Begin != 0 {
			t.Errorf("from %+v to %+v", first, last)
		}
		attention := 0
		for i, d := range list {
			if d.Time() < 0 || i > 0 && d.Begin < list[i-1].End {
				t.Errorf("dispatch %d ran from %v to %v, the one before to %v", i, d.Begin, d.End, list[max(0, i-1)].End)
			}
			if strings.HasPrefix(d.Key, "attention") {
				attention++
				bytes, flops := 2*uint64((c.position+c.n)*a.KVHeads*a.HeadDim*2), 4*uint64(c.seen*a.Heads*a.HeadDim)
				if d.Bytes != bytes || d.FLOPs != flops {
					t.Errorf("attention of %d tokens at %d reads %d bytes for %d operations, want %d and %d", c.n, c.position, d.Bytes, d.FLOPs, bytes, flops)
				}
			}
		}
		if attention != layers {
			t.Errorf("%d dispatches of attention in %d layers", attention, layers)
		}
		kernels := ByKernel(dev, list)
		if !slices.IsSortedFunc(kernels, func(a, b KernelTime) int { return int(b.Time - a.Time) }) {
			t.Error("the slowest kernel does not come first")
		}
		var dispatches int
		for _, k := range kernels {
			dispatches += k.Dispatches
			if k.Compile <= 0 {
				t.Errorf("kernel %s was compiled in %v", k.Key, k.Compile)
			}
		}
		if dispatches != len(list) || tr.Position() != c.position+c.n {
			t.Errorf("%d dispatches of %d; position %d", dispatches, len(list), tr.Position())
		}
	}
}
