package graph

import (
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// TestTuningOfOtherAttention: what tuning has found for attention_split does not divide the work of ShufflingKernel.
func TestTuningOfOtherAttention(t *testing.T) {
	at := &model.Attention{Heads: 4, KVHeads: 2, HeadDim: 64}
	tuning := Tuning{{"attention_split", AttentionClass(at, 1)}: {"LANES": 64, "QUERIES": 1, "EACH": 2, "SPLIT": 0}}
	for subgroup, want := range map[int]bool{0: true, 4: true, 8: false, 32: false} { // eight threads share a position
		c := newChooser(gputest.Open(t), Choice{Subgroup: subgroup, Tuning: tuning})
		if _, tuned := c.attention(at, 1); tuned != want {
			t.Errorf("subgroups of %d: tuned: %v", subgroup, tuned)
		}
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		subgroup, n, context int
		order, want          Order
	}{
		{0, 1, 9, Single, InOrder},
		{0, 4, 9, Single, InOrder},
		{0, 4, 9, Apart, InOrder},
		{0, 12, 9, Single, Apart},
		{0, 12, 9, Apart, Apart},
		{0, 12, 9, InOrder, InOrder},
		{32, 1, 9000, Single, InOrder},
		{32, 4, 9000, Single, Single},
		{32, 4, 9, Apart, InOrder},
		{32, 12, onePart, Single, Single},
		{32, 12, onePart + 1, Single, Long},
		{32, 12, 9000, Apart, Apart},
		{32, 12, 9000, InOrder, InOrder},
	} {
		g := &Graph{Kit: &Kit{choose: chooser{Choice: Choice{Subgroup: c.subgroup}}}}
		if got := g.Order(c.n, c.context, c.order); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
