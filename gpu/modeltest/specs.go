package modeltest

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// frequenciesOf returns the inverse frequencies of n rotated elements.
func frequenciesOf(n int) []float32 {
	f := make([]float32, n/2)
	for i := range f {
		f[i] = float32(math.Pow(10000, -2*float64(i)/float64(n)))
	}
	return f
}

// PlainSpec is a small Llama of odd sizes.
func PlainSpec() model.Spec {
	return model.Spec{
		Family: "test", Vocab: 211, Hidden: 72, MaxPositions: 128, EmbedScale: 1, LogitScale: 1,
		Norm: model.Norm{Kind: model.RMSNorm, Eps: 1e-5},
		RoPE: []model.RoPE{{Dim: 24, InvFreq: frequenciesOf(24), Scale: 1}},
		Kinds: []model.Layer{{
			PreNorm: true, ResidualScale: 1,
			Attention: model.Attention{Heads: 6, KVHeads: 2, HeadDim: 24, Scale: 0.2},
			MLP:       model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 100},
		}},
		Layers: []int{0, 0},
	}
}

// Specs are models that between them switch on all that a Spec can say.
var Specs = map[string]func(s *model.Spec){
	"plain": func(*model.Spec) {},
	"tied, biases, multipliers": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.TiedHead, s.EmbedScale, s.LogitScale, k.ResidualScale = true, 3, 0.25, 0.3
		k.Attention.QKVBias, k.Attention.OutBias, k.MLP.Bias = true, true, true
	},
	"learned positions, LayerNorm, GELU, head bias": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.Positions, s.RoPE, s.Norm, s.HeadBias = 128, nil, model.Norm{Kind: model.LayerNorm, Eps: 1e-5, Bias: true}, true
		k.Attention.RoPE, k.MLP = -1, model.MLP{Activation: model.GELU, Intermediate: 100, Bias: true}
	},
	"parallel, partial rotation, GELU by tanh": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.RoPE[0] = model.RoPE{Dim: 8, InvFreq: frequenciesOf(8), Scale: 1}
		k.Parallel, k.MLP.Activation = true, model.GELUTanh
	},
	"one norm for both branches, ALiBi, squared ReLU": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.Norm = model.Norm{Kind: model.LayerNorm, Eps: 1e-5}
		k.Parallel, k.OneNorm, k.MLP = true, true, model.MLP{Activation: model.ReLU2, Intermediate: 100}
		k.Attention.RoPE, k.Attention.ALiBi, k.Attention.ALiBiScale, k.Attention.QKNorm = -1, 8, 0.4, model.QKNormHeads
	},
	"a normalized embedding, norms without weights, bounded queries and keys, xIELU": func(s *model.Spec) {
		s.EmbedNorm, s.Kinds[0].MLP = true, model.MLP{Activation: model.XIELU, Intermediate: 100}
		s.Norm = model.Norm{Kind: model.LayerNorm, Eps: 1e-5, Unweighted: true}
		s.Kinds[0].Attention.Clip = 0.9
	},
	"one norm for both branches, norms after the rotation, temperature from zero": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.Parallel, k.OneNorm, k.Attention.QKNorm = true, true, model.QKNormRotated
		k.Attention.TemperatureScale, k.Attention.TemperatureFloor, k.Attention.TemperatureFromZero = 0.1, 8, true
	},
	"both norms, softcaps, windows, head norms": func(s *model.Spec) {
		s.Norm.PlusOne, s.LogitSoftcap = true, 10
		k := &s.Kinds[0]
		k.PostNorm, k.Attention.Softcap, k.Attention.QKNorm = true, 5, model.QKNormHead
		local := *k
		local.Attention.Window = 7
		s.Kinds, s.Layers = append(s.Kinds, local), []int{1, 0, 1}
	},
	"post-norms alone, projection norms, ReLU": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PreNorm, k.PostNorm, k.Attention.QKNorm, k.MLP.Activation = false, true, model.QKNormProjection, model.ReLU
	},
	"chunks, interleaved, unweighted norms, temperature": func(s *model.Spec) {
		s.RoPE[0].Interleaved, s.RoPE[0].Scale = true, 1.2
		global := s.Kinds[0]
		global.Attention.RoPE, global.Attention.TemperatureScale, global.Attention.TemperatureFloor = -1, 0.1, 8
		k := &s.Kinds[0]
		k.Attention.Chunk, k.Attention.QKNorm = 9, model.QKNormUnweighted
		s.Kinds, s.Layers = append(s.Kinds, global), []int{0, 1, 0}
	},
	"experts": func(s *model.Spec) {
		m := &s.Kinds[0].MLP
		m.Experts, m.TopK, m.NormalizeTopK, m.Intermediate = 5, 2, true, 40
	},
	"experts beside dense layers, shared, weighted at the input": func(s *model.Spec) {
		dense := s.Kinds[0]
		m := &s.Kinds[0].MLP
		m.Experts, m.TopK, m.Sigmoid, m.WeightInput, m.Shared, m.Intermediate = 4, 1, true, true, 48, 36
		s.Kinds, s.Layers = append(s.Kinds, dense), []int{1, 0, 1, 0}
	},
	"experts of groups, a selection bias, a gated shared expert": func(s *model.Spec) {
		m := &s.Kinds[0].MLP
		m.Routing = model.Routing{
			Experts: 8, TopK: 3, Sigmoid: true, NormalizeTopK: true, RouteScale: 2.5, SelectionBias: true, Groups: 4, TopGroups: 2, GroupBest: 2,
		}
		m.Shared, m.SharedGated, m.Intermediate = 48, true, 36
	},
	"experts with biases, a bounded activation, sinks": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.Attention.Sinks = true
		k.MLP.Routing = model.Routing{Experts: 5, TopK: 2, NormalizeTopK: true, RouterBias: true}
		k.MLP.Clamped = model.Clamped{Limit: 0.7, UpOffset: 1, Slope: 1.702}
		k.MLP.Intermediate, k.MLP.Bias = 36, true
	},
	"a bounded activation, sinks and a window": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.Attention.Sinks, k.Attention.Window = true, 7
		k.MLP.Clamped = model.Clamped{Limit: 0.7, UpOffset: 1, Slope: 1.702}
	},
	"a latent vector, also of queries": func(s *model.Spec) {
		s.RoPE[0] = model.RoPE{Dim: 8, InvFreq: frequenciesOf(8), Scale: 1, Interleaved: true}
		a := &s.Kinds[0].Attention
		a.KVHeads, a.QKVBias, a.OutBias = a.Heads, true, true
		a.Latent = model.Latent{KVRank: 56, QRank: 36, SharedDim: 8, ValueDim: 20, LatentEps: 1e-6}
	},
	"a latent vector of an odd size": func(s *model.Spec) {
		s.RoPE[0] = model.RoPE{Dim: 10, InvFreq: frequenciesOf(10), Scale: 1}
		a := &s.Kinds[0].Attention
		a.KVHeads, a.QKVBias = a.Heads, true
		a.Latent = model.Latent{KVRank: 34, SharedDim: 10, ValueDim: 13, LatentEps: 1e-6}
	},
	"convolutions with biases, gated heads": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.Attention.Gated, k.Attention.QKVBias = true, true
		other := *k
		other.Attention = model.Attention{}
		other.Recurrence = model.Recurrence{Taps: 3, ConvBias: true, InGate: true, Bias: true, Heads: 1, ValueDim: s.Hidden}
		s.Kinds, s.Layers = append(s.Kinds, other), []int{1, 0, 1}
	},
	"memories by the delta rule": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.Attention = model.Attention{}
		k.Recurrence = model.Recurrence{
			Taps: 4, SiLU: true, Heads: 6, ValueDim: 20, NormGroups: 6, NormEps: 1e-6,
			Memory: model.Memory{KeyHeads: 3, KeyDim: 18, Delta: true, ReadScale: 0.2},
		}
	},
	"memories of a state space": func(s *model.Spec) {
		other := s.Kinds[0]
		other.Attention = model.Attention{}
		other.Recurrence = model.Recurrence{
			Taps: 4, ConvBias: true, SiLU: true, Bias: true, Heads: 8, ValueDim: 16, NormGroups: 2, NormEps: 1e-5, GateFirst: true,
			Memory: model.Memory{KeyHeads: 2, KeyDim: 16, Skip: true, ReadScale: 1, StepMin: 0.1, StepMax: 4},
		}
		s.Kinds, s.Layers = append(s.Kinds, other), []int{1, 0}
	},
	"a state space beside attention": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.Attention.QKVBias, k.Attention.OutBias, k.ResidualScale = true, true, 0.7
		both := *k
		both.Recurrence = model.Recurrence{
			Taps: 4, ConvBias: true, SiLU: true, Heads: 6, ValueDim: 16,
			Memory: model.Memory{KeyHeads: 2, KeyDim: 16, Skip: true, ReadScale: 1},
		}
		s.Kinds, s.Layers = append(s.Kinds, both), []int{1, 0, 1, 1}
	},
	"layers of one branch, experts on narrow vectors": func(s *model.Spec) {
		attention := s.Kinds[0]
		attention.MLP = model.MLP{}
		mlp := model.Layer{PreNorm: true, ResidualScale: 0.7, MLP: model.MLP{Activation: model.ReLU2, Intermediate: 100}}
		experts := mlp
		experts.MLP.Intermediate, experts.MLP.Shared, experts.MLP.ExpertWidth = 36, 48, 40
		experts.MLP.Routing = model.Routing{Experts: 6, TopK: 2, Sigmoid: true, NormalizeTopK: true, SelectionBias: true}
		mixer := model.Layer{PreNorm: true, ResidualScale: 1, Recurrence: model.Recurrence{
			Taps: 4, ConvBias: true, SiLU: true, Heads: 4, ValueDim: 16, NormGroups: 2, NormEps: 1e-5, GateFirst: true,
			Memory: model.Memory{KeyHeads: 2, KeyDim: 16, Skip: true, ReadScale: 1},
		}}
		s.Kinds, s.Layers = []model.Layer{experts, mixer, attention, mlp}, []int{1, 0, 2, 3, 1}
	},
	"normalized values, which are keys, scaled layers": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PostNorm, k.OutScale, k.Attention.ValueNorm, k.Attention.QKNorm, k.Attention.QKVBias = true, true, true, model.QKNormHead, true
		global := *k
		global.Attention.KeyValues, global.Attention.HeadDim, global.Attention.KVHeads, global.Attention.RoPE = true, 40, 1, -1
		k.Attention.Window = 7
		s.Kinds, s.Layers = append(s.Kinds, global), []int{0, 1, 0}
	},
	"experts apart from a dense MLP": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PostNorm, k.OutScale = true, true
		k.MLP.Routing = model.Routing{Experts: 5, TopK: 2, NormalizeTopK: true, ExpertScale: true}
		k.MLP.Shared, k.MLP.Intermediate, k.MLP.Apart, k.MLP.RouterScale = 48, 36, true, 0.4
	},
	"keys and values of earlier layers, inputs of layers": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PostNorm, k.OutScale, k.TakesInput, k.MLP.Activation, k.Attention.QKNorm = true, true, true, model.GELUTanh, model.QKNormHead
		s.LayerInputs = model.LayerInputs{Width: 20, Tokens: 190, EmbedScale: 3, ProjectScale: 0.3, SumScale: 0.7}
		local := *k
		local.Attention.Window = 7
		sharing, localSharing := *k, local
		sharing.Attention.SharedKV, localSharing.Attention.SharedKV, localSharing.MLP.Intermediate = true, true, 130
		localSharing.TakesInput, sharing.OutScale = false, false
		s.Kinds, s.Layers = append(s.Kinds, local, sharing, localSharing), []int{1, 0, 3, 2, 3}
	},
	"several residual streams, a shortcut, sparse gates": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PostNorm, k.TakesInput, k.MLP.Activation, k.Shortcut, k.ShortcutScale = true, true, model.GELUTanh, 10, 0.7
		s.LayerInputs = model.LayerInputs{Width: 20, Tokens: 190, EmbedScale: 3, ProjectScale: 0.3, SumScale: 0.7}
		s.Streams = model.Streams{Count: 4, RouterScale: 0.3, InputScaled: true}
		sparse := *k
		sparse.MLP.Sparse, sparse.MLP.Cutoff, sparse.Shortcut, sparse.ShortcutScale, sparse.TakesInput = true, 0.4, 0, 0, false
		s.Kinds, s.Layers = append(s.Kinds, sparse), []int{1, 0, 1}
	},
	"experts, post-norms, softmax over all": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PostNorm = true
		k.MLP.Experts, k.MLP.TopK, k.MLP.Intermediate = 9, 3, 40
	},
}
