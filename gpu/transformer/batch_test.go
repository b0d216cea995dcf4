package transformer

import (
	"context"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
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
		"sequence 1: it is named twice":         {[]int{1, 1}, []int32{1, 1}},
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
	t.Run("groups", func(t *testing.T) { testLargeBatch(t, dev, src, graph.Choice{Batch: true}) })
	if runsLimbs(t, dev) {
		t.Run("dot4", func(t *testing.T) { testLargeBatch(t, dev, src, dot4) })
	}
}

// TestLargeBatchMatrices does the same by subgroup matrices, emulated where the device has none, with and without dot4's order of
// codes.
func TestLargeBatchMatrices(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	spec, packing := modeltest.PlainSpec(), graph.Packing{Bits: 4, Block: 32}
	spec.Hidden, spec.Kinds[0].MLP.Intermediate, spec.Vocab, spec.Layers = 128, 128, 64, []int{0}
	spec.Kinds[0].Attention.Heads, spec.Kinds[0].Attention.KVHeads, spec.Kinds[0].Attention.HeadDim = 4, 2, 32 // whole steps of columns
	src := modeltest.New(t, spec, modeltest.Blocks(4, 32))
	choice := graph.Choice{Matrices: map[graph.Packing]bool{packing: true}, Tuning: graph.Tuning{}}
	for _, rows := range []int{128, 256, spec.Vocab} { // an emulation takes twice the workgroup memory
		key := graph.TuningKey{Kernel: graph.FewKernel, Class: graph.Shape{Packing: packing, Rows: rows, Width: 128, Tokens: 11}.Class()}
		choice.Tuning[key] = graph.Tuned{"HIGH": 1, "ALONG": 1, "BUFFERS": 1}
	}
	testLargeBatch(t, dev, src, choice)
	tr, err := New(context.Background(), dev, src, Options{MaxBatch: 11, MaxSeqLen: 32, Chunk: 16, Kernels: choice})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	body, err := tr.Graph().Body(11, 1, graph.Apart)
	if err != nil {
		t.Fatal(err)
	}
	used := kernelsUsed(body.Passes[1])
	if used[graph.FewKernel] != 4 || used["split_panels"] != 4 || used["norm"]+used["act"] > 0 {
		t.Errorf("kernels used in a layer: %v", used)
	}
}

func testLargeBatch(t *testing.T, dev *gpu.Device, src *modeltest.Model, choice graph.Choice) {
	testBatch(t, dev, src, choice, 11)
}

func testBatch(t *testing.T, dev *gpu.Device, src *modeltest.Model, choice graph.Choice, sequences int) {
	t.Helper()
	const steps = 2
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
	ref := newRef(t, src)
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
