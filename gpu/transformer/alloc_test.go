package transformer

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// dawnSubmit is how many small objects a submission may allocate on Dawn, for the arguments of calls. Dispatches allocate nothing.
const dawnSubmit = 16

// TestNoAllocation generates tokens and counts: a token allocates nothing, except for submissions on Dawn, makes no bind group, and
// compiles nothing.
func TestNoAllocation(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	tr, err := New(ctx, dev, src, Options{MaxBatch: 3, MaxSeqLen: 512})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tokens, sequences := []int32{1, 2, 3}, []int{2, 0, 1}
	for name, token := range map[string]func() error{
		"Top":   func() error { _, _, err := tr.Top(ctx, tokens[:1]); return err },
		"TopOf": func() error { return tr.TopOf(ctx, sequences, tokens, ignored) },
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			for range 3 { // programs are recorded, slices grow
				if err = token(); err != nil {
					t.Fatal(err)
				}
			}
			groups, before := tr.arena.Groups(), dev.Stats()
			const runs = 20
			n := testing.AllocsPerRun(runs, func() {
				if e := token(); e != nil {
					err = e
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if after := dev.Stats(); tr.arena.Groups() != groups || after.Pipelines != before.Pipelines {
				t.Errorf("%d bind groups and %d pipelines became %d and %d", groups, before.Pipelines, tr.arena.Groups(), after.Pipelines)
			}
			most := 0.0
			if dev.Info().Engine == gpu.EngineDawn {
				most = dawnSubmit * float64((dev.Stats().Submits-before.Submits)/(runs+1)) // AllocsPerRun makes a run before it counts
			}
			if n > most {
				t.Errorf("%v allocations a token, at most %v are expected", n, most)
			}
		})
	}
}
