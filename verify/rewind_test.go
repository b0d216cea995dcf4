package verify

import (
	"errors"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// TestKeep goes back to where states were kept, and to the beginning.
func TestKeep(t *testing.T) {
	dir := fixture.Family(t, "lfm2")
	g := readRecorded(t, dir)
	r := reference(t, open(t, dir), ReferenceOptions{MaxSeqLen: len(g.ids)})
	const kept = 13
	want := feed(t, r, g.ids[:kept], kept)
	if err := r.Keep(); err != nil {
		t.Fatal(err)
	}
	want = append(want, feed(t, r, g.ids[kept:], len(g.ids)-kept)...)
	if r.CanRewind(kept-1) || r.Rewind(kept+1) == nil {
		t.Error("it goes back to where nothing was kept")
	}
	for _, p := range []int{kept, kept, 0} {
		if err := r.Rewind(p); err != nil {
			t.Fatal(err)
		}
		if got := feed(t, r, g.ids[p:], len(g.ids)-p); !slices.Equal(got, want[p*r.VocabSize():]) {
			t.Errorf("other logits after rewinding to %d", p)
		}
	}
	if r.CanRewind(kept) {
		t.Error("what was kept is still there after the sequence went back behind it")
	}
}

// TestRewind goes back to positions of which CanRewind says that it may, and computes the same from there; a cache
// that has let go of what is needed is refused. To the beginning it always may.
func TestRewind(t *testing.T) {
	for name, far := range map[string]bool{"llama_bias": true, "gemma2": false} { // the latter has layers with a window
		dir := fixture.Family(t, name)
		g := readRecorded(t, dir)
		tokens := slices.Repeat(g.ids, 1+batchTokens/len(g.ids)+2)
		r := reference(t, open(t, dir), ReferenceOptions{MaxSeqLen: len(tokens)})
		want := feed(t, r, tokens, len(tokens))
		positions := []int{0, 13, 30, len(tokens) - 40, len(tokens) - 1}
		may := 0
		for _, p := range positions {
			if !r.CanRewind(p) {
				if err := r.Rewind(p); err == nil || p == 0 {
					t.Errorf("%s: rewound to %d, where it may not", name, p)
				}
				continue
			}
			may++
			if err := r.Rewind(p); err != nil {
				t.Fatal(err)
			}
			if r.Position() != p {
				t.Fatalf("%s: position %d after rewinding to %d", name, r.Position(), p)
			}
			got := feed(t, r, tokens[p:], len(tokens)-p)
			if !slices.Equal(got, want[p*r.VocabSize():]) {
				t.Errorf("%s: other logits after rewinding to %d", name, p)
			}
		}
		if all := may == len(positions); all != far || may < 2 {
			t.Errorf("%s: it may rewind to %d of %d positions", name, may, len(positions))
		}
		if r.CanRewind(len(tokens)+1) || r.CanRewind(-1) {
			t.Errorf("%s: it may rewind to where it never was", name)
		}
	}
}

// TestRewindAfterError goes back after a batch that failed when its layers had been computed: where their keys took the place of
// what is needed, that is refused.
func TestRewindAfterError(t *testing.T) {
	dir := fixture.Family(t, "gemma2")
	ids := readRecorded(t, dir).ids
	tokens := slices.Repeat(ids, 1+2*batchTokens/len(ids))[:2*batchTokens]
	r := reference(t, open(t, dir), ReferenceOptions{MaxSeqLen: len(tokens)})
	want := feed(t, r, tokens[:batchTokens], batchTokens)
	failed := errors.New("failed")
	if err := r.Forward(t.Context(), tokens[batchTokens:], 0, func(int, []float32) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	const back = batchTokens - 5
	if r.Position() != batchTokens || !r.CanRewind(batchTokens) || r.CanRewind(back) {
		t.Fatalf("position %d, which it may stay at: %t, go back to %d: %t", r.Position(), r.CanRewind(batchTokens), back, r.CanRewind(back))
	}
	if err := r.Rewind(0); err != nil {
		t.Fatal(err)
	}
	if got := feed(t, r, tokens[:batchTokens], batchTokens); !slices.Equal(got, want) {
		t.Error("other logits from the beginning")
	}
}
