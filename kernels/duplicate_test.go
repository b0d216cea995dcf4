package kernels_test

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestDuplicate copies some positions of one sequence of four to another, and touches nothing else.
func TestDuplicate(t *testing.T) {
	const sequences, heads, positions, words = 4, 3, 50, 10
	for _, n := range []int{0, 1, 37, positions, 1000} {
		for _, pair := range [][2]int{{2, 0}, {1, 3}} {
			cache := make([]uint32, sequences*heads*positions*words)
			for i := range cache {
				cache[i] = uint32(i)
			}
			want := slices.Clone(cache)
			for h := range heads {
				head := func(sequence int) []uint32 {
					return want[(sequence*heads+h)*positions*words:][:min(n, positions)*words]
				}
				copy(head(pair[1]), head(pair[0]))
			}
			c := kernels.Consts{"HEADS": heads, "CAP": positions, "WORDS": words, "GROUPS": 2}
			launch(t, "duplicate", c, 2, heads, cache, []uint32{uint32(pair[0]), uint32(pair[1]), uint32(n), 0})
			if !slices.Equal(cache, want) {
				t.Errorf("%d positions of sequence %d to %d: other words than these were copied", n, pair[0], pair[1])
			}
		}
	}
}
