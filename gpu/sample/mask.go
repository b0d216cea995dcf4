package sample

import (
	"math/bits"
	"slices"
)

// Mask is a set of tokens: bit id%64 of word id/64 says whether token id is in it.
type Mask []uint64

// Has reports whether a token is in the set.
func (m Mask) Has(id int32) bool {
	return id >= 0 && int(id>>6) < len(m) && m[id>>6]&(1<<(id&63)) != 0
}

// count reports how many of the first n tokens are in the set.
func (m Mask) count(n int) (all int) {
	for i, word := range m {
		if left := n - 64*i; left < 64 {
			if left > 0 {
				all += bits.OnesCount64(word & (1<<left - 1))
			}
			break
		}
		all += bits.OnesCount64(word)
	}
	return all
}

// Allow makes the sampler choose among the tokens of a mask alone, until it is called again; nil allows all. Probabilities are
// those among the tokens that are allowed.
func (s *Sampler) Allow(mask Mask) { s.allowed = mask }

// only drops candidates that are not allowed.
func (s *Sampler) only(cands []Candidate) []Candidate {
	if s.allowed == nil {
		return cands
	}
	return slices.DeleteFunc(cands, func(c Candidate) bool { return !s.allowed.Has(c.ID) })
}

// refused returns the logits of the candidates that are not allowed.
func (s *Sampler) refused(cands []Candidate) (logits []float32) {
	if s.allowed == nil {
		return nil
	}
	for _, c := range cands {
		if !s.allowed.Has(c.ID) {
			logits = append(logits, c.Logit)
		}
	}
	return logits
}
