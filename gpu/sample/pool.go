package sample

import "math"

// pool holds the tokens that may be chosen, in rank order: the larger logit first, then the lower
// id. It knows the first `known` of them; of the others only that no logit is above floor. Where
// the others matter, sums are bounds [lo, hi], and a question whose answer differs within the
// bounds is undecided.
type pool struct {
	ranked []Candidate // the first tokens in rank order, as far as they were asked for
	heap   []Candidate // the other known ones
	known  int         // tokens of which the logit is known
	limit  int         // tokens that may still be chosen: the first `limit` in rank order
	total  int         // tokens of the vocabulary
	floor  float32     // no unknown logit is larger

	// bounds of Σ exp(logit − max) over the vocabulary, from who gave the known tokens
	lo, hi float64
}

// newPool takes over all of cands, the first in rank order of a vocabulary of total tokens.
func newPool(cands []Candidate, total int) *pool { return new(pool).fill(cands, total) }

// fill is newPool in the memory of an older pool, which is over.
func (p *pool) fill(cands []Candidate, total int) *pool {
	*p = pool{ranked: p.ranked[:0], heap: cands, known: len(cands), limit: total, total: total, hi: math.Inf(1)}
	for i := len(cands)/2 - 1; i >= 0; i-- {
		p.sink(i)
	}
	return p
}

func (p *pool) sink(i int) {
	for {
		c := 2*i + 1
		if c >= len(p.heap) {
			return
		}
		if c+1 < len(p.heap) && p.heap[c+1].before(p.heap[c]) {
			c++
		}
		if !p.heap[c].before(p.heap[i]) {
			return
		}
		p.heap[i], p.heap[c] = p.heap[c], p.heap[i]
		i = c
	}
}

// at returns the token of rank i, counted from 0, if it is known.
func (p *pool) at(i int) (Candidate, bool) {
	for len(p.ranked) <= i {
		n := len(p.heap) - 1
		if n < 0 {
			return Candidate{}, false
		}
		p.ranked = append(p.ranked, p.heap[0])
		p.heap[0] = p.heap[n]
		p.heap = p.heap[:n]
		p.sink(0)
	}
	return p.ranked[i], true
}

func (p *pool) max() float32 {
	c, _ := p.at(0)
	return c.Logit
}

// weight is exp((l − max)/t).
func (p *pool) weight(l float32, t float64) float64 {
	return math.Exp((float64(l) - float64(p.max())) / t)
}

// mass bounds Σ weight over the tokens that may still be chosen.
func (p *pool) mass(t float64) (lo, hi float64) {
	if p.known == p.total && p.limit == p.total {
		// Nothing is cut off, so nothing need be sorted for the sum.
		for _, c := range p.ranked {
			lo += p.weight(c.Logit, t)
		}
		for _, c := range p.heap {
			lo += p.weight(c.Logit, t)
		}
		return lo, lo
	}
	for i := range min(p.limit, p.known) {
		c, _ := p.at(i)
		lo += p.weight(c.Logit, t)
	}
	if p.limit <= p.known {
		return lo, lo
	}
	// The sum over everything may be made in another order elsewhere: leave room for its rounding.
	const rounding = 1e-9
	hi = (lo + float64(p.limit-p.known)*p.weight(p.floor, t)) * (1 + rounding)
	lo *= 1 - rounding
	if t == 1 && p.limit == p.total {
		lo, hi = max(lo, p.lo), min(hi, p.hi)
	}
	return lo, hi
}

// nucleus keeps the fewest tokens that together have the share `top` of the probability.
func (p *pool) nucleus(top float64) bool {
	lo, hi := p.mass(1)
	if lo > hi {
		return false // the bounds contradict each other: trust neither
	}
	sum := 0.0
	for i := range p.limit {
		c, ok := p.at(i)
		if !ok {
			return false
		}
		sum += p.weight(c.Logit, 1)
		if sum >= top*hi {
			p.limit = i + 1
			return true
		}
		if sum >= top*lo {
			return false
		}
	}
	return true // top·mass was missed by rounding: keep all
}

// atLeast drops tokens with a smaller logit. Unknown tokens of which it cannot be said stay.
func (p *pool) atLeast(logit float64) {
	for i := range min(p.limit, p.known) {
		if c, _ := p.at(i); float64(c.Logit) < logit {
			p.limit = i
			return
		}
	}
	if p.limit <= p.known {
		return
	}
	if float64(p.floor) < logit {
		p.limit = p.known
		return
	}
	p.lo, p.hi = 0, math.Inf(1) // some of the unknown ones go, so the sum over all says nothing
}

// draw chooses the token at which the sum of weights passes the share u of them all.
func (p *pool) draw(u, t float64) (int32, bool) {
	lo, hi := p.mass(t)
	if lo > hi {
		return 0, false
	}
	sum := 0.0
	for i := range p.limit {
		c, ok := p.at(i)
		if !ok {
			return 0, false
		}
		w := p.weight(c.Logit, t)
		sum += w
		if sum > u*hi {
			return c.ID, true
		}
		if sum > u*lo {
			return 0, false
		}
		if w == 0 {
			break // none of the rest can be chosen
		}
	}
	// u is so close to 1 that rounding let it pass every token: the last that has a weight.
	for i := min(p.limit, len(p.ranked)) - 1; i >= 0; i-- {
		if c := p.ranked[i]; p.weight(c.Logit, t) > 0 {
			return c.ID, p.limit <= p.known
		}
	}
	return 0, false
}
