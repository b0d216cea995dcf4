package model

import (
	"errors"
	"fmt"
)

// Limits of a Spec. They are far above any model there is; they keep products of sizes well
// inside an int64 and lists of tensors inside memory.
const (
	maxSize    = 1 << 24
	maxLayers  = 1 << 12
	maxExperts = 1 << 12
	maxTaps    = 64
)

// Validate reports the first thing in the Spec that contradicts itself or is out of all bounds.
func (s *Spec) Validate() error {
	if err := sizes("vocab", s.Vocab, "hidden", s.Hidden); err != nil {
		return err
	}
	if s.Positions < 0 || s.Positions > maxSize || s.ContextLimit < 0 || s.ContextLimit > maxSize {
		return fmt.Errorf("positions: %d, context_limit: %d: want numbers in 0–%d", s.Positions, s.ContextLimit, maxSize)
	}
	if len(s.Layers) == 0 || len(s.Layers) > maxLayers {
		return fmt.Errorf("layers: %d is not in 1–%d", len(s.Layers), maxLayers)
	}
	for i, k := range s.Layers {
		if k < 0 || k >= len(s.Kinds) {
			return fmt.Errorf("layer %d: kind %d of %d", i, k, len(s.Kinds))
		}
	}
	if s.Norm.Kind != RMSNorm && s.Norm.Kind != LayerNorm {
		return fmt.Errorf("norm: unknown kind %q", s.Norm.Kind)
	}
	if err := s.validateShared(); err != nil {
		return err
	}
	for i := range s.RoPE {
		if err := s.RoPE[i].validate(); err != nil {
			return fmt.Errorf("rope %d: %w", i, err)
		}
	}
	for i := range s.Kinds {
		if s.Norm.Unweighted && s.Kinds[i].PostNorm {
			return fmt.Errorf("layer kind %d: norms without weights after the branches", i)
		}
		if s.Norm.Kind == LayerNorm && s.Kinds[i].Attention.QKNorm == QKNormRotated {
			return fmt.Errorf("layer kind %d: queries and keys normalized by LayerNorm after RoPE", i)
		}
		if s.Norm.Kind == LayerNorm && (s.Kinds[i].Attention.ValueNorm || s.Kinds[i].MLP.Apart) {
			return fmt.Errorf("layer kind %d: value_norm and apart want a model of RMS norms", i)
		}
		if err := s.Kinds[i].validate(s.RoPE); err != nil {
			return fmt.Errorf("layer kind %d: %w", i, err)
		}
	}
	return nil
}

// validateShared looks at what layers are given beside the residual stream.
func (s *Spec) validateShared() error {
	in := &s.LayerInputs
	if in.Width > 0 {
		if err := sizes("layer_inputs: width", in.Width, "layer_inputs: tokens", in.Tokens, "layer_inputs: layers·width", len(s.Layers)*in.Width); err != nil {
			return err
		}
		if s.Norm.Kind != RMSNorm || s.Norm.Unweighted {
			return errors.New("layer_inputs without an RMS norm with weights")
		}
	} else if *in != (LayerInputs{}) {
		return fmt.Errorf("layer_inputs: width %d", in.Width)
	}
	if n := s.Streams.Count; n != 0 && n != 4 || n == 0 && s.Streams != (Streams{}) {
		return fmt.Errorf("streams: %d: want 4 or none", n)
	}
	for i := range s.Layers {
		switch y := s.Layer(i); {
		case s.Streams.Count > 0 && (!y.PreNorm || !y.PostNorm || y.Parallel || y.OutScale || s.Norm.Unweighted || s.Norm.Kind != RMSNorm):
			return fmt.Errorf("layer %d: streams want RMS norms before and after branches, and nothing parallel or scaled", i)
		case y.Shortcut < 0 || y.Shortcut > maxSize || y.Shortcut > 0 && (!y.PreNorm || !y.PostNorm || y.Parallel || !y.Attends() || y.Twofold() || y.Attention.KVRank > 0):
			return fmt.Errorf("layer %d: shortcut %d: want norms before and after attention", i, y.Shortcut)
		case y.TakesInput && in.Width == 0:
			return fmt.Errorf("layer %d takes an input, but there are no layer_inputs", i)
		case s.KVLayer(i) < 0:
			return fmt.Errorf("layer %d shares keys and values, but no layer before it has such", i)
		}
	}
	return nil
}

