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
			if err := to.Place(from.Position(), from.Kept(), from.Reached()); err != nil {
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
	for _, p := range [][3]int{{-1, -1}, {17, -1, 17}, {3, 4, 3}, {3, -1, 2}} {
		if e.Place(p[0], p[1], p[2]) == nil {
			t.Errorf("%d tokens, kept at %d, once of %d: taken", p[0], p[1], p[2])
		}
	}
}

// TestRewindTwice goes back as far as it may, again and again: it goes on as before from wherever it may go back to, and what a
// window has overwritten is refused, also after the sequence was taken back.
func TestRewindTwice(t *testing.T) {
	e := engine(t, open(t, fixture.Family(t, "gemma2")), Options{MaxSeqLen: 64})
	e.batch = 4
	ids := text(e.Weights(), 60)
	want := feed(t, e, ids, len(ids))
	back := func(from int) int {
		for from > 0 && e.CanRewind(from-1) {
			from--
		}
		return from
	}
	first := back(len(ids))
	if first == 0 || first >= len(ids)-1 {
		t.Fatalf("it goes back to %d", first)
	}
	if err := e.Rewind(first + 1); err != nil {
		t.Fatal(err)
	}
	if again := back(first + 1); again != first {
		t.Errorf("then to %d, which was overwritten; want %d", again, first)
	}
	if err := e.Rewind(first); err != nil {
		t.Fatal(err)
	}
	got, want := feed(t, e, ids[first:], len(ids)-first), want[first*e.VocabSize():]
	for i, x := range got {
		if d := x - want[i]; d > 1e-5 || d < -1e-5 { // batches begin elsewhere
			t.Fatalf("token %d: a logit of %v, want %v", first+i/e.VocabSize(), x, want[i])
		}
	}
}
