package model

import "fmt"

// Latent describes attention whose keys and values are made from one narrow vector for each position, which is all that
// a cache has to hold. With c = kv_down_norm of the first KVRank elements of kv_down·x, and r the other SharedDim ones,
// rotated,
//
//	key of head h   = [k_up[h]·c, r]
//	value of head h = v_up[h]·c
//
// The last SharedDim elements of a query are rotated, too. Queries are q·x or, if QRank is set,
// q_up·q_down_norm(q_down·x). QKVBias means biases of q_down and kv_down. Both norms are RMS norms with LatentEps.
type Latent struct {
	KVRank    int     `json:"kv_rank,omitempty"` // 0: keys and values are projections as usual
	QRank     int     `json:"q_rank,omitempty"`
	SharedDim int     `json:"shared_dim,omitempty"`
	ValueDim  int     `json:"value_dim,omitempty"` // width of a value
	LatentEps float32 `json:"latent_eps,omitempty"`
}

// ValueWidth returns how many elements a value has.
func (a *Attention) ValueWidth() int {
	if a.KVRank > 0 {
		return a.ValueDim
	}
	return a.HeadDim
}

// OwnDim returns how many elements of a key each head has for itself.
func (a *Attention) OwnDim() int { return a.HeadDim - a.SharedDim }

// Core returns attention as it is computed over what a cache has to hold: a itself or, if keys and values come from a
// latent vector, attention of all heads over one head, whose values are the latents, and whose keys are these and what
// the heads share. Queries of that one are k_up[h]ᵀ·q; what it reads is still to be multiplied by v_up[h].
func (a *Attention) Core() Attention {
	core := *a
	if a.KVRank > 0 {
		core.KVHeads, core.HeadDim, core.ValueDim = 1, a.KVRank+a.SharedDim, a.KVRank
	}
	return core
}

// Cached returns how many elements a cache holds for each position.
func (a *Attention) Cached() int {
	if a.KVRank > 0 {
		return a.KVRank + a.SharedDim
	}
	return 2 * a.KVHeads * a.HeadDim
}

// latent lists the projections of attention with a latent vector, those that read the same vectors side by side.
func (l *list) latent(a *Attention) {
	h := l.spec.Hidden
	if a.QRank > 0 {
		l.add(RoleQDown, a.QRank, h)
		l.when(a.QKVBias, RoleQDownBias, a.QRank)
	} else {
		l.add(RoleQ, a.Heads*a.HeadDim, h)
	}
	l.add(RoleKVDown, a.KVRank+a.SharedDim, h)
	l.when(a.QKVBias, RoleKVDownBias, a.KVRank+a.SharedDim)
	if a.QRank > 0 {
		l.add(RoleQDownNorm, a.QRank)
		l.add(RoleQUp, a.Heads*a.HeadDim, a.QRank)
	}
	l.add(RoleKVDownNorm, a.KVRank)
	l.add(RoleKUp, a.Heads*a.OwnDim(), a.KVRank)
	l.add(RoleVUp, a.Heads*a.ValueDim, a.KVRank)
}

// validateLatent reports what of a latent vector contradicts the rest.
func (a *Attention) validateLatent(ropes []RoPE) error {
	if a.KVRank == 0 {
		if a.Latent != (Latent{}) {
			return fmt.Errorf("q_rank %d, shared_dim %d and value_dim %d without kv_rank", a.QRank, a.SharedDim, a.ValueDim)
		}
		return nil
	}
	if err := sizes("kv_rank", a.KVRank, "value_dim", a.ValueDim, "heads·value_dim", a.Heads*a.ValueDim, "shared_dim", a.SharedDim); err != nil {
		return err
	}
	switch {
	case a.QRank < 0 || a.QRank > maxSize:
		return fmt.Errorf("q_rank: %d is not in 0–%d", a.QRank, maxSize)
	case a.OwnDim() < 1:
		return fmt.Errorf("shared_dim %d of heads of %d", a.SharedDim, a.HeadDim)
	case a.KVHeads != a.Heads:
		return fmt.Errorf("%d heads with %d for keys and values: with a latent vector there are equally many", a.Heads, a.KVHeads)
	case a.QKNorm != QKNormNone:
		return fmt.Errorf("qk_norm %q with a latent vector", a.QKNorm)
	case a.RoPE < 0:
		return fmt.Errorf("a latent vector without rope")
	case ropes[a.RoPE].Dim != a.SharedDim:
		return fmt.Errorf("rope rotates %d elements of a key, of which heads share %d", ropes[a.RoPE].Dim, a.SharedDim)
	}
	return nil
}
