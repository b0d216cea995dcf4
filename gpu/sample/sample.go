// Package sample chooses the next token from logits. It never touches a device, and two
// samplers with the same options and the same logits choose the same tokens.
//
// The steps and their order: repeat penalty, presence and frequency penalty, logit bias, mask, top-k, top-p, min-p,
// temperature, draw. Top-p and min-p therefore see the probabilities at temperature 1. Equal logits are ranked by the lower
// token id everywhere.
package sample

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// DefaultRepeatLast is how many of the last tokens the repeat penalty looks at if RepeatLast is 0.
const DefaultRepeatLast = 64

// Options say how to choose. The zero value is greedy: always the largest logit.
type Options struct {
	Temperature   float32  // logits are divided by it; 0: greedy
	TopK          int      // keep this many of the largest logits; 0: all
	TopP          *float32 // keep the fewest tokens that together have this probability; 0: the likeliest, nil or 1: all
	MinP          float32  // keep tokens with at least this share of the largest probability; 0: all
	RepeatPenalty float32  // logits > 0 of recent tokens are divided by it, others multiplied; 0 or 1: off
	RepeatLast    int      // how many tokens are recent, prompt included; 0: DefaultRepeatLast, −1: all

	PresencePenalty  float32           // taken from the logits of recent tokens
	FrequencyPenalty float32           // taken from the logit of a recent token as often as it is there
	LogitBias        map[int32]float32 // added to the logits of these tokens; −Inf forbids one

	Seed uint64
}

// Validate reports the first option that is out of range.
func (o Options) Validate() error {
	switch t := float64(o.Temperature); {
	case !(t >= 0) || math.IsInf(t, 1):
		return fmt.Errorf("temperature %v: want 0 (greedy) or a finite number above it", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("top-k %d: want 0 (off) or more", o.TopK)
	case o.TopP != nil && !(*o.TopP >= 0 && *o.TopP <= 1):
		return fmt.Errorf("top-p %v: want a number from 0 (only the likeliest token) to 1 (off)", *o.TopP)
	case !(o.MinP >= 0 && o.MinP <= 1):
		return fmt.Errorf("min-p %v: want a number from 0 (off) to 1", o.MinP)
	case !(o.RepeatPenalty >= 0) || math.IsInf(float64(o.RepeatPenalty), 1):
		return fmt.Errorf("repeat-penalty %v: want a finite number above 0 (1, or 0: off)", o.RepeatPenalty)
	case o.RepeatLast < -1:
		return fmt.Errorf("repeat-last %d: want −1 (all tokens), 0 (the last %d) or more", o.RepeatLast, DefaultRepeatLast)
	case !isFinite(o.PresencePenalty):
		return fmt.Errorf("presence-penalty %v: want a finite number (0: off)", o.PresencePenalty)
	case !isFinite(o.FrequencyPenalty):
		return fmt.Errorf("frequency-penalty %v: want a finite number (0: off)", o.FrequencyPenalty)
	}
	for id, b := range o.LogitBias {
		if id < 0 || b != b || b > math.MaxFloat32 {
			return fmt.Errorf("logit-bias %v of token %d: want a finite number, or −Inf, for a token of the vocabulary", b, id)
		}
	}
	return nil
}

func isFinite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

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
	draw    float64 // the next random number, in [0, 1); drawn ahead so that a choice may be retried
	history []int32 // oldest first
	allowed Mask    // nil: all tokens
	work    []Candidate
}

// New returns a sampler. The error names the option that is out of range.
func New(o Options) (*Sampler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.RepeatPenalty == 0 {
		o.RepeatPenalty = 1
	}
	if o.RepeatLast == 0 {
		o.RepeatLast = DefaultRepeatLast
	}
	s := &Sampler{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x6c6c616d61776770))}
	s.draw = s.rng.Float64()
	return s, nil
}

// Accept adds a token to the history that the penalties look at. The caller decides whether
// the prompt belongs to it.
func (s *Sampler) Accept(id int32) {
	if s.o.RepeatPenalty == 1 && s.o.PresencePenalty == 0 && s.o.FrequencyPenalty == 0 {
		return
	}
	s.history = append(s.history, id)
	if n := s.o.RepeatLast; n > 0 && len(s.history) > n {
		s.history = append(s.history[:0], s.history[len(s.history)-n:]...)
	}
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
	p := newPool(s.work, len(s.work))
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

// changed returns the tokens whose logits are changed, and how often each is in the history.
func (s *Sampler) changed() map[int32]int {
	if len(s.history) == 0 && len(s.o.LogitBias) == 0 {
		return nil
	}
	set := make(map[int32]int, len(s.history)+len(s.o.LogitBias))
	for id := range s.o.LogitBias {
		set[id] = 0
	}
	for _, id := range s.history {
		set[id]++
	}
	return set
}

// adjust applies penalties and bias to the logit of a token that is n times in the history.
func (s *Sampler) adjust(id int32, n int, l float32) float32 {
	p := l
	if n > 0 {
		if l <= 0 {
			p *= s.o.RepeatPenalty
		} else {
			p /= s.o.RepeatPenalty
		}
		p -= s.o.PresencePenalty + float32(n)*s.o.FrequencyPenalty
	}
	bias := s.o.LogitBias[id]
	if math.IsInf(float64(l), -1) || math.IsInf(float64(bias), -1) {
		return float32(math.Inf(-1))
	}
	// A finite logit stays finite: an extreme penalty must not turn into "forbidden" or NaN.
	return min(max(p+bias, -math.MaxFloat32), math.MaxFloat32)
}

// raises reports whether the logit of a token that is n times in the history may become larger.
func (s *Sampler) raises(id int32, n int) bool {
	change := s.o.LogitBias[id]
	if n > 0 {
		change -= s.o.PresencePenalty + float32(n)*s.o.FrequencyPenalty
	}
	return change > 0 || n > 0 && s.o.RepeatPenalty < 1
}

// choose narrows the pool and draws from what is left. It reports false if the tokens that the
// pool does not know could change the outcome; then no random number was used up.
func (s *Sampler) choose(p *pool) (int32, bool) {
	best, ok := p.at(0)
	if !ok || s.o.Temperature == 0 {
		return best.ID, ok
	}
	if s.o.TopK > 0 {
		p.limit = min(p.limit, s.o.TopK)
	}
	if s.o.TopP != nil && *s.o.TopP < 1 && !p.nucleus(float64(*s.o.TopP)) {
		return 0, false
	}
	if s.o.MinP > 0 {
		p.atLeast(float64(best.Logit) + math.Log(float64(s.o.MinP)))
	}
	id, ok := p.draw(s.draw, float64(s.o.Temperature))
	if ok {
		s.draw = s.rng.Float64()
	}
	return id, ok
}
