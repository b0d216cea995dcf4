package transformer

import (
	"context"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestAddends feeds a token of each of several sequences to models whose products leave their results in parts, which attention and what
// normalizes the residual stream add up, or a dispatch where something else reads them first. Matrices and subgroups are emulated where
// the device has none.
func TestAddends(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	if dev.Features().SubgroupSize < 32 {
		gputest.SubstituteShuffles(t, "../../kernels")
	}
	attention, split := "attention_subgroups", "split_int8"
	for _, c := range []struct {
		name   string
		change func(s *model.Spec)
		run    bool     // else products are only recorded
		added  []string // what adds up parts in two layers
	}{
		{"queries, keys and values", wideInput, false, []string{attention, attention}},
		{"the same with biases", func(s *model.Spec) {
			wideInput(s)
			s.Kinds[0].Attention.QKVBias = true
		}, true, []string{attention, attention}},
		{"the same with norms", func(s *model.Spec) {
			wideInput(s)
			s.Kinds[0].Attention.QKNorm = model.QKNormHead
		}, false, nil},
		{"the same with gates", func(s *model.Spec) {
			wideInput(s)
			s.Kinds[0].Attention.Gated = true
		}, false, nil},
		{"outputs of heads, and of an MLP", wideInner, false, []string{split, split, split}},
		{"the same with biases, scaled", func(s *model.Spec) {
			wideInner(s)
			k := &s.Kinds[0]
			k.ResidualScale, k.Attention.OutBias, k.MLP.Bias = 0.3, true, true
		}, true, []string{split, split, split}},
		{"the same normalized", func(s *model.Spec) {
			wideInner(s)
			s.Kinds[0].PostNorm = true
		}, false, nil},
		{"branches side by side", func(s *model.Spec) {
			wideInner(s)
			s.Kinds[0].Parallel = true
		}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, packing := modeltest.PlainSpec(), graph.Packing{Bits: 4, Block: 128}
			spec.RoPE = []model.RoPE{{Dim: 64, InvFreq: model.Frequencies(1e4, 64), Scale: 1}}
			c.change(&spec)
			src := modeltest.New(t, spec, modeltest.Blocks(packing.Bits, packing.Block))
			choice := graph.Choice{Subgroup: 32, Matrices: map[graph.Packing]bool{packing: true}}
			choice.Int8 = choice.Matrices
			const sequences = 18
			if c.run {
				testBatch(t, dev, src, choice, sequences)
			}
			tr, err := New(context.Background(), dev, src, Options{MaxBatch: sequences, MaxSeqLen: 32, Chunk: 16, Kernels: choice})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			body, err := tr.Graph().Body(sequences, 1, graph.Single)
			if err != nil {
				t.Fatal(err)
			}
			var added []string
			for _, pass := range body.Passes {
				for _, d := range pass.Dispatches {
					if n, _ := d.Kernel.Constant("ADDENDS"); n > 0 || d.Kernel.Name == "matvec_join" {
						added = append(added, d.Kernel.Name)
					}
				}
			}
			if !slices.Equal(added, c.added) {
				t.Errorf("parts are added up by %q, want %q", added, c.added)
			}
		})
	}
}

// wideInput makes a model whose queries, keys and values are made of many columns.
func wideInput(s *model.Spec) {
	at := &s.Kinds[0].Attention
	s.Hidden, at.Heads, at.KVHeads, at.HeadDim, s.Kinds[0].MLP.Intermediate, s.Vocab = 2048, 4, 2, 64, 128, 64
}

// wideInner makes a model whose heads and MLP have many outputs.
func wideInner(s *model.Spec) {
	at := &s.Kinds[0].Attention
	s.Hidden, at.Heads, at.KVHeads, at.HeadDim, s.Kinds[0].MLP.Intermediate, s.Vocab = 256, 32, 2, 64, 2048, 64
}
