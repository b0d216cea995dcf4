package transformer

import (
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// runsLimbs reports whether a device has what products of limbs need. Where it has not, their tests have nothing to run: others do.
func runsLimbs(t *testing.T, dev *gpu.Device) bool {
	t.Helper()
	k, err := kernels.Specialize(graph.LimbsKernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dev.Features().Runs(k)
}

// kernelsUsed counts the dispatches of passes by kernel.
func kernelsUsed(passes ...*graph.Pass) map[string]int {
	used := map[string]int{}
	for _, pass := range passes {
		for _, d := range pass.Dispatches {
			used[d.Kernel.Name]++
		}
	}
	return used
}
