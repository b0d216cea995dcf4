package graph

import (
	"maps"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
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

// TestDivideShuffled: how attention of a token of an 8B shape is divided, and for many shapes that what the last workgroup joins has
// room, is not too much, and that the kernel can be told so.
func TestDivideShuffled(t *testing.T) {
	dev := gputest.Open(t)
	a := arena.New(dev)
	k := NewKit(dev, a, Choice{Subgroup: 32})
	divide := func(at *model.Attention, context int) division {
		g := &Graph{Kit: k, act: activations{parts: a.Reserve("test", 4*maxSplits*at.Heads*(at.HeadDim+2), gpu.Storage)}}
		g.split[1] = splitLength
		r := &layers{Recorder: &Recorder{Kit: k, n: 1}, g: g, parts: g.Parts(1, context)}
		return r.divideShuffled(at, &Cache{Window: 1 << 20})
	}
	for context, want := range map[int]division{
		1: {parts: 1, queries: 1, lanes: 256, each: 4}, 128: {parts: 1, queries: 1, lanes: 256, each: 4},
		129: {parts: 4, queries: 1, lanes: 256, each: 4, joins: true}, 512: {parts: 4, queries: 1, lanes: 256, each: 8, joins: true},
		513: {parts: 8, queries: 2, lanes: 256, each: 8, joins: true}, 1024: {parts: 8, queries: 2, lanes: 256, each: 8, joins: true},
		1025: {parts: 33, queries: 4, lanes: 128, each: 8}, 9000: {parts: 33, queries: 4, lanes: 128, each: 8},
	} {
		if got := divide(&model.Attention{Heads: 32, KVHeads: 8, HeadDim: 128}, context); got != want {
			t.Errorf("context %d: %+v, want %+v", context, got, want)
		}
	}
	for _, dim := range []int{32, 64, 80, 128, 256} {
		for _, heads := range [][2]int{{1, 1}, {4, 2}, {14, 2}, {15, 5}, {32, 8}, {64, 8}, {71, 1}, {128, 128}} {
			at := &model.Attention{Heads: heads[0], KVHeads: heads[1], HeadDim: dim}
			for context := 1; context < 4096; context += 100 {
				d := divide(at, context)
				if words := at.Heads / d.queries * (d.parts*d.queries*(dim+2) + 1); d.joins && words > joinedWords(at) {
					t.Errorf("%d heads of %d, context %d: %+v: %d words in a buffer of %d", at.Heads, dim, context, d, words, joinedWords(at))
				}
				if heads[0]/heads[1]%d.queries != 0 || d.lanes%32 != 0 || d.each > shuffleSpan(at) || d.joins != (d.parts > 1 && context <= joinedPositions) {
					t.Errorf("%d heads of %d, context %d: %+v", at.Heads, dim, context, d)
				}
			}
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

// TestShuffledFits: workgroups of ShufflingKernel take the memory that small devices have, and no more, however their work is divided; and
// those that add up what they turn, what owedTo expects.
func TestShuffledFits(t *testing.T) {
	for _, most := range []int{16 << 10, 32 << 10} {
		for _, size := range []int{8, 16, 32, 64} {
			for dim := 8; dim <= 8*size; dim += 8 {
				for _, lanes := range []int{128, 256, 512} {
					for _, d := range []division{{parts: 1, queries: 1}, {parts: 1, queries: 3}, {parts: 33, queries: 4}, {parts: 16, queries: 2, joins: true}} {
						d.lanes, d.each = lanes, 1
						d.fit(dim, size, most)
						c := d.consts(false)
						maps.Copy(c, kernels.Consts{"DIM": dim, "SPAN": powerOfTwo(dim / 8), "SIZE": size, "HEADS": 12, "KV_HEADS": 1, "JOIN": flag(d.joins)})
						k, err := kernels.Specialize(ShufflingKernel, c)
						if err != nil {
							t.Fatal(err)
						}
						if k.WorkgroupBytes > most || d.bytes(dim, size)-k.WorkgroupBytes > 160 {
							t.Errorf("heads of %d, subgroups of %d: %+v takes %d bytes, not %d, of %d", dim, size, d, k.WorkgroupBytes, d.bytes(dim, size), most)
						}
						c["ADDENDS"] = 3
						if k, err = kernels.Specialize(ShufflingKernel, c); err != nil {
							t.Fatal(err)
						}
						if takes := d.bytes(dim, size) + d.turnedBytes(dim); k.WorkgroupBytes > takes {
							t.Errorf("heads of %d, subgroups of %d: %+v takes %d bytes with addends, not %d", dim, size, d, k.WorkgroupBytes, takes)
						}
					}
				}
			}
		}
	}
}
