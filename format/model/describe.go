package model

import "fmt"

// DescribeKind says in a line what layers of kind k are, and how many there are.
func (s *Spec) DescribeKind(k int) string {
	n := 0
	for _, of := range s.Layers {
		if of == k {
			n++
		}
	}
	a, m := s.Kinds[k].Attention, s.Kinds[k].MLP
	text := fmt.Sprintf("%d with %d heads of %d, %d for keys and values; %s MLP of %d", n, a.Heads, a.HeadDim, a.KVHeads, m.Activation, m.Intermediate)
	if m.Experts > 0 {
		text += fmt.Sprintf(", %d of %d experts", m.TopK, m.Experts)
		if m.Groups > 0 {
			text += fmt.Sprintf(" from %d of %d groups", m.TopGroups, m.Groups)
		}
		if m.Shared > 0 {
			text += fmt.Sprintf(", and one of %d for all tokens", m.Shared)
		}
	}
	if a.KVRank > 0 {
		text += fmt.Sprintf("; a cache of %d elements for each position", a.Cached())
	}
	switch {
	case a.Window > 0:
		text += fmt.Sprintf("; window %d", a.Window)
	case a.Chunk > 0:
		text += fmt.Sprintf("; chunks of %d", a.Chunk)
	}
	if a.RoPE < 0 && len(s.RoPE) > 0 {
		text += "; no RoPE"
	}
	return text
}
