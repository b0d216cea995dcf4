package transformer

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestMatrices feeds prompts by subgroup matrices, emulated where the device has none, and compares the logits with the CPU
// reference's: of a model whose softmax amplifies errors of its queries, of one whose does not, and of one whose heads are
// of a width for which attention is made by matrices, too.
func TestMatrices(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	for family, format := range map[string]string{"gpt_neo": "int8", "llama": "int4", "mistral": "int8"} {
		t.Run(family, func(t *testing.T) {
			dir := filepath.Join(families, family)
			b := convertFamily(t, dir, format, format)
			golden, err := verify.ReadGolden(filepath.Join(dir, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			w, err := graph.Plan(nil, b, dev.Limits().MaxBinding, graph.Choice{})
			if err != nil {
				t.Fatal(err)
			}
			choice := graph.Choice{Matrices: map[graph.Packing]bool{}, Tuning: graph.Tuning{}}
			for _, y := range w.Layers {
				for _, m := range []*graph.Matrix{y.QKV, y.O, y.GateUp, y.Down} {
					for _, p := range m.Parts {
						choice.Matrices[p.Packing] = true
						// An emulation takes twice the workgroup memory.
						choice.Tuning[graph.TuningKey{
							Kernel: graph.MatrixKernel, Class: graph.Shape{Packing: p.Packing, Rows: p.Rows, Width: p.Width, Tokens: len(golden.IDs)}.Class(),
						}] = graph.Tuned{"HIGH": 2, "WIDE": 2, "DOWN": 1, "ACROSS": 1, "BUFFERS": 1}
					}
				}
			}
			tr, err := New(context.Background(), dev, b, Options{MaxSeqLen: len(golden.IDs), Chunk: 64, Kernels: choice})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			ref, err := verify.NewReference(b, verify.ReferenceOptions{KVFloat16: true, MaxSeqLen: len(golden.IDs)})
			if err != nil {
				t.Fatal(err)
			}
			got, want := modeltest.Run(t, tr, golden.IDs), modeltest.Run(t, ref, golden.IDs)
			if d := modeltest.RelRMS(t, got, want); !(d <= 1e-3) || d == 0 {
				t.Errorf("relative RMS %.2g", d)
			}
			body, err := tr.Graph().Body(len(golden.IDs), 1, false)
			if err != nil {
				t.Fatal(err)
			}
			used := map[string]int{}
			for _, pass := range body.Passes {
				for _, d := range pass.Dispatches {
					used[d.Kernel.Name]++
				}
			}
			if used[graph.MatrixKernel] <= used["matmul"] {
				t.Errorf("kernels used: %v", used)
			}
			if byMatrices := used["attention_matrix"] > 0; byMatrices != (family == "mistral") {
				t.Errorf("attention by matrices: %t; kernels used: %v", byMatrices, used)
			}
		})
	}
}
