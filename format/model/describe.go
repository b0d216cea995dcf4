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
	y := &s.Kinds[k]
	a := &y.Attention
	var text string
	switch {
	case y.Twofold():
		text = fmt.Sprintf("%d with %d heads of %d, %d for keys and values, and %s", n, a.Heads, a.HeadDim, a.KVHeads, y.Recurrence.describe())
	case y.Attends():
		text = fmt.Sprintf("%d with %d heads of %d, %d for keys and values", n, a.Heads, a.HeadDim, a.KVHeads)
	case y.Mixes():
		text = fmt.Sprintf("%d with %s", n, y.Recurrence.describe())
	}
	switch {
	case y.Mixes() && y.Feeds():
		text += "; " + y.MLP.describe()
	case y.Feeds():
		text = fmt.Sprintf("%d with nothing but %s", n, y.MLP.describe())
	default:
		text += "; no MLP"
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
	if a.SharedKV {
		text += "; keys and values of an earlier layer"
	}
	if s.Kinds[k].TakesInput {
		text += fmt.Sprintf("; an input of %d for each token", s.LayerInputs.Width)
	}
	if a.Gated {
		text += "; gated heads"
	}
	if y.Attends() && a.RoPE < 0 && len(s.RoPE) > 0 {
		text += "; no RoPE"
	}
	return text
}

// describe says in a few words what an MLP is.
func (m *MLP) describe() string {
	text := fmt.Sprintf("%s MLP of %d", m.Activation, m.Intermediate)
	if m.Experts == 0 {
		return text
	}
	text += fmt.Sprintf(", %d of %d experts", m.TopK, m.Experts)
	if m.Groups > 0 {
		text += fmt.Sprintf(" from %d of %d groups", m.TopGroups, m.Groups)
	}
	if m.ExpertWidth > 0 {
		text += fmt.Sprintf(" on vectors of %d", m.ExpertWidth)
	}
	if m.Shared > 0 {
		text += fmt.Sprintf(", and one of %d for all tokens", m.Shared)
	}
	return text
}

// describe says in a few words what a recurrence is.
func (r *Recurrence) describe() string {
	text := fmt.Sprintf("convolutions over %d positions", r.Taps)
	if r.KeyDim > 0 {
		text += fmt.Sprintf(" and %d memories of %d × %d", r.Heads, r.KeyDim, r.ValueDim)
	}
	return text + fmt.Sprintf("; a state of %d numbers", r.Tail()+r.Stored())
}
