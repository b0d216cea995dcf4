package transformer

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// recurrent are the made-up models whose layers remember by states.
var recurrent = []string{"convolutions with biases, gated heads", "memories by the delta rule", "memories of a state space"}

// TestStatesOfBatch feeds two sequences by turns and together, in the first and last of three slots, and compares each one's
// logits with those that it has alone.
func TestStatesOfBatch(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, name := range recurrent {
		t.Run(name, func(t *testing.T) {
			s := modeltest.PlainSpec()
			modeltest.Specs[name](&s)
			src := modeltest.New(t, s, modeltest.Blocks(8, 64), modeltest.Floats(16))
			tr, err := New(ctx, dev, src, Options{MaxBatch: 3, MaxSeqLen: 48, Chunk: 16})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			tokens := modeltest.Tokens(40, s.Vocab)
			texts := map[int][]int32{0: tokens[:22], 2: tokens[15:]}
			at := map[int]int{}
			for _, piece := range []struct{ sequence, tokens int }{{0, 12}, {2, 3}, {0, 6}, {2, 18}} {
				if err := tr.Select(piece.sequence); err != nil {
					t.Fatal(err)
				}
				from := at[piece.sequence]
				at[piece.sequence] += piece.tokens
				if _, _, err := tr.Top(ctx, texts[piece.sequence][from:at[piece.sequence]]); err != nil {
					t.Fatal(err)
				}
			}
			for range 4 {
				both := []int32{texts[0][at[0]], texts[2][at[2]]}
				if err := tr.TopOf(ctx, []int{0, 2}, both, ignored); err != nil {
					t.Fatal(err)
				}
				at[0]++
				at[2]++
			}
			ref := newRef(t, src)
			for i, sequence := range []int{0, 2} {
				got, err := tr.LogitsOf(ctx, i)
				if err != nil {
					t.Fatal(err)
				}
				ref.Reset()
				want := modeltest.Run(t, ref, texts[sequence][:at[sequence]])
				if d := modeltest.RelRMS(t, got, want[len(want)-s.Vocab:]); !(d <= 1e-3) {
					t.Errorf("sequence %d: relative RMS %.2g", sequence, d)
				}
			}
		})
	}
}

// TestKeep goes back to where states were kept, to the beginning, and to nowhere else, whatever another sequence does.
func TestKeep(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, name := range recurrent {
		t.Run(name, func(t *testing.T) {
			s := modeltest.PlainSpec()
			modeltest.Specs[name](&s)
			src := modeltest.New(t, s, modeltest.Floats(16))
			tr, err := New(ctx, dev, src, Options{MaxBatch: 2, Chunk: 8, MaxSeqLen: 64, KVBits: 32})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			if err := tr.Select(1); err != nil {
				t.Fatal(err)
			}
			const kept = 11
			tokens := modeltest.Tokens(30, s.Vocab)
			want := feed(t, tr, tokens[:kept])
			if err := tr.Keep(); err != nil {
				t.Fatal(err)
			}
			want = append(want, feed(t, tr, tokens[kept:])...)
			for p := range len(tokens) + 2 {
				if may := p == 0 || p == kept || p == len(tokens); tr.CanRewind(p) != may {
					t.Errorf("position %d: CanRewind says %t", p, !may)
				} else if !may && tr.Rewind(p) == nil {
					t.Errorf("it goes back to position %d", p)
				}
			}
			if err := tr.Select(0); err != nil {
				t.Fatal(err)
			}
			feed(t, tr, tokens[5:20])
			if err := tr.Keep(); err != nil {
				t.Fatal(err)
			}
			if err := tr.Select(1); err != nil {
				t.Fatal(err)
			}
			for _, p := range []int{kept, kept, 0} {
				if err := tr.Rewind(p); err != nil {
					t.Fatal(err)
				}
				if d := modeltest.RelRMS(t, feed(t, tr, tokens[p:]), want[p*s.Vocab:]); !(d <= modeltest.MaxRelRMS) {
					t.Errorf("from position %d on: relative RMS %.2g", p, d)
				}
			}
			if tr.CanRewind(kept) {
				t.Error("what was kept is still there after the sequence went back behind it")
			}
		})
	}
}