func (r *RoPE) validate() error {
	if r.Dim <= 0 || r.Dim > maxSize || len(r.InvFreq)*2 != r.Dim {
		return fmt.Errorf("%d frequencies for %d rotated elements", len(r.InvFreq), r.Dim)
	}
	switch {
	case r.LongFrom < 0:
		return fmt.Errorf("long_from %d", r.LongFrom)
	case r.LongFrom > 0 && r.DynamicFactor > 0:
		if r.Dim < 4 || r.DynamicBase <= 0 {
			return fmt.Errorf("dynamic base %g over %d elements", r.DynamicBase, r.Dim)
		}
	case r.LongFrom > 0 && len(r.LongInvFreq) != len(r.InvFreq):
		return fmt.Errorf("%d long frequencies, want %d", len(r.LongInvFreq), len(r.InvFreq))
	}
	return nil
}

func (y *Layer) validate(ropes []RoPE) error {
	m := &y.MLP
	switch {
	case !y.Mixes() && !y.Feeds() && *m == MLP{}:
		return errors.New("a layer without attention, recurrence and MLP")
	case (!y.Mixes() || !y.Feeds()) && y.Parallel:
		return errors.New("parallel with one branch")
	case !y.Feeds() && (y.OutScale || y.TakesInput):
		return errors.New("out_scale or takes_input without an MLP")
	}
	if y.Mixes() || y.Attention != (Attention{}) || y.Recurrence != (Recurrence{}) {
		if err := y.validateMixer(ropes); err != nil {
			return err
		}
	}
	if *m == (MLP{}) {
		return nil
	}
	if err := sizes("intermediate", m.Intermediate); err != nil {
		return err
	}
	switch {
	case m.Shared < 0 || m.Shared > maxSize:
		return fmt.Errorf("shared: %d is not in 0–%d", m.Shared, maxSize)
	case y.OneNorm && !(y.Parallel && y.PreNorm):
		return errors.New("one_norm without parallel and pre_norm")
	case y.TakesInput && (!y.PostNorm || y.Parallel || m.Activation == XIELU || m.Slope != 0):
		return errors.New("takes_input without post_norm, or with parallel or an activation of its own")
	case y.OutScale && (!y.PostNorm || y.Parallel):
		return errors.New("out_scale without post_norm, or with parallel")
	case m.Apart && (!y.PreNorm || !y.PostNorm || y.Parallel):
		return errors.New("apart without pre_norm and post_norm, or with parallel")
	}
	switch m.Activation {
	case SiLU, GELU, GELUTanh, ReLU, ReLU2, XIELU:
	default:
		return fmt.Errorf("unknown activation %q", m.Activation)
	}
	return m.validateExperts()
}

// validateMixer looks at the attention and the recurrence of a layer.
func (y *Layer) validateMixer(ropes []RoPE) error {
	if y.Recurrence == (Recurrence{}) {
		return y.Attention.validate(ropes)
	}
	if err := y.Recurrence.validate(); err != nil || y.Attention == (Attention{}) {
		return err
	}
	if y.Parallel || y.Recurrence.Bias || y.Attention.Gated || y.Attention.SharedKV || y.Attention.KVRank > 0 {
		return errors.New("attention and a recurrence, with parallel branches, biases of the recurrence, gated heads, shared keys and values, or a latent vector")
	}
	return y.Attention.validate(ropes)
}

func (a *Attention) validate(ropes []RoPE) error {
	if err := sizes("heads", a.Heads, "kv_heads", a.KVHeads, "head_dim", a.HeadDim, "heads·head_dim", a.Heads*a.HeadDim); err != nil {
		return err
	}
	switch {
	case a.Heads%a.KVHeads != 0:
		return fmt.Errorf("%d heads are not a multiple of %d key and value heads", a.Heads, a.KVHeads)
	case a.RoPE < -1 || a.RoPE >= len(ropes):
		return fmt.Errorf("rope %d of %d", a.RoPE, len(ropes))
	case a.RoPE >= 0 && ropes[a.RoPE].Dim > a.HeadDim:
		return fmt.Errorf("rope rotates %d elements of a head of %d", ropes[a.RoPE].Dim, a.HeadDim)
	case a.Window < 0 || a.Chunk < 0 || a.TemperatureFloor < 0:
		return fmt.Errorf("window %d, chunk %d, temperature floor %d: want none below 0", a.Window, a.Chunk, a.TemperatureFloor)
	case !(a.Clip >= 0) || !(a.ALiBi >= 0):
		return fmt.Errorf("clip %g, alibi %g: want none below 0", a.Clip, a.ALiBi)
	case a.Gated && a.KVRank > 0:
		return errors.New("gated heads with a latent vector")
	case (a.ValueNorm || a.KeyValues) && a.KVRank > 0:
		return errors.New("value_norm or key_values with a latent vector")
	case (a.KeyValues || a.SharedKV) && a.Gated:
		return errors.New("key_values or shared_kv with gated heads")
	case a.SharedKV && a.KVRank > 0:
		return errors.New("shared_kv with a latent vector")
	}
	if err := a.validateLatent(ropes); err != nil {
		return err
	}
	switch a.QKNorm {
	case QKNormNone, QKNormHead, QKNormHeads, QKNormProjection, QKNormRotated, QKNormUnweighted:
	default:
		return fmt.Errorf("unknown qk_norm %q", a.QKNorm)
	}
	return nil
}

