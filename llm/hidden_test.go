package llm_test

import (
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestHidden compares the hidden states after the final norm with those of the reference, fed in two parts.
func TestHidden(t *testing.T) {
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64))
	on, err := cpu.New(src, cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	prompt := make([]int32, 70)
	for i := range prompt {
		prompt[i] = int32(i*7) % int32(src.Spec().Vocab)
	}
	var want []float32
	ref, err := verify.NewReference(src, verify.ReferenceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref.SetTrace(func(layer int, hidden []float32) {
		if layer == len(src.Spec().Layers)+1 {
			want = append(want, hidden...)
		}
	})
	if err := ref.Forward(t.Context(), prompt, len(prompt)-1, func(int, []float32) error { return nil }); err != nil {
		t.Fatal(err)
	}
	width := src.Spec().Hidden
	for name, e := range map[string]llm.Engine{"GPU": onGPU(t, transformer.Options{}), "CPU": llm.OnCPU(on)} {
		var got []float32
		for _, part := range [][]int32{prompt[:33], prompt[33:]} {
			err := e.Hidden(t.Context(), part, 3, func(i int, hidden []float32) error {
				if len(hidden) != width || i < 3 {
					t.Fatalf("%s: %d numbers of token %d", name, len(hidden), i)
				}
				got = append(got, hidden...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		from := func(i int) []float32 { return want[i*width:] }
		errors, sum := 0.0, 0.0
		for i, w := range slices.Concat(from(3)[:30*width], from(36)) {
			errors += math.Pow(float64(got[i]-w), 2)
			sum += math.Pow(float64(w), 2)
		}
		if rms := math.Sqrt(errors / sum); !(rms < 1e-3) {
			t.Errorf("%s: relative RMS %g", name, rms)
		}
	}
}
