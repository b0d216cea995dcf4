package convert

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// refused are the families that cannot be rotated: LayerNorm, norms after the branches, or bounded values.
var refused = []string{
	"afmoe", "biogpt", "bloom", "codegen", "cohere", "cohere2", "cohere2_moe", "exaone4", "falcon", "flex_olmo", "hyperclovax", "jais2", "phi-msft", "falcon_grouped", "falcon_serial", "gemma2", "gemma3", "gemma3n", "gemma4", "gemma4_inputs", "gemma4_moe", "gemma4_unified", "glm4", "gpt2", "gpt_bigcode", "gpt_bigcode_heads", "gpt_neo",
	"gpt_neox", "gpt_neox_serial", "gptj", "mpt", "nanochat", "nemotron", "olmo", "olmoe", "olmo2", "olmo3", "opt", "opt_plain", "orion", "phi", "phimoe", "stablelm", "stablelm_parallel", "starcoder2",
}

// TestRotate checks, for a checkpoint of each family, that the rotated model computes the same logits
// from other weights, or that it is refused.
func TestRotate(t *testing.T) {
	dirs, err := os.ReadDir(fixture.Families(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			src, err := hf.Open(fixture.Family(t, d.Name()))
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			r, err := Rotate(src, "lm_head.weight")
			if want := slices.Contains(refused, d.Name()); want != (err != nil) {
				t.Fatalf("refused: %v (%v), want %v", err != nil, err, want)
			}
			if err != nil {
				return
			}
			changed(t, src, r)
			before, after := logits(t, src), logits(t, r)
			var d, size float64
			for i := range before {
				d += math.Pow(float64(before[i])-float64(after[i]), 2)
				size += math.Pow(float64(before[i]), 2)
			}
			if rms := math.Sqrt(d / size); !(rms < 1e-4) {
				t.Errorf("the logits differ by %.2g, relative RMS", rms)
			}
		})
	}
}

// changed checks that no matrix is what it was, but for those between latent vectors and heads, and those of experts that
// do not read the residual stream.
func changed(t *testing.T, src model.Weights, r *Rotated) {
	t.Helper()
	for i, tensor := range r.Tensors() {
		if tensor.Role == model.RoleQUp || tensor.Role == model.RoleKUp || r.narrow(tensor) {
			continue
		}
		n := tensor.Rows() * tensor.Cols()
		a, b := make([]float32, n), make([]float32, n)
		if err := src.Rows(r.Origin(i), 0, tensor.Rows(), a); err != nil {
			t.Fatal(err)
		}
		if err := r.Rows(i, 0, tensor.Rows(), b); err != nil {
			t.Fatal(err)
		}
		if tensor.Quantizable() && slices.Equal(a, b) {
			t.Errorf("%s is what it was", tensor.Name)
		}
		part := make([]float32, tensor.Cols())
		last := tensor.Rows() - 1
		if err := r.Rows(i, last, 1, part); err != nil || !slices.Equal(part, b[last*tensor.Cols():]) {
			t.Errorf("%s: its last row alone is another (%v)", tensor.Name, err)
		}
	}
}

// logits returns those of 40 tokens, [tokens][vocab].
func logits(t *testing.T, w model.Weights) (all []float32) {
	t.Helper()
	ref, err := verify.NewReference(w, verify.ReferenceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, 40)
	for i := range ids {
		ids[i] = int32(i * 37 % w.Spec().Vocab)
	}
	err = ref.Forward(context.Background(), ids, 0, func(_ int, logits []float32) error {
		all = append(all, logits...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
