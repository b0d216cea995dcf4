package sample

import (
	"math"
	"sort"
)

// lseTolerance is how far exp(logSumExp) may be off, relatively: a sum of 10⁵ exponentials made in
// float32 on a device is good to some 10⁻⁵.
const lseTolerance = 1e-4

// SampleTop chooses as Sample would, but from the largest logits alone, so that a device need not
// hand over its whole vocabulary.
//
// cands are the len(cands) first logits of the vocabulary in rank order (the larger logit first,
// then the lower id), listed in any order. logSumExp is ln Σ exp(logit) over the vocabulary, vocab
// the number of its tokens. SampleTop reports false if tokens that are not among cands could change
// the choice, or if a value is NaN or infinite; the caller then reads all logits and calls Sample,
// which makes the choice with the same random number.
func (s *Sampler) SampleTop(cands []Candidate, logSumExp float64, vocab int) (id int32, ok bool) {
	if len(cands) == 0 || len(cands) > vocab || math.IsNaN(logSumExp) || math.IsInf(logSumExp, 0) {
		return 0, false
	}
	worst := cands[0]
	for _, c := range cands {
		if c.Logit != c.Logit || math.IsInf(float64(c.Logit), 0) {
			return 0, false
		}
		if worst.before(c) {
			worst = c
		}
	}
	adjusted, unknown, raised := s.adjustTop(cands)
	if raised {
		return 0, false // an unknown logit was raised above the others, maybe
	}
	if len(cands) == vocab {
		// Sums over everything are made in this order by Sample.
		sort.Sort(byID(adjusted))
		adjusted = s.only(adjusted)
		return s.choose(s.pool.fill(adjusted, len(adjusted)))
	}
	above := keepAbove(adjusted, worst)
	refused := s.refused(above)
	if s.allowed != nil {
		vocab = s.allowed.count(vocab)
	}
	p := s.pool.fill(s.only(above), vocab)
	if p.known == 0 {
		return 0, false
	}
	p.floor = worst.Logit
	if s.bound(p, cands, logSumExp, unknown); p.max() == float32(math.Inf(-1)) {
		return 0, false
	}
	if s.allowed != nil { // of the sum, what is not allowed goes: perhaps all that is not known
		p.lo = 0
		for _, l := range refused {
			p.hi -= p.weight(l, 1)
		}
	}
	return s.choose(p)
}

// bound derives Σ exp(logit − max) over the changed vocabulary from the sum before the changes.
// unknown changed tokens only lost weight, each at most that of the floor.
func (s *Sampler) bound(p *pool, cands []Candidate, logSumExp float64, unknown int) {
	sum := math.Exp(logSumExp - float64(p.max()))
	lost := 0.0
	if changed := s.changed(); len(changed) > 0 {
		for _, c := range cands {
			if change, ok := changed[c.ID]; ok {
				lost += p.weight(c.Logit, 1) - p.weight(s.adjust(c.ID, change, c.Logit), 1)
			}
		}
	}
	p.lo = sum*(1-lseTolerance) - lost - float64(unknown)*p.weight(p.floor, 1)
	p.hi = sum*(1+lseTolerance) - lost
}

// adjustTop copies cands into s.work with penalties and bias applied, counts the changed tokens that are not among them, and
// reports whether one of those may have been raised.
func (s *Sampler) adjustTop(cands []Candidate) (adjusted []Candidate, unknown int, raised bool) {
	s.work = append(s.work[:0], cands...)
	changed := s.changed()
	if len(changed) == 0 {
		return s.work, 0, false
	}
	for i := range s.work {
		c := &s.work[i]
		if change, ok := changed[c.ID]; ok {
			c.Logit = s.adjust(c.ID, change, c.Logit)
			delete(changed, c.ID)
		}
	}
	for id, change := range changed {
		raised = raised || s.raises(id, change)
	}
	return s.work, len(changed), raised
}

// byID sorts candidates. slices.SortFunc would be a larger download for the browser.
type byID []Candidate

func (b byID) Len() int           { return len(b) }
func (b byID) Less(i, j int) bool { return b[i].ID < b[j].ID }
func (b byID) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// keepAbove drops the tokens that the penalty moved below the worst candidate: unknown ones may
// rank above them now.
func keepAbove(cands []Candidate, worst Candidate) []Candidate {
	kept := cands[:0]
	for _, c := range cands {
		if !worst.before(c) {
			kept = append(kept, c)
		}
	}
	return kept
}
