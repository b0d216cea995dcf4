package transformer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestTopOfPrompts feeds prompts of different lengths to several sequences, pass by pass, of which one has tokens already, and
// compares the logits with the CPU reference's.
func TestTopOfPrompts(t *testing.T) {
	dev := gputest.Open(t)
	for _, name := range kernels.Sorted(modeltest.Specs) {
		s := modeltest.PlainSpec()
		modeltest.Specs[name](&s)
		t.Run(name, func(t *testing.T) { testPrompts(t, dev, modeltest.New(t, s, modeltest.Blocks(8, 64)), 16) })
	}
	t.Run("float32", func(t *testing.T) {
		testPrompts(t, dev, modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64)), 32)
	})
}

func testPrompts(t *testing.T, dev *gpu.Device, src *modeltest.Model, kv int) {
	ctx, vocab := t.Context(), src.Described.Vocab
	tr, err := New(ctx, dev, src, Options{MaxBatch: 5, MaxSeqLen: 64, Chunk: 32, KVBits: kv})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	all := modeltest.Tokens(60, vocab)
	texts := [][]int32{3: all[2:11], 0: all[:8], 4: all[7:28], 1: all[:50], 2: all[3:5]}
	if err := tr.Select(0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.Top(ctx, texts[0][:5]); err != nil {
		t.Fatal(err)
	}
	waiting, rest := []int{3, 0, 4, 1, 2}, slices.Clone(texts)
	rest[0] = rest[0][5:]
	var passes []string
	for len(waiting) > 0 {
		var now [][]int32
		for _, s := range waiting {
			now = append(now, rest[s])
		}
		got := map[int][]float32{}
		fed, err := tr.TopOfPrompts(ctx, waiting, now, func(i int, candidates []sample.Candidate, _ float64) (err error) {
			got[waiting[i]], err = tr.LogitsOf(ctx, i)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		passes = append(passes, fmt.Sprint(fed))
		for i, n := range fed {
			rest[waiting[i]] = rest[waiting[i]][n:]
		}
		for s, logits := range got {
			compareWith(t, src, kv, texts[s], logits)
		}
		waiting = slices.DeleteFunc(waiting, func(s int) bool {
			if (len(rest[s]) == 0) != (got[s] != nil) {
				t.Fatalf("sequence %d: %d tokens are left, logits: %t", s, len(rest[s]), got[s] != nil)
			}
			return len(rest[s]) == 0
		})
	}
	if want := "[9 3 20] [1 31] [19 2]"; !src.Described.Recurrent() && tr.Graph().Cache(0).Cap >= 64 && strings.Join(passes, " ") != want {
		t.Errorf("passes of %v tokens, want %s", passes, want)
	}
	next := slices.Repeat([]int32{all[59]}, 5)
	if err := tr.TopOf(ctx, []int{0, 1, 2, 3, 4}, next, ignored); err != nil {
		t.Fatal(err)
	}
	for s := range texts {
		logits, err := tr.LogitsOf(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		compareWith(t, src, kv, append(slices.Clone(texts[s]), all[59]), logits)
	}
}

// compareWith compares the logits of the last token with the reference's.
func compareWith(t *testing.T, src *modeltest.Model, kv int, tokens []int32, got []float32) {
	t.Helper()
	ref := newRef(t, src)
	want := modeltest.Run(t, ref, tokens)
	bound := 1e-3
	if kv == 32 { // the reference rounds keys and values to float16
		bound = 5e-3
	}
	if d := modeltest.RelRMS(t, got, want[len(want)-src.Described.Vocab:]); !(d <= bound) {
		t.Errorf("%d tokens: relative RMS %.2g", len(tokens), d)
	}
}

func TestTopOfPromptsErrors(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	tr, err := New(ctx, dev, modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64)), Options{MaxBatch: 3, Chunk: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	one := []int32{1, 2}
	for want, in := range map[string]struct {
		sequences []int
		tokens    [][]int32
	}{
		"0 prompts for 0 sequences":             {nil, nil},
		"1 prompts for 2 sequences":             {[]int{0, 1}, [][]int32{one}},
		"sequence 3: there are 3":               {[]int{3}, [][]int32{one}},
		"sequence 0: no tokens":                 {[]int{0}, [][]int32{{}}},
		"token 1 is -1: the vocabulary has 211": {[]int{0}, [][]int32{{1, -1}}},
	} {
		if _, err := tr.TopOfPrompts(ctx, in.sequences, in.tokens, ignored); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", in, err, want)
		}
	}
	// What cannot be fed waits, and fails when it comes first.
	for _, in := range []struct {
		sequences []int
		second    []int32
	}{{[]int{0, 0}, one}, {[]int{0, 1}, []int32{-1}}} {
		fed, err := tr.TopOfPrompts(ctx, in.sequences, [][]int32{one, in.second}, ignored)
		if err != nil || !slices.Equal(fed, []int{2}) {
			t.Errorf("sequences %v: fed %v, error %v", in.sequences, fed, err)
		}
	}
}

// TestPromptsRead leaves a prompt behind a long text for a pass of its own, which shares keys among its tokens.
func TestPromptsRead(t *testing.T) {
	dev := gputest.Open(t)
	s := modeltest.PlainSpec()
	tr, err := New(t.Context(), dev, modeltest.New(t, s, modeltest.Blocks(8, 64)), Options{MaxBatch: 2, Chunk: 64, MaxSeqLen: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tr.sequences.positions[1] = mostRead/40 + 1
	prompts := [][]int32{modeltest.Tokens(8, s.Vocab), modeltest.Tokens(40, s.Vocab)}
	if fed, err := tr.share([]int{0, 1}, prompts); err != nil || !slices.Equal(fed, []int{8}) {
		t.Errorf("fed %v, error %v, want the first alone", fed, err)
	}
	prompts[1] = prompts[1][:20]
	if fed, err := tr.share([]int{0, 1}, prompts); err != nil || !slices.Equal(fed, []int{8, 20}) {
		t.Errorf("fed %v, error %v, want both", fed, err)
	}
}
