package sample

import "math"

// longestRepeat is how long a repetition counts: more than the float32 penalty of any longer one could tell apart.
const longestRepeat = 512

// Break sets the tokens that no repetition crosses, for DRY: those whose text has one of Options.DRYBreakers in it.
func (s *Sampler) Break(at Mask) { s.breaks, s.repeats = at, nil }

// BreaksAt returns the texts whose tokens Break is to be given, nil if DRY is off.
func (s *Sampler) BreaksAt() []string {
	switch {
	case s.o.DRYMultiplier == 0:
		return nil
	case s.o.DRYBreakers == nil:
		return DefaultDRYBreakers
	}
	return s.o.DRYBreakers
}

// repeated returns the tokens that would continue a repetition, and what is taken from their logits: for each place in the
// history that the end of the history looks like, the token that followed there.
func (s *Sampler) repeated() map[int32]float32 {
	if s.o.DRYMultiplier == 0 || s.repeats != nil {
		return s.repeats
	}
	lengths := map[int32]int{}
	text := s.recent(s.o.DRYLast)
	most := s.unbroken(text)
	for back, same := range suffixes(text, most) {
		if back == 0 || same < s.o.DRYAllowedLength {
			continue
		}
		if id := text[len(text)-back]; !s.breaks.Has(id) {
			lengths[id] = max(lengths[id], same)
		}
	}
	s.repeats = make(map[int32]float32, len(lengths))
	for id, n := range lengths {
		taken := float64(s.o.DRYMultiplier) * math.Pow(float64(s.o.DRYBase), float64(n-s.o.DRYAllowedLength))
		s.repeats[id] = float32(min(taken, math.MaxFloat32))
	}
	return s.repeats
}

// unbroken returns how many tokens at the end of a text have no breaker among them, longestRepeat at most.
func (s *Sampler) unbroken(text []int32) (n int) {
	for n < min(len(text), longestRepeat) && !s.breaks.Has(text[len(text)-1-n]) {
		n++
	}
	return n
}

// suffixes returns for each i > 0 how many of the last tokens of text[:len(text)−i] are those at the end of the text, at most
// `most`: the Z function of the text read backward, in linear time.
func suffixes(text []int32, most int) []int {
	n := len(text)
	z := make([]int, n)
	from, to := 0, 0 // the stretch that is known to look like the beginning, read backward, and reaches furthest
	for i := 1; i < n; i++ {
		k := 0
		if i < to {
			k = min(to-i, z[i-from])
		}
		for k < most && i+k < n && text[n-1-k] == text[n-1-i-k] {
			k++
		}
		if z[i] = k; i+k > to {
			from, to = i, i+k
		}
	}
	return z
}
