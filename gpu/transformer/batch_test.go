package transformer

import (
	"context"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

func TestTopOfErrors(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	tr, err := New(ctx, dev, modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64)), Options{MaxBatch: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for want, in := range map[string]struct {
		sequences []int
		tokens    []int32
	}{
		"0 tokens for 0 sequences":              {nil, nil},
		"2 tokens for 1 sequences":              {[]int{0}, []int32{1, 1}},
		"sequence 1: it is fed two tokens":      {[]int{1, 1}, []int32{1, 1}},
		"sequence 2: there are 2":               {[]int{2}, []int32{1}},
		"sequence 1: token 0 is -1: the vocabu": {[]int{1}, []int32{-1}},
	} {
		if err := tr.TopOf(ctx, in.sequences, in.tokens, ignored); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", in, err, want)
		}
	}
}

// TestLargeBatch feeds more sequences at once than matvec takes vectors, and compares each one's logits with the CPU
// reference's; with dot4 as well, on a device that has what it needs.
func TestLargeBatch(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	dot4 := graph.Choice{Variants: map[graph.Packing]graph.Variant{{Bits: 4, Block: 32}: {Kernel: graph.LimbsKernel}}}
	t.Run("default", func(t *testing.T) { testLargeBatch(t, dev, src, graph.Choice{}) })
	kernel, err := kernels.Specialize(graph.LimbsKernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	if dev.Features().Runs(kernel) {
		t.Run("dot4", func(t *testing.T) { testLargeBatch(t, dev, src, dot4) })
	}
}

func testLargeBatch(t *testing.T, dev *gpu.Device, src *modeltest.Model, choice graph.Choice) {
	const sequences, steps = 11, 2
	ctx, vocab := context.Background(), src.Described.Vocab
	tr, err := New(ctx, dev, src, Options{MaxBatch: sequences, MaxSeqLen: 32, Chunk: 16, Kernels: choice})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tokens := modeltest.Tokens(sequences+steps+3, vocab)
	all, now := make([]int, sequences), make([]int32, sequences)
	for s := range sequences {
		all[s] = s
		if err := tr.Select(s); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tr.Top(ctx, tokens[s:s+1+s%3]); err != nil {
			t.Fatal(err)
		}
	}
	for step := range steps {
		for s := range sequences {
			now[s] = tokens[s+1+s%3+step]
		}
		if err := tr.TopOf(ctx, all, now, ignored); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: true})
	if err != nil {
		t.Fatal(err)
	}
	for s := range sequences {
		got, err := tr.LogitsOf(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		ref.Reset()
		want := modeltest.Run(t, ref, tokens[s:s+1+s%3+steps])
		if d := modeltest.RelRMS(t, got, want[len(want)-vocab:]); !(d <= 1e-3) {
			t.Errorf("sequence %d: relative RMS %.2g", s, d)
		}
	}
}
