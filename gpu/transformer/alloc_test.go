package transformer

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// TestNoAllocation generates tokens and counts: a token allocates nothing, makes no bind group, and compiles
// nothing.
func TestNoAllocation(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := newModel(t, plainSpec(), scheme{4, 32})
	tr, err := New(ctx, dev, src, Options{MaxBatch: 3, MaxSeqLen: 512})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tokens, sequences := []int32{1, 2, 3}, []int{2, 0, 1}
	none := func(int, []sample.Candidate, float64) error { return nil }
	for name, token := range map[string]func() error{
		"Top":      func() error { _, _, err := tr.Top(ctx, tokens[:1]); return err },
		"TopBatch": func() error { _, err := tr.TopBatch(ctx, tokens); return err },
		"TopOf":    func() error { return tr.TopOf(ctx, sequences, tokens, none) },
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			for range 3 { // programs are recorded, slices grow
				if err = token(); err != nil {
					t.Fatal(err)
				}
			}
			groups, before := len(tr.groups), dev.Stats()
			n := testing.AllocsPerRun(20, func() {
				if e := token(); e != nil {
					err = e
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if after := dev.Stats(); len(tr.groups) != groups || after.Pipelines != before.Pipelines {
				t.Errorf("%d bind groups and %d pipelines became %d and %d", groups, before.Pipelines, len(tr.groups), after.Pipelines)
			}
			if n > 0 {
				t.Errorf("%v allocations a token", n)
			}
		})
	}
}
