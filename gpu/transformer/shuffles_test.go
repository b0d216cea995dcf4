package transformer

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestShuffles feeds models a few tokens at once and then one after the other, with attention by emulated subgroups, and compares
// the logits with the CPU reference's: with plain attention, cut into parts or not, with a window, with sinks, with scores that
// fall with distance, with normalized queries, and with few interleaved elements rotated.
func TestShuffles(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteShuffles(t, "../../kernels")
	for family, split := range map[string]int{"llama": 0, "mistral": 4, "gpt_oss": 0, "mpt": 0, "qwen3": 8, "gptj": 0} {
		t.Run(family, func(t *testing.T) {
			dir := fixture.Family(t, family)
			b := convertFamily(t, dir, "int8", "int8")
			golden, err := verify.ReadGolden(filepath.Join(dir, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			tr, err := New(context.Background(), dev, b, Options{MaxSeqLen: len(golden.IDs), Kernels: graph.Choice{Subgroup: 32, Split: split}})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			ref, err := verify.NewReference(b, verify.ReferenceOptions{KVFloat16: true, MaxSeqLen: len(golden.IDs)})
			if err != nil {
				t.Fatal(err)
			}
			got, want := modeltest.Run(t, tr, golden.IDs, 5, 1, 1, 1, 1), modeltest.Run(t, ref, golden.IDs)
			if d := modeltest.RelRMS(t, got, want); !(d <= 1e-3) {
				t.Errorf("relative RMS %.2g", d)
			}
			for parts := 1; parts <= 2; parts++ {
				used, joining := kernelsOf(t, tr, 1, parts)
				if used[graph.ShufflingKernel] == 0 || used["attention_token"]+used["attention_split"]+used["attention_join"] > 0 {
					t.Errorf("kernels used for a token in %d parts: %v", parts, used)
				}
				if want := split > 0 && parts > 1; (joining > 0) != want {
					t.Errorf("%d kernels join %d parts of a token themselves: %v", joining, parts, used)
				}
			}
			if used, joining := kernelsOf(t, tr, 3, 8); split > 0 && (used[graph.ShufflingKernel] > 0 && used["attention_join"] == 0 || joining > 0) {
				t.Errorf("kernels used for three tokens in parts: %v, %d join by themselves", used, joining)
			}
		})
	}
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	t.Run("batch", func(t *testing.T) { testLargeBatch(t, dev, src, graph.Choice{Subgroup: 32}) })
	t.Run("small batch", func(t *testing.T) { testBatch(t, dev, src, graph.Choice{Subgroup: 32, Split: 4}, 3) })
}

// kernelsOf returns the kernels of a pass of n tokens that cuts its cached positions into parts, and how many dispatches join these
// themselves.
func kernelsOf(t *testing.T, tr *Transformer, n, parts int) (used map[string]int, joining int) {
	t.Helper()
	body, err := tr.Graph().Body(n, parts, graph.InOrder)
	if err != nil {
		t.Fatal(err)
	}
	used = map[string]int{}
	for _, pass := range body.Passes {
		for _, d := range pass.Dispatches {
			used[d.Kernel.Name]++
			if join, _ := d.Kernel.Constant("JOIN"); join == 1 {
				joining++
			}
		}
	}
	return used, joining
}
