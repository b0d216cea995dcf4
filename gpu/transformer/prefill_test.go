package transformer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// TestPrefill feeds a prompt chunk by chunk and finds the same candidates as Top does with the whole of it.
func TestPrefill(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
	tr, err := New(ctx, dev, src, Options{Chunk: 8, MaxSeqLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tokens := modeltest.Tokens(29, src.Described.Vocab)
	candidates, sum, err := tr.Top(ctx, tokens)
	if err != nil {
		t.Fatal(err)
	}
	byID := func(c []sample.Candidate) []sample.Candidate { // they come in no order
		return slices.SortedFunc(slices.Values(c), func(a, b sample.Candidate) int { return cmp.Compare(a.ID, b.ID) })
	}
	want := byID(candidates)

	tr.Reset()
	rest, chunks := tokens, 0
	for {
		n, err := tr.Prefill(ctx, rest)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		rest, chunks = rest[n:], chunks+1
		if tr.Position() != len(tokens)-len(rest) {
			t.Fatalf("position %d after %d tokens", tr.Position(), len(tokens)-len(rest))
		}
	}
	got, gotSum, err := tr.Top(ctx, rest)
	if err != nil {
		t.Fatal(err)
	}
	if chunks != 3 || !slices.Equal(byID(got), want) || gotSum != sum {
		t.Errorf("after %d chunks ln Σ exp is %v, at once %v", chunks, gotSum, sum)
	}
	if _, err := tr.Prefill(ctx, []int32{0, -1}); err == nil {
		t.Error("token −1 was fed")
	}
}

// TestCanceledPrompt ends the context after some chunks: the sequence keeps them, and goes on as if nothing had been.
func TestCanceledPrompt(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
	tr, err := New(t.Context(), dev, src, Options{Chunk: 4, MaxSeqLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tokens := modeltest.Tokens(40, src.Described.Vocab)
	want := modeltest.Run(t, tr, tokens)

	tr.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	err = tr.Forward(ctx, tokens, 10, func(i int, _ []float32) error {
		if i == 15 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || tr.Position() != 16 {
		t.Fatalf("position %d, error %v, want 16 and that of the context", tr.Position(), err)
	}
	if _, _, err := tr.Top(ctx, tokens[16:]); !errors.Is(err, context.Canceled) || tr.Position() != 16 {
		t.Fatalf("position %d, error %v, want 16 and that of the context", tr.Position(), err)
	}
	if !slices.Equal(feed(t, tr, tokens[16:]), want[16*src.Described.Vocab:]) {
		t.Error("the logits after a canceled prompt are others")
	}
}
