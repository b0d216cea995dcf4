package sample

import (
	"math"
	"sort"
)

// whole makes the pool one of the tokens that may still be chosen alone, all of them known and ranked, and reports whether that
// is possible.
func (p *pool) whole() bool {
	if p.limit > p.known {
		return false
	}
	for i := len(p.ranked); i < p.limit; i++ {
		p.at(i)
	}
	p.only(p.ranked[:p.limit])
	return true
}

// Ranked returns the first n of some candidates in rank order, and leaves the others in none.
func Ranked(candidates []Candidate, n int) []Candidate {
	p := newPool(candidates, len(candidates))
	for i := range n {
		p.at(i)
	}
	return p.ranked
}

// only makes the pool one of ranked tokens.
func (p *pool) only(ranked []Candidate) {
	n := len(ranked)
	*p = pool{ranked: ranked, known: n, limit: n, total: n, hi: math.Inf(1)}
}

// entropy returns the entropy of a whole pool, in nats, and the logarithm of the sum of its weights.
func (p *pool) entropy() (h, logSum float64) {
	sum := 0.0
	for _, c := range p.ranked {
		if w := p.weight(c.Logit, 1); w > 0 {
			sum += w
			h -= w * float64(c.Logit-p.max())
		}
	}
	logSum = math.Log(sum)
	return h/sum + logSum, logSum
}

// typical keeps the tokens whose surprise is nearest to the entropy, the fewest that together have the share `most` of the
// probability.
func (p *pool) typical(most float64) bool {
	if !p.whole() {
		return false
	}
	h, logSum := p.entropy()
	tokens := make([]token, 0, len(p.ranked))
	for _, c := range p.ranked {
		logShare := float64(c.Logit-p.max()) - logSum
		if share := math.Exp(logShare); share > 0 {
			tokens = append(tokens, token{c, share, math.Abs(-logShare - h)})
		}
	}
	sort.Stable(byDistance(tokens))
	kept, sum := p.ranked[:0], 0.0
	for _, t := range tokens {
		if kept = append(kept, t.Candidate); sum+t.share >= most {
			break
		}
		sum += t.share
	}
	p.only(Ranked(kept, len(kept)))
	return true
}

// exclude drops the tokens that have at least the share `threshold` of the probability, but the last of them.
func (p *pool) exclude(threshold float64) bool {
	lo, hi := p.mass(1)
	if lo > hi {
		return false
	}
	n := 0
	for n < p.limit {
		c, ok := p.at(n)
		if !ok {
			return false
		}
		w := p.weight(c.Logit, 1)
		if w < threshold*lo {
			break
		}
		if w < threshold*hi {
			return false
		}
		n++
	}
	if n > 1 {
		p.ranked = p.ranked[n-1:]
		p.known, p.limit, p.total = p.known-n+1, p.limit-n+1, p.total-n+1
		p.lo, p.hi = 0, math.Inf(1) // they were of the sum with those
	}
	return true
}

// temperature returns what logits are divided by.
func (s *Sampler) temperature(p *pool) (t float64, ok bool) {
	t = float64(s.o.Temperature)
	spread := float64(s.o.DynamicRange)
	if spread == 0 {
		return t, true
	}
	if !p.whole() {
		return 0, false
	}
	least, most := max(0, t-spread), t+spread
	share := 0.0
	if p.limit > 1 {
		h, _ := p.entropy()
		share = math.Pow(min(max(h/math.Log(float64(p.limit)), 0), 1), float64(s.o.DynamicExponent))
	}
	const coldest = 1e-6 // as good as greedy
	return max(least+(most-least)*share, coldest), true
}

// token is a candidate, with its share and how far its surprise is from the expected one.
type token struct {
	Candidate
	share, distance float64
}

// byDistance sorts tokens. slices.SortFunc would be a larger download for the browser.
type byDistance []token

func (b byDistance) Len() int           { return len(b) }
func (b byDistance) Less(i, j int) bool { return b[i].distance < b[j].distance }
func (b byDistance) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