func (m *MLP) validateExperts() error {
	switch {
	case m.Experts > 0 && m.Activation == XIELU:
		return errors.New("experts with an activation that has weights")
	case !(m.Mixer >= 0):
		return fmt.Errorf("mixer %g: want none below 0", m.Mixer)
	case m.Experts < 0 || m.Experts > maxExperts:
		return fmt.Errorf("experts: %d is not in 0–%d", m.Experts, maxExperts)
	case m.Experts > 0 && (m.TopK < 1 || m.TopK > m.Experts):
		return fmt.Errorf("top_k: %d of %d experts", m.TopK, m.Experts)
	case m.Experts == 0 && m.Shared > 0:
		return fmt.Errorf("a shared expert of %d without experts", m.Shared)
	case m.ExpertWidth < 0 || m.ExpertWidth > maxSize:
		return fmt.Errorf("expert_width: %d is not in 0–%d", m.ExpertWidth, maxSize)
	case m.ExpertWidth > 0 && (m.Experts == 0 || m.Bias):
		return errors.New("expert_width without experts, or with biases")
	case m.SharedGated && m.Shared == 0:
		return fmt.Errorf("shared_gated without a shared expert")
	case m.Apart && (m.Experts == 0 || m.Shared == 0 || m.SharedGated || m.WeightInput || m.Bias || m.RouterBias):
		return errors.New("apart without experts and a shared expert, or with biases, a gate or weight_input")
	case !m.Apart && m.RouterScale != 0:
		return fmt.Errorf("router_scale %g without apart", m.RouterScale)
	case m.ExpertScale && (m.Experts == 0 || m.SelectionBias):
		return errors.New("expert_scale without experts, or with selection_bias")
	case m.Clamped != Clamped{} && !m.Gated:
		return fmt.Errorf("limit %g, up_offset %g and slope %g are for a gated MLP", m.Limit, m.UpOffset, m.Slope)
	case m.Sparse && (!m.Gated || m.Experts > 0) || !m.Sparse && m.Cutoff != 0:
		return fmt.Errorf("cutoff %g: want a sparse, gated MLP without experts", m.Cutoff)
	case m.Limit < 0:
		return fmt.Errorf("limit: %g is below 0", m.Limit)
	case m.Slope != 0 && m.Activation != SiLU:
		return fmt.Errorf("slope %g: %s has none", m.Slope, m.Activation)
	}
	return m.validateGroups()
}

func (m *Routing) validateGroups() error {
	if m.Groups == 0 {
		return nil
	}
	switch {
	case m.Groups < 0 || m.Groups > m.Experts || m.Experts%m.Groups != 0:
		return fmt.Errorf("groups: %d experts cannot form %d groups", m.Experts, m.Groups)
	case m.TopGroups < 1 || m.TopGroups > m.Groups:
		return fmt.Errorf("top_groups: %d of %d groups", m.TopGroups, m.Groups)
	case m.GroupBest < 1 || m.GroupBest > m.Experts/m.Groups:
		return fmt.Errorf("group_best: %d of the %d experts of a group", m.GroupBest, m.Experts/m.Groups)
	case m.TopK > m.TopGroups*(m.Experts/m.Groups):
		return fmt.Errorf("top_k: %d of the %d experts in %d groups", m.TopK, m.TopGroups*(m.Experts/m.Groups), m.TopGroups)
	}
	return nil
}

// sizes checks pairs of a name and a number that must be in 1–maxSize.
func sizes(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if n := pairs[i+1].(int); n < 1 || n > maxSize {
			return fmt.Errorf("%s: %d is not in 1–%d", pairs[i], n, maxSize)
		}
	}
	return nil
}
