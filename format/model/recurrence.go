package model

import "fmt"

// Recurrence describes what stands in the place of attention in layers that remember a sequence by a state of fixed
// size. With x the normalized residual stream at a position,
//
//	(q, k, v) = conv(q·x, k·x, v·x)
//	y[h]      = what head h reads of its memory, or v itself if there is no memory
//	out       = o·gated(y)
//
// Causal convolution: an element is the sum of what the same element was at the last Taps positions, each times a weight
// of its own (conv_q, conv_k, conv_v), the latest last, plus a bias if ConvBias. What was before the first position is 0.
// If InGate, v·x is multiplied by in_gate·x before.
//
// Memory: unless KeyDim is 0, head h has a matrix S [KeyDim][ValueDim], which is 0 at first, and the keys and queries of
// key head h/(Heads/KeyHeads). With t = softplus(decay·x + decay_bias), no less than StepMin and, unless that is 0, no more
// than StepMax,
//
//	S ·= exp(−exp(decay_log)·t)
//	S += k ⊗ t·v, or, if Delta, S += k ⊗ sigmoid(write·x)·(v − Sᵀ·k)
//	y  = Sᵀ·q·ReadScale, plus skip·v if Skip
//
// If Delta, q and k are divided by √(Σ² + 1e-6) before.
//
// Gate: y is multiplied by out_gate·x and, if NormGroups is set, normalized by RMS with NormEps: before it is multiplied
// or, if GateFirst, after. There are NormGroups groups of elements that are normalized each by itself, with a weight of
// one group that all share, or, if GateFirst, a weight for all elements.
//
// If SiLU, what the convolution makes and out_gate·x pass through SiLU before they are used.
type Recurrence struct {
	Taps     int  `json:"taps"` // 0: there is no recurrence
	ConvBias bool `json:"conv_bias,omitempty"`
	InGate   bool `json:"in_gate,omitempty"`
	SiLU     bool `json:"silu,omitempty"`
	Bias     bool `json:"bias,omitempty"` // the projections of x to q, k, v and gates have biases, and o has one

	Heads    int `json:"heads"`     // with ValueDim: elements of v
	ValueDim int `json:"value_dim"` // elements of a value
	Memory
	NormGroups int     `json:"norm_groups,omitempty"`
	NormEps    float32 `json:"norm_eps,omitempty"`
	GateFirst  bool    `json:"gate_first,omitempty"`
}

// Memory is what a Recurrence says of its heads' memories.
type Memory struct {
	KeyHeads  int     `json:"key_heads,omitempty"`
	KeyDim    int     `json:"key_dim,omitempty"` // 0: there is no memory beyond the convolution's
	Delta     bool    `json:"delta,omitempty"`
	Skip      bool    `json:"skip,omitempty"`
	ReadScale float32 `json:"read_scale,omitempty"`
	StepMin   float32 `json:"step_min,omitempty"`
	StepMax   float32 `json:"step_max,omitempty"`
}

// Width returns how many elements o multiplies, which is how many v has.
func (r *Recurrence) Width() int { return r.Heads * r.ValueDim }

// KeyWidth returns how many elements the queries of all heads have, and the keys.
func (r *Recurrence) KeyWidth() int { return r.KeyHeads * r.KeyDim }

// Channels returns how many elements the convolution is over: those of q, of k, and of v, in this order.
func (r *Recurrence) Channels() int { return 2*r.KeyWidth() + r.Width() }

// Tail returns how many numbers of a sequence the convolution remembers: what it was given at the last Taps−1 positions.
func (r *Recurrence) Tail() int { return (r.Taps - 1) * r.Channels() }

// Stored returns how many numbers the memories of all heads hold.
func (r *Recurrence) Stored() int { return r.Heads * r.KeyDim * r.ValueDim }

// Projected returns how many elements are made of x: q, k, v, gates, and what each head needs for its memory.
func (r *Recurrence) Projected() int {
	n := r.Channels() + r.Width()
	if r.InGate {
		n += r.Width()
	}
	if r.KeyDim > 0 {
		n += r.Heads
	}
	if r.Delta {
		n += r.Heads
	}
	return n
}

// StateRoles returns the roles of q, k, v and o of a layer's recurrence.
func (y *Layer) StateRoles() (q, k, v, o Role) {
	if y.Attends() {
		return RoleStateQ, RoleStateK, RoleStateV, RoleStateO
	}
	return RoleQ, RoleK, RoleV, RoleO
}

