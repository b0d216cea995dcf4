package transformer

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestWeights has two Transformers share weights: they compute what one with weights of its own does, and
// only the last to go takes the weights along.
func TestWeights(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	tokens := modeltest.Tokens(20, src.Described.Vocab)
	own, err := New(ctx, dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := modeltest.Run(t, own, tokens)
	own.Close()

	w, err := LoadWeights(ctx, dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	alone := dev.Memory()
	if alone[purposeKV] != 0 || alone[purposeWeights] == 0 {
		t.Errorf("weights alone take %v", alone)
	}
	for _, o := range []Options{{}, {MaxSeqLen: 64, Chunk: 8, MaxBatch: 2}} {
		tr, err := w.New(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if d := modeltest.RelRMS(t, modeltest.Run(t, tr, tokens), want); !(d <= modeltest.MaxRelRMS) {
			t.Errorf("%+v: relative RMS %.2g", o, d)
		}
		need := tr.Need()
		if need[purposeLoading] != 0 || need[purposeKV] == 0 {
			t.Errorf("%+v: is said to need %v", o, need)
		}
		tr.Close()
		if got := dev.Memory()[purposeWeights]; got != alone[purposeWeights] {
			t.Errorf("%d bytes of weights after a Transformer was closed, %d before it was made", got, alone[purposeWeights])
		}
	}
	if _, err := w.New(ctx, Options{MaxSeqLen: -1}); err == nil {
		t.Error("a context of −1 positions was made")
	}
	w.Close()
	if m := dev.Memory(); left(m) {
		t.Errorf("left on the device: %v", m)
	}
}

// TestCanRewind goes back to each position of which CanRewind says that it may, and computes the same
// from there.
func TestCanRewind(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for name, window := range map[string]int{"whole": 0, "window": 6} {
		t.Run(name, func(t *testing.T) {
			s := modeltest.PlainSpec()
			for i := range s.Kinds {
				s.Kinds[i].Attention.Window = window
			}
			src := modeltest.New(t, s, modeltest.Floats(16))
			tr, err := New(ctx, dev, src, Options{Chunk: 8, MaxSeqLen: 64, KVBits: 32})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			tokens := modeltest.Tokens(40, s.Vocab)
			want := modeltest.Run(t, tr, tokens)
			may := 0
			for p := range len(tokens) {
				if p == 0 || !tr.CanRewind(p) {
					continue
				}
				may++
				if err := tr.Rewind(p); err != nil {
					t.Fatal(err)
				}
				if d := modeltest.RelRMS(t, feed(t, tr, tokens[p:]), want[p*s.Vocab:]); !(d <= modeltest.MaxRelRMS) {
					t.Errorf("from position %d on: relative RMS %.2g", p, d)
				}
			}
			if window == 0 && may != len(tokens)-1 {
				t.Errorf("a cache that holds all lets one go back to %d positions of %d", may, len(tokens)-1)
			}
			if window > 0 && (may == 0 || tr.CanRewind(3)) {
				t.Errorf("a cache of %d positions lets one go back to %d positions, to 3: %t", tr.graph.Cache(0).Cap, may, tr.CanRewind(3))
			}
			if tr.CanRewind(len(tokens) + 1) {
				t.Error("one may go forward")
			}
		})
	}
}

// feed feeds tokens and returns all their logits.
func feed(t *testing.T, f modeltest.Forwarder, tokens []int32) []float32 {
	t.Helper()
	var all []float32
	err := f.Forward(t.Context(), tokens, 0, func(_ int, logits []float32) error {
		all = append(all, logits...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
