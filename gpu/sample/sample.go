// Package sample chooses the next token from logits. It never touches a device, and two
// samplers with the same options and the same logits choose the same tokens.
//
// The steps and their order: repeat penalty, presence and frequency penalty, DRY, logit bias, mask, top-k, typical, top-p,
// min-p, XTC, temperature (dynamic, if wanted), draw. All but the last two therefore see the probabilities at temperature 1.
// Equal logits are ranked by the lower token id everywhere.
package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Candidate is a token and its logit.
type Candidate struct {
	ID    int32
	Logit float32
}

// before reports whether a ranks above b.
func (a Candidate) before(b Candidate) bool {
	return a.Logit > b.Logit || a.Logit == b.Logit && a.ID < b.ID
}

// Sampler chooses tokens. It is for one sequence and one goroutine.
type Sampler struct {
	o       Options
	rng     *rand.Rand
	draw    float64           // the next random number, in [0, 1); drawn ahead so that a choice may be retried
	exclude float64           // likewise, for whether XTC cuts
	history []int32           // oldest first
	allowed Mask              // nil: all tokens
	breaks  Mask              // tokens that no repetition crosses
	repeats map[int32]float32 // what DRY takes from logits, nil: not known yet
	work    []Candidate
	pool    pool
}

// New returns a sampler. The error names the option that is out of range.
func New(o Options) (*Sampler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.fill()
	s := &Sampler{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x6c6c616d61776770))}
	s.advance()
	return s, nil
}

// advance draws the random numbers of the next choice.
func (s *Sampler) advance() {
	s.draw = s.rng.Float64()
	if s.o.XTCProbability > 0 {
		s.exclude = s.rng.Float64()
	}
}

// Accept adds a token to the history that the penalties look at. The caller decides whether
// the prompt belongs to it.
func (s *Sampler) Accept(id int32) {
	n := s.o.remember()
	if n == 0 {
		return
	}
	s.repeats = nil
	s.history = append(s.history, id)
	if n > 0 && len(s.history) > 2*n { // now and then, so that a token costs no copy of them all
		s.history = append(s.history[:0], s.history[len(s.history)-n:]...)
	}
}

// recent returns the last n tokens of the history, all if n is −1.
func (s *Sampler) recent(n int) []int32 {
	if n < 0 {
		return s.history
	}
	return s.history[max(0, len(s.history)-n):]
}

// ErrNotFinite is what logits are that no token can be chosen from.
var ErrNotFinite = errors.New("the logits are not finite")

// Sample chooses a token from the logits of the whole vocabulary. A logit of −Inf forbids its
// token; NaN and +Inf are errors. It does not call Accept.
func (s *Sampler) Sample(logits []float32) (int32, error) {
	if err := check(logits); err != nil {
		return 0, err
	}
	s.work = s.work[:0]
	for i, l := range logits {
		s.work = append(s.work, Candidate{int32(i), l})
	}
	for id, n := range s.changed() {
		if int(id) >= len(logits) || id < 0 {
			return 0, fmt.Errorf("penalties: token %d was accepted or has a bias, the logits have %d tokens", id, len(logits))
		}
		s.work[id].Logit = s.adjust(id, n, logits[id])
	}
	s.work = s.only(s.work)
	p := s.pool.fill(s.work, len(s.work))
	if p.known == 0 {
		return 0, fmt.Errorf("none of %d tokens is allowed", len(logits))
	}
	if p.max() == float32(math.Inf(-1)) {
		return 0, fmt.Errorf("all %d logits are −Inf: no token is allowed", len(logits))
	}
	id, ok := s.choose(p)
	if !ok {
		return 0, fmt.Errorf("%d logits decided nothing", len(logits))
	}
	return id, nil
}

func check(logits []float32) error {
	if len(logits) == 0 {
		return fmt.Errorf("no logits")
	}
	for i, l := range logits {
		if l != l || l > math.MaxFloat32 {
			return fmt.Errorf("%w: that of token %d is %v", ErrNotFinite, i, l)
		}
	}
	return nil
}

// change is what the penalties know of a token.
type change struct {
	times int     // it is so often among the recent ones
	dry   float32 // what DRY takes from its logit
}

// changed returns the tokens whose logits are changed.
func (s *Sampler) changed() map[int32]change {
	if len(s.history) == 0 && len(s.o.LogitBias) == 0 {
		return nil
	}
	set := make(map[int32]change, len(s.o.LogitBias))
	for id := range s.o.LogitBias {
		set[id] = change{}
	}
	if s.o.penalizes() {
		for _, id := range s.recent(s.o.RepeatLast) {
			c := set[id]
			c.times++
			set[id] = c
		}
	}
	for id, dry := range s.repeated() {
		c := set[id]
		c.dry = dry
		set[id] = c
	}
	return set
}

// adjust applies penalties and bias to the logit of a token.
func (s *Sampler) adjust(id int32, c change, l float32) float32 {
	p := l
	if c.times > 0 {
		if l <= 0 {
			p *= s.o.RepeatPenalty
		} else {
			p /= s.o.RepeatPenalty
		}
		p -= s.o.PresencePenalty + float32(c.times)*s.o.FrequencyPenalty
	}
	bias := s.o.LogitBias[id]
	if math.IsInf(float64(l), -1) || math.IsInf(float64(bias), -1) {
		return float32(math.Inf(-1))
	}
	// A finite logit stays finite: an extreme penalty must not turn into "forbidden" or NaN.
	return min(max(p-c.dry+bias, -math.MaxFloat32), math.MaxFloat32)
}

// raises reports whether the logit of a token may be larger than it was.
func (s *Sampler) raises(id int32, c change) bool {
	raised := s.o.LogitBias[id] - c.dry
	if c.times > 0 {
		raised -= s.o.PresencePenalty + float32(c.times)*s.o.FrequencyPenalty
	}
	return raised > 0 || c.times > 0 && s.o.RepeatPenalty < 1
}

// choose narrows the pool and draws from what is left. It reports false if the tokens that the
// pool does not know could change the outcome; then no random number was used up.
func (s *Sampler) choose(p *pool) (int32, bool) {
	best, ok := p.at(0)
	if !ok || s.o.Temperature == 0 {
		return best.ID, ok
	}
	if !s.narrow(p) {
		return 0, false
	}
	t, ok := s.temperature(p)
	if !ok {
		return 0, false
	}
	id, ok := p.draw(s.draw, t)
	if ok {
		s.advance()
	}
	return id, ok
}

// narrow cuts off tokens, if that can be decided.
func (s *Sampler) narrow(p *pool) bool {
	if s.o.TopK > 0 {
		p.limit = min(p.limit, s.o.TopK)
	}
	if s.o.TypicalP > 0 && s.o.TypicalP < 1 && !p.typical(float64(s.o.TypicalP)) {
		return false
	}
	if s.o.TopP != nil && *s.o.TopP < 1 && !p.nucleus(float64(*s.o.TopP)) {
		return false
	}
	if s.o.MinP > 0 {
		p.atLeast(float64(p.max()) + math.Log(float64(s.o.MinP)))
	}
	return s.o.XTCProbability == 0 || s.exclude >= float64(s.o.XTCProbability) || p.exclude(float64(s.o.XTCThreshold))
}
