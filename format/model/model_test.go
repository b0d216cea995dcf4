package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// small is a valid Spec with one of everything that Validate looks at.
func small() *Spec {
	return &Spec{
		Vocab: 10, Hidden: 8, MaxPositions: 16, EmbedScale: 1, LogitScale: 1,
		Norm: Norm{Kind: RMSNorm, Eps: 1e-5},
		RoPE: []RoPE{{Dim: 4, InvFreq: []float32{1, 0.1}, Scale: 1}},
		Kinds: []Layer{
			{PreNorm: true, ResidualScale: 1, Attention: Attention{Heads: 4, KVHeads: 2, HeadDim: 4}, MLP: MLP{Gated: true, Activation: SiLU, Intermediate: 12}},
			{PostNorm: true, ResidualScale: 1, Attention: Attention{Heads: 4, KVHeads: 4, HeadDim: 4, RoPE: -1, QKNorm: QKNormProjection, QKVBias: true, OutBias: true}, MLP: MLP{Activation: GELU, Intermediate: 6, Bias: true, Routing: Routing{Experts: 3, TopK: 2}, Shared: 5}},
		},
		Layers: []int{0, 1, 0},
	}
}

func TestTensors(t *testing.T) {
	var have []string
	for _, x := range small().Tensors() {
		if x.Layer != 0 {
			have = append(have, string(x.Role))
		}
	}
	want := strings.Fields(`embed
		q k v q_bias k_bias v_bias q_norm k_norm o o_bias post_attn_norm
		router up up_bias down down_bias shared_up shared_down post_mlp_norm
		attn_norm q k v o mlp_norm gate up down
		final_norm head`)
	if !slices.Equal(have, want) {
		t.Errorf("tensors\n%v, want\n%v", have, want)
	}
	for _, x := range small().Tensors() {
		if x.Role == RoleDown && x.Layer == 1 && (!slices.Equal(x.Shape, []int{3, 8, 6}) || x.Rows() != 24 || x.Cols() != 6) {
			t.Errorf("down of experts is %v, %d rows, %d columns", x.Shape, x.Rows(), x.Cols())
		}
	}
}

func TestValidate(t *testing.T) {
	if err := small().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		damage func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Vocab = 0 }, "vocab: 0"},
		{func(s *Spec) { s.Hidden = 1 << 30 }, "hidden: 1073741824"},
		{func(s *Spec) { s.Positions = -1 }, "positions: -1"},
		{func(s *Spec) { s.ContextLimit = -1 }, "context_limit: -1"},
		{func(s *Spec) { s.Layers = nil }, "layers: 0"},
		{func(s *Spec) { s.Layers = make([]int, 5000) }, "layers: 5000"},
		{func(s *Spec) { s.Layers[1] = 2 }, "layer 1: kind 2 of 2"},
		{func(s *Spec) { s.Norm.Kind = "batch" }, `unknown kind "batch"`},
		{func(s *Spec) { s.RoPE[0].Dim = 6 }, "2 frequencies for 6"},
		{func(s *Spec) { s.RoPE[0].LongFrom = 8 }, "0 long frequencies, want 2"},
		{func(s *Spec) { s.RoPE[0].LongFrom = -8 }, "long_from -8"},
		{func(s *Spec) { s.RoPE[0].LongFrom, s.RoPE[0].DynamicFactor = 8, 2 }, "dynamic base 0"},
		{func(s *Spec) { s.Kinds[0].Attention.Heads = 0 }, "heads: 0"},
		{func(s *Spec) { s.Kinds[0].Attention.Heads, s.Kinds[0].Attention.HeadDim = 1<<20, 1<<20 }, "heads·head_dim"},
		{func(s *Spec) { s.Kinds[0].Attention.KVHeads = 3 }, "4 heads are not a multiple of 3"},
		{func(s *Spec) { s.Kinds[0].Attention.HeadDim = 2 }, "rope rotates 4 elements of a head of 2"},
		{func(s *Spec) { s.Kinds[0].Attention.RoPE = 1 }, "rope 1 of 1"},
		{func(s *Spec) { s.Kinds[0].Attention.Window = -1 }, "window -1"},
		{func(s *Spec) { s.Kinds[0].Attention.QKNorm = "x" }, `unknown qk_norm "x"`},
		{func(s *Spec) { s.Kinds[0].MLP.Activation = "x" }, `unknown activation "x"`},
		{func(s *Spec) { s.Kinds[0].MLP.Intermediate = 0 }, "intermediate: 0"},
		{func(s *Spec) { s.Kinds[0].MLP.Shared = 4 }, "without experts"},
		{func(s *Spec) { s.Kinds[1].MLP.Shared = -4 }, "shared: -4"},
		{func(s *Spec) { s.Kinds[1].MLP.TopK = 4 }, "top_k: 4 of 3"},
		{func(s *Spec) { s.Kinds[1].MLP.Experts = 5000 }, "experts: 5000"},
	} {
		s := small()
		c.damage(s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestRoPEFor(t *testing.T) {
	long := RoPE{Dim: 2, InvFreq: []float32{1}, Scale: 2, LongFrom: 8, LongInvFreq: []float32{3}, LongScale: 4}
	for context, want := range map[int][2]float32{1: {1, 2}, 8: {1, 2}, 9: {3, 4}} {
		if freq, scale := long.For(context); freq[0] != want[0] || scale != want[1] {
			t.Errorf("long at %d: %v %g, want %v", context, freq, scale, want)
		}
	}
	dynamic := RoPE{Dim: 4, InvFreq: Frequencies(100, 4), Scale: 1, LongFrom: 8, DynamicBase: 100, DynamicFactor: 2}
	if freq, _ := dynamic.For(8); !slices.Equal(freq, []float32{1, 0.1}) {
		t.Errorf("dynamic at 8: %v", freq)
	}
	// base 100·(2·16/8 − 1)^(4/2) = 900, so the second frequency is 1/30
	if freq, _ := dynamic.For(16); freq[0] != 1 || math.Abs(float64(freq[1])-1.0/30) > 1e-8 {
		t.Errorf("dynamic at 16: %v", freq)
	}
}

func TestContext(t *testing.T) {
	for trained, want := range map[int][2]int{0: {4096, 4096}, 128: {128, 128}, 4096: {4096, 4096}, 131072: {131072, 4096}} {
		s := &Spec{MaxPositions: trained}
		if got := [2]int{s.TrainedContext(), s.Context()}; got != want {
			t.Errorf("trained for %d positions: %v, want %v", trained, got, want)
		}
	}
}
