package transformer

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestMatrices feeds prompts by subgroup matrices, emulated where the device has none, and compares the logits with the CPU
// reference's: of a model whose softmax amplifies errors of its queries, of one whose does not, and of one whose heads are
// of a width for which attention is made by matrices, too. The kernel is one of two for few vectors, and another for many.
func TestMatrices(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	for family, format := range map[string]string{"gpt_neo": "int8", "llama": "int4", "mistral": "int8"} {
		t.Run(family, func(t *testing.T) {
			dir := fixture.Family(t, family)
			b := convertFamily(t, dir, format, format)
			golden, err := verify.ReadGolden(filepath.Join(dir, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			many := slices.Repeat(golden.IDs, 4)[:graph.MaxBatch+10]
			for kernel, ids := range map[string][]int32{graph.FewKernel: golden.IDs, graph.Int8Kernel: golden.IDs, graph.MatrixKernel: many} {
				if kernel != graph.Int8Kernel || family != "mistral" { // its attention is the same
					byMatrices(t, b, ids, kernel, family == "mistral")
				}
			}
			if family == "llama" { // its first layer is in float16: matvec must not prepare a norm for the int8 kernel
				byMatrices(t, b, golden.IDs[:graph.FewTokens], graph.Int8Kernel, false)
			}
		})
	}
}

// byMatrices feeds a model by matrices, with a kernel for its products, and with one for its attention or not.
func byMatrices(t *testing.T, b *bundle.Bundle, ids []int32, kernel string, attention bool) {
	t.Helper()
	dev := gputest.Open(t)
	w, err := graph.Plan(nil, b, dev.Limits().MaxBinding, graph.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	choice := graph.Choice{Matrices: map[graph.Packing]bool{}, Tuning: graph.Tuning{}}
	if kernel == graph.Int8Kernel {
		choice.Int8 = choice.Matrices
	}
	for _, y := range w.Layers {
		for _, m := range []*graph.Matrix{y.QKV, y.O, y.GateUp, y.Down} {
			for _, p := range m.Parts {
				choice.Matrices[p.Packing] = true
				for _, tokens := range []int{16, graph.MaxBatch, len(ids)} {
					class := graph.Shape{Packing: p.Packing, Rows: p.Rows, Width: p.Width, Tokens: tokens}.Class()
					// An emulation takes twice the workgroup memory.
					choice.Tuning[graph.TuningKey{Kernel: graph.MatrixKernel, Class: class}] = graph.Tuned{"HIGH": 2, "WIDE": 2, "DOWN": 1, "ACROSS": 1, "BUFFERS": 1, "DEPTH": 32}
					choice.Tuning[graph.TuningKey{Kernel: graph.FewKernel, Class: class}] = graph.Tuned{"HIGH": 1, "ALONG": 1, "BUFFERS": 1}
				}
			}
		}
	}
	tr, err := New(context.Background(), dev, b, Options{MaxSeqLen: len(ids), Chunk: len(ids), Kernels: choice})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := verify.NewReference(b, verify.ReferenceOptions{KVFloat16: true, MaxSeqLen: len(ids)})
	if err != nil {
		t.Fatal(err)
	}
	got, want := modeltest.Run(t, tr, ids), modeltest.Run(t, ref, ids)
	if d := modeltest.RelRMS(t, got, want); !(d <= 1e-3) || d == 0 {
		t.Errorf("%d tokens: relative RMS %.2g", len(ids), d)
	}
	body, err := tr.Graph().Body(len(ids), 1, graph.InOrder)
	if err != nil {
		t.Fatal(err)
	}
	used := kernelsUsed(body.Passes...)
	if used[kernel] <= used["matmul"] || used["attention_matrix"] > 0 != attention {
		t.Errorf("%d tokens: kernels used: %v", len(ids), used)
	}
}

// TestBatchByInt8 feeds a token of each of several sequences. Heads are multiplied by emulated matrices of int8, for which attention by
// emulated subgroups stores them: on a device that has what codes in order need.
func TestBatchByInt8(t *testing.T) {
	dev := gputest.Open(t)
	if !runsLimbs(t, dev) {
		return
	}
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	gputest.SubstituteShuffles(t, "../../kernels")
	spec, packing := modeltest.PlainSpec(), graph.Packing{Bits: 8, Block: 64}
	spec.Hidden, spec.Vocab, spec.Layers = 64, 64, []int{0}
	spec.RoPE = []model.RoPE{{Dim: 64, InvFreq: model.Frequencies(1e4, 64), Scale: 1}}
	at := &spec.Kinds[0].Attention
	at.Heads, at.KVHeads, at.HeadDim, spec.Kinds[0].MLP.Intermediate = 2, 1, 64, 128
	var packings []block.Packing
	for _, tensor := range spec.Tensors() {
		if tensor.Role == model.RoleO {
			packings = append(packings, modeltest.Blocks(packing.Bits, packing.Block))
		} else {
			packings = append(packings, modeltest.Blocks(4, 32))
		}
	}
	src := modeltest.New(t, spec, packings...)
	choice := graph.Choice{Subgroup: 32, Matrices: map[graph.Packing]bool{packing: true}, Variants: map[graph.Packing]graph.Variant{packing: {Kernel: graph.LimbsKernel}}}
	choice.Int8 = choice.Matrices
	testBatch(t, dev, src, choice, 6)
	tr, err := New(context.Background(), dev, src, Options{MaxBatch: 6, MaxSeqLen: 32, Chunk: 16, Kernels: choice})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	body, err := tr.Graph().Body(6, 1, graph.Single)
	if err != nil {
		t.Fatal(err)
	}
	used := kernelsUsed(body.Passes...)
	if used[graph.Int8Kernel] != 1 || used["split_int8"] > 0 || used[graph.ShufflingKernel] != 1 {
		t.Errorf("kernels used: %v", used)
	}
}
