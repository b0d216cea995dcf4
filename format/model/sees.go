package model

// Reach reports how many positions a token can see at most, itself included, in a context of so many tokens.
func (a *Attention) Reach(context int) int {
	n := context
	if a.Window > 0 {
		n = min(n, a.Window)
	}
	if a.Chunk > 0 {
		n = min(n, a.Chunk)
	}
	return n
}

// KVLayer returns the layer whose keys and values layer i reads: i itself, unless it shares another's. It is −1 if there is
// none.
func (s *Spec) KVLayer(i int) int {
	a := &s.Layer(i).Attention
	for a.SharedKV {
		if i--; i < 0 {
			break
		}
		if b := &s.Layer(i).Attention; !b.SharedKV && b.KVHeads == a.KVHeads && b.HeadDim == a.HeadDim && b.Window == a.Window && b.Chunk == a.Chunk {
			break
		}
	}
	return i
}

// KVRead reports whether a later layer reads the keys and values of layer i.
func (s *Spec) KVRead(i int) bool {
	for j := i + 1; j < len(s.Layers); j++ {
		if s.KVLayer(j) == i {
			return true
		}
	}
	return false
}

// Oldest returns the first position that the one at p sees.
func (a *Attention) Oldest(p, context int) int {
	first := max(0, p-context+1)
	if a.Window > 0 {
		first = max(first, p-a.Window+1)
	}
	if a.Chunk > 0 {
		first = max(first, p-p%a.Chunk)
	}
	return first
}

// Shifts reports whether cached keys and values can be moved to other positions without the tokens: positions are not learned,
// no layer remembers by states, and what comes after the rotation of a key does not depend on its elements' places.
func (s *Spec) Shifts() bool {
	if s.Positions > 0 || s.Recurrent() {
		return false
	}
	for i := range s.Kinds {
		if a := &s.Kinds[i].Attention; a.RoPE >= 0 && a.QKNorm == QKNormRotated {
			return false
		}
	}
	return true
}

// Holds reports whether a cache of so many positions, after n tokens, still has all that the next token sees once drop tokens
// after the first keep are gone.
func (a *Attention) Holds(capacity, n, keep, drop, context int) bool {
	return n <= capacity || a.Oldest(n-drop, context) >= keep
}
