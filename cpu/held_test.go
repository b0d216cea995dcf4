package cpu

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// TestHeld takes the state of a sequence out and puts it into another engine, which goes on with the same logits, bit for bit,
// also from where states were kept.
func TestHeld(t *testing.T) {
	for _, family := range []string{"llama", "gemma2", "deepseek_v3", "qwen3_next", "granitemoehybrid", "lfm2", "gemma4_inputs", "nemotron_h"} {
		t.Run(family, func(t *testing.T) {
			w := converted(t, fixture.Family(t, family), "int8", 32)
			ids := text(w, 40)
			from, to := engine(t, w, Options{MaxSeqLen: 64, KVFloat16: true}), engine(t, w, Options{MaxSeqLen: 64, KVFloat16: true})
			feed(t, from, ids[:25], 25)
			if err := from.Keep(); err != nil {
				t.Fatal(err)
			}
			feed(t, from, ids[25:30], 5)
			feed(t, to, ids[7:], 33)
			to.Reset()
			if err := to.Place(from.Position(), from.Kept()); err != nil {
				t.Fatal(err)
			}
			sizes := from.Held()
			if !slices.Equal(sizes, to.Held()) || len(sizes) == 0 {
				t.Fatalf("parts of %v bytes and of %v", sizes, to.Held())
			}
			for i, n := range sizes {
				part := [][]byte{make([]byte, n)}
				if err := from.ReadHeld(t.Context(), i, part); err != nil {
					t.Fatal(err)
				}
				if err := to.WriteHeld(i, part); err != nil {
					t.Fatal(err)
				}
			}
			for _, position := range []int{30, 25} {
				var logits [2][]float32
				for i, e := range []*Engine{from, to} {
					if err := e.Rewind(position); err != nil {
						t.Fatal(err)
					}
					logits[i] = feed(t, e, ids[position:], 40)
				}
				if !slices.Equal(logits[0], logits[1]) {
					t.Errorf("from position %d on, it goes on otherwise", position)
				}
			}
		})
	}
	e := engine(t, open(t, fixture.Family(t, "llama")), Options{MaxSeqLen: 16})
	for _, p := range [][2]int{{-1, -1}, {17, -1}, {3, 4}} {
		if e.Place(p[0], p[1]) == nil {
			t.Errorf("%d tokens, kept at %d: taken", p[0], p[1])
		}
	}
}
