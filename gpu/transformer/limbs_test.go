package transformer

import (
	"context"
	"fmt"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestLimbs feeds a model whose products take limbs, and normalize them, token by token and a few at a time, on a device that has
// what that needs, and compares the logits with the CPU reference's.
func TestLimbs(t *testing.T) {
	dev := gputest.Open(t)
	if !runsLimbs(t, dev) {
		return
	}
	spec := modeltest.PlainSpec()
	modeltest.Specs["both norms, softcaps, windows, head norms"](&spec)
	for bits, pieces := range map[int][][]int{4: {{1}, {3, 5, 4}}, 2: {{1}}} {
		t.Run(fmt.Sprintf("int%d", bits), func(t *testing.T) {
			choice := graph.Choice{Variants: map[graph.Packing]graph.Variant{{Bits: bits, Block: 32}: {Kernel: graph.LimbsKernel}}}
			src := modeltest.New(t, spec, modeltest.Blocks(bits, 32))
			tr, err := New(context.Background(), dev, src, Options{MaxSeqLen: 32, Chunk: 16, Kernels: choice})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			ids := modeltest.Tokens(12, spec.Vocab)
			inPieces(t, tr, ids, modeltest.Run(t, newRef(t, src), ids), 1e-3, pieces...)
		})
	}
}
