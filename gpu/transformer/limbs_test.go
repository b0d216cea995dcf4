package transformer

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
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
	ids := modeltest.Tokens(12, spec.Vocab)
	inPieces(t, tr, ids, modeltest.Run(t, newRef(t, src), ids), 1e-3, []int{1}, []int{3, 5, 4})
}
