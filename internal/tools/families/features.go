package main

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// list collects what a model has that a plain Llama has not.
type list []string

func (l *list) when(ok bool, what string) {
	if ok {
		*l = append(*l, what)
	}
}

// features lists in few words what a model has that a plain Llama has not.
func features(s *model.Spec) []string {
	var l list
	l.when(s.Norm.Kind == model.LayerNorm && s.Norm.Bias, "LayerNorm")
	l.when(s.Norm.Kind == model.LayerNorm && !s.Norm.Bias && !s.Norm.Unweighted, "LayerNorm without biases")
	l.when(s.Norm.Unweighted, "norms without weights")
	l.when(s.EmbedScale != 1, "scaled embedding")
	l.when(s.EmbedNorm, "normalized embedding")
	l.when(s.Positions > 0, "learned positions")
	l.when(s.ContextLimit > 0, "limited context")
	l.when(s.TiedHead, "tied head")
	l.when(s.HeadBias, "bias of the head")
	l.when(s.LogitScale != 1, "scaled logits")
	l.when(s.LogitSoftcap != 0, "softcap of logits")
	l.when(len(s.RoPE) > 1, "two RoPEs")
	for i := range s.RoPE {
		l.when(s.RoPE[i].Interleaved, "RoPE of neighbors")
		l.when(s.RoPE[i].LongFrom > 0, "RoPE by length")
		l.when(s.RoPE[i].Scale != 1, "scaled RoPE")
	}
	for i := range s.Kinds {
		l.layer(s, &s.Kinds[i])
	}
	return l
}

func (l *list) layer(s *model.Spec, k *model.Layer) {
	l.when(k.PreNorm && k.PostNorm, "norms before and after branches")
	l.when(!k.PreNorm && k.PostNorm, "norms after branches only")
	l.when(k.Parallel && !k.OneNorm, "parallel branches")
	l.when(k.OneNorm, "parallel branches with one norm")
	l.when(k.ResidualScale != 1, "scaled branches")
	l.when(!k.Mixes() || !k.Feeds(), "layers of one branch")
	l.when(k.Twofold(), "attention beside a recurrence")
	l.when(k.OutScale, "scaled layers")
	l.when(k.TakesInput, "embeddings for each layer")
	l.when(s.Streams.Count > 0, "several residual streams")
	l.when(k.Shortcut > 0, "a low-rank branch around attention")
	if k.Recurrence.Taps > 0 {
		l.recurrence(&k.Recurrence)
	}
	if k.Attends() {
		l.attention(s, &k.Attention)
	}
	if k.Feeds() {
		l.mlp(&k.MLP)
	}
}

// norms says how queries and keys are normalized.
var norms = map[model.QKNorm]string{
	model.QKNormHead: "q and k normalized by head", model.QKNormHeads: "q and k normalized by head, with weights of each",
	model.QKNormProjection: "q and k normalized as a whole", model.QKNormRotated: "q and k normalized after RoPE",
	model.QKNormUnweighted: "q and k normalized without weights",
}

func (l *list) attention(s *model.Spec, a *model.Attention) {
	l.when(a.Latent != (model.Latent{}), "latent attention")
	l.when(a.KVHeads == 1 && a.Heads > 1, "one key and value head")
	l.when(a.QKNorm != model.QKNormNone, norms[a.QKNorm])
	l.when(a.SharedKV, "k and v of earlier layers")
	l.when(a.ValueNorm, "v normalized without weights")
	l.when(a.KeyValues, "v made by the matrix of k")
	l.when(a.QKVBias && a.OutBias, "biases of attention")
	l.when(a.QKVBias && !a.OutBias, "biases of q, k, v")
	l.when(!a.QKVBias && a.OutBias, "bias of o")
	l.when(a.Clip != 0, "bounded q, k, v")
	l.when(a.Softcap != 0, "softcap of scores")
	l.when(a.Gated, "gated heads")
	l.when(a.Sinks, "sinks")
	l.when(a.Window > 0, "windows")
	l.when(a.Chunk > 0, "chunks")
	l.when(a.TemperatureFloor > 0, "temperature by position")
	l.when(a.ALiBi != 0, "ALiBi")
	l.when(a.RoPE < 0 && len(s.RoPE) > 0, "layers without RoPE")
	l.when(a.RoPE >= 0 && a.Latent == (model.Latent{}) && s.RoPE[max(a.RoPE, 0)].Dim < a.HeadDim, "RoPE of a part of the head")
}

func (l *list) recurrence(r *model.Recurrence) {
	l.when(r.KeyDim == 0, "short convolutions")
	l.when(r.Delta, "gated delta nets")
	l.when(r.KeyDim > 0 && !r.Delta, "state space layers")
}

func (l *list) mlp(m *model.MLP) {
	l.when(!m.Gated, "MLP without gate")
	l.when(m.Activation != model.SiLU, string(m.Activation))
	l.when(m.Bias, "biases of the MLP")
	l.when(m.Limit != 0 || m.UpOffset != 0 || m.Slope != 0, "bounded activation")
	l.when(m.Sparse, "sparse gates")
	l.when(m.Experts > 0, fmt.Sprintf("%d of %d experts", m.TopK, m.Experts))
	l.when(m.ExpertWidth > 0, "experts on narrow vectors")
	l.when(m.Shared > 0 && !m.SharedGated && !m.Apart, "shared expert")
	l.when(m.Apart, "dense MLP beside experts, with norms of its own")
	l.when(m.ExpertScale, "weights scaled by expert")
	l.when(m.SharedGated, "gated shared expert")
	l.when(m.Sigmoid, "sigmoid scores")
	l.when(m.SelectionBias, "bias of the choice")
	l.when(m.Groups > 0, "groups of experts")
	l.when(m.WeightInput, "weighted inputs")
	l.when(m.Mixer > 0, "weights among near experts")
}
