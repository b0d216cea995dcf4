package llm

import (
	"math"
	"slices"
)

// Copier is an Engine that can copy what it has computed of one sequence to another.
type Copier interface {
	// CopyFrom makes the selected sequence one of the first n tokens of another, for which CanRewind(n) is true.
	CopyFrom(sequence, n int) error
}

// leastShared is how many tokens of a prompt another sequence must hold for them to be copied. A pass over fewer tokens takes
// about as long as one over a single token: the time that reading the weights takes.
const leastShared = 64

// common reports how many tokens two lists have in common at the beginning.
func common(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// offers reports how many of the tokens are in the session's cache, and at least least: one could go on behind them.
// If there are fewer, it is 0.
func (s *Session) offers(tokens []int32, least int) int {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.offered(tokens, least)
}

// offered is offers for whoever has m.mu. It selects the sequence.
func (s *Session) offered(tokens []int32, least int) int {
	n := min(common(s.fed, tokens), s.own)
	if n < least || s.closed || s.m.closed || s.m.engine.Select(s.sequence) != nil {
		return 0
	}
	for n >= least && n > 0 && !s.m.engine.CanRewind(n) {
		n--
	}
	if n < least {
		return 0
	}
	return n
}

// copyFrom replaces the session's cache by these tokens of another's, unless that has lost them meanwhile: whoever was lent it
// may have put something else there.
func (s *Session) copyFrom(from *Session, tokens []int32) (copied bool, err error) {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return false, err
	}
	if from.offered(tokens, len(tokens)) < len(tokens) {
		return false, nil
	}
	if err := s.m.engine.Select(s.sequence); err != nil {
		return false, err
	}
	if err := s.m.engine.(Copier).CopyFrom(from.sequence, len(tokens)); err != nil {
		s.reset()
		return false, err
	}
	s.fed, s.own = slices.Clone(tokens), math.MaxInt
	return true, nil
}

// reading reports whether a text's prompt is being read that can be shared: not one that a shift has changed.
func (r *run) reading() bool { return r.chosen == 0 && len(r.rest) > 0 }

// have reports how many tokens of its prompt the text has in its cache.
func (r *run) have() int { return len(r.result.Prompt) - len(r.rest) }

// sharable returns the tokens that a text can take from others' caches: all but the last, whose logits are wanted.
func (r *run) sharable() []int32 {
	if !r.reading() || r.needsAll() {
		return nil
	}
	return r.result.Prompt[:len(r.result.Prompt)-1]
}

// takeOver copies what one of some sessions has computed of a text's prompt, if it is enough. It returns how many tokens that
// saves. The engine is a Copier.
func (r *run) takeOver(sessions []*Session) (int, error) {
	tokens, have := r.sharable(), r.have()
	if tokens == nil {
		return 0, nil
	}
	var from *Session
	most := have + leastShared - 1
	for _, o := range sessions {
		if o == r.session {
			continue
		}
		if n := o.offers(tokens, most+1); n > 0 {
			from, most = o, n
		}
	}
	if from == nil {
		return 0, nil
	}
	if copied, err := r.session.copyFrom(from, tokens[:most]); err != nil || !copied {
		return 0, err
	}
	r.rest = r.result.Prompt[most:]
	r.result.Stats.CachedTokens += most - have
	r.read(nil)
	return most - have, nil
}

// catchUp has a text wait while another computes what this one's prompt begins with, and then take that over. States must be
// taken over while they are those of a position of the prompt: after each chunk.
func (s *Scheduler) catchUp(t *text) {
	waited := t.waits
	t.waits = s.couldTake(t)
	if !waited || t.waits && !s.m.engine.Recurrent() {
		return
	}
	if err := s.share(t); err != nil {
		s.fail(t, err)
	}
}

// joins reports whether a text has but one token of its prompt to compute, which the texts that have begun can take along.
func (s *Scheduler) joins(t *text) bool {
	return t.reading() && len(t.rest) == 1 && t.joinable() && !s.m.engine.Recurrent()
}

// couldTake reports whether a text that began earlier is about to compute tokens that this one can then take over.
func (s *Scheduler) couldTake(t *text) bool {
	tokens := t.sharable()
	if !s.copies || tokens == nil {
		return false
	}
	for _, u := range s.active {
		if u == t {
			return false
		}
		if n := common(u.result.Prompt, tokens); u.reading() && n-t.have() >= leastShared && u.have() < n {
			return true
		}
	}
	return false
}

// share gives a text what another sequence has computed of its prompt.
func (s *Scheduler) share(t *text) error {
	if !s.copies {
		return nil
	}
	n, err := t.takeOver(s.sessions)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.SharedTokens += n
	return err
}
