package transformer

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestLimbs feeds a model whose products take limbs, and normalize them, token by token and a few at a time, on a device that has
// what that needs, and compares the logits with the CPU reference's.
func TestLimbs(t *testing.T) {
	dev := gputest.Open(t)
	kernel, err := kernels.Specialize(graph.LimbsKernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !dev.Features().Runs(kernel) {
		return // other devices do
	}
	choice := graph.Choice{Variants: map[graph.Packing]graph.Variant{{Bits: 4, Block: 32}: {Kernel: graph.LimbsKernel}}}
	spec := modeltest.PlainSpec()
	modeltest.Specs["both norms, softcaps, windows, head norms"](&spec)
	src := modeltest.New(t, spec, modeltest.Blocks(4, 32))
	tr, err := New(context.Background(), dev, src, Options{MaxSeqLen: 32, Chunk: 16, Kernels: choice})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: true})
	if err != nil {
		t.Fatal(err)
	}
	ids := modeltest.Tokens(12, spec.Vocab)
	want := modeltest.Run(t, ref, ids)
	for _, pieces := range [][]int{{1}, {3, 5, 4}} {
		if d := modeltest.RelRMS(t, modeltest.Run(t, tr, ids, pieces...), want); !(d <= 1e-3) {
			t.Errorf("pieces %v: relative RMS %.2g", pieces, d)
		}
	}
}