// Mixed returns how many elements the matrix o of a layer multiplies: what its attention makes or, without, its recurrence.
func (y *Layer) Mixed() int {
	if !y.Attends() {
		return y.Recurrence.Width()
	}
	return y.Attention.Heads * y.Attention.ValueWidth()
}

// Recurrent reports whether some layer has a recurrence. A sequence of such a model cannot be taken back to any earlier
// position: only to the first one, and to where its state was kept.
func (s *Spec) Recurrent() bool {
	for i := range s.Kinds {
		if s.Kinds[i].Recurrence.Taps > 0 {
			return true
		}
	}
	return false
}

// recurrence lists the tensors of a layer's recurrence up to o.
func (l *list) recurrence(y *Layer) {
	r, h := &y.Recurrence, l.spec.Hidden
	q, k, v, _ := y.StateRoles()
	for _, p := range []struct {
		ok           bool
		weight, bias Role
		rows         int
	}{
		{r.KeyDim > 0, q, RoleQBias, r.KeyWidth()},
		{r.KeyDim > 0, k, RoleKBias, r.KeyWidth()},
		{true, v, RoleVBias, r.Width()},
		{r.InGate, RoleInGate, RoleInGateBias, r.Width()},
		{true, RoleOutGate, RoleOutGateBias, r.Width()},
	} {
		l.when(p.ok, p.weight, p.rows, h)
		l.when(p.ok && r.Bias, p.bias, p.rows)
	}
	l.when(r.KeyDim > 0, RoleConvQ, r.KeyWidth(), r.Taps)
	l.when(r.KeyDim > 0, RoleConvK, r.KeyWidth(), r.Taps)
	l.add(RoleConvV, r.Width(), r.Taps)
	l.when(r.ConvBias && r.KeyDim > 0, RoleConvQBias, r.KeyWidth())
	l.when(r.ConvBias && r.KeyDim > 0, RoleConvKBias, r.KeyWidth())
	l.when(r.ConvBias, RoleConvVBias, r.Width())
	if r.KeyDim > 0 {
		l.when(r.Delta, RoleWrite, r.Heads, h)
		l.add(RoleDecay, r.Heads, h)
		l.add(RoleDecayBias, r.Heads)
		l.add(RoleDecayLog, r.Heads)
		l.when(r.Skip, RoleSkip, r.Heads)
	}
	if r.NormGroups > 0 && r.GateFirst {
		l.add(RoleHeadsNorm, r.Width())
	} else if r.NormGroups > 0 {
		l.add(RoleHeadsNorm, r.Width()/r.NormGroups)
	}
}

// validate reports what of a recurrence contradicts itself.
func (r *Recurrence) validate() error {
	if err := sizes("taps", r.Taps, "heads", r.Heads, "value_dim", r.ValueDim, "heads·value_dim", r.Width()); err != nil {
		return err
	}
	switch {
	case r.Taps < 2 || r.Taps > maxTaps:
		return fmt.Errorf("taps: %d is not in 2–%d", r.Taps, maxTaps)
	case r.NormGroups < 0 || r.NormGroups > 0 && r.Width()%r.NormGroups != 0:
		return fmt.Errorf("norm_groups: %d of %d elements", r.NormGroups, r.Width())
	case !r.SiLU && (r.KeyDim > 0 || r.NormGroups > 0):
		return fmt.Errorf("key_dim %d and norm_groups %d without silu", r.KeyDim, r.NormGroups)
	case r.KeyDim == 0 && r.Memory != (Memory{}):
		return fmt.Errorf("key_heads %d, delta %t and skip %t without key_dim", r.KeyHeads, r.Delta, r.Skip)
	case r.KeyDim == 0:
		return nil
	}
	if err := sizes("key_heads", r.KeyHeads, "key_dim", r.KeyDim, "key_heads·key_dim", r.KeyWidth(), "numbers of a state", r.Stored()); err != nil {
		return err
	}
	switch {
	case r.Heads%r.KeyHeads != 0:
		return fmt.Errorf("%d heads are not a multiple of %d key heads", r.Heads, r.KeyHeads)
	case r.InGate:
		return fmt.Errorf("in_gate with key_dim %d", r.KeyDim)
	case !(r.StepMin >= 0) || !(r.StepMax >= 0):
		return fmt.Errorf("step_min %g, step_max %g: want none below 0", r.StepMin, r.StepMax)
	}
	return nil
}

// CanReturn reports whether a sequence that is at position now can be taken back to an earlier one, as far as states of
// recurrences go: these are known at the first position, here, and where they were kept.
func (s *Spec) CanReturn(position, now, kept int) bool {
	return position == 0 || position == now || position == kept || !s.Recurrent()
}
