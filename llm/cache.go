package llm

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// use locks the engine and selects the session's sequence; after it, m.mu is to be unlocked whatever it returns.
func (s *Session) use() error {
	s.m.mu.Lock()
	switch {
	case s.m.closed:
		return fmt.Errorf("model: %w", ErrClosed)
	case s.closed:
		return fmt.Errorf("session: %w", ErrClosed)
	}
	return s.m.engine.Select(s.sequence)
}

// reset forgets the cache. It needs m.mu.
func (s *Session) reset() {
	_ = s.m.engine.Select(s.sequence) // there is one
	s.m.engine.Reset()
	s.fed, s.own = nil, math.MaxInt
}

// resume goes back to where tokens differ from what the cache holds, and returns those that are to be fed: one at
// least, whose logits are wanted.
func (s *Session) resume(tokens []int32) ([]int32, error) {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return nil, err
	}
	return s.rewind(tokens, len(tokens)-1)
}

// shift makes room in a sequence that is full: of its tokens after the first keep, the older half is dropped. It returns
// what is to be fed, and how many tokens were dropped. The tokens that stay move in the cache, where that is possible;
// otherwise they are computed anew, and fed as well.
func (s *Session) shift(next []int32, keep int) (rest []int32, dropped int, err error) {
	fed := s.Tokens()
	dropped = (len(fed) - keep + 1) / 2
	if moved, err := s.move(keep, dropped); moved || err != nil {
		return next, dropped, err
	}
	rest, err = s.resume(slices.Concat(fed[:keep], fed[keep+dropped:], next))
	return rest, dropped, err
}

// move drops tokens from the cache and moves those after them, or reports that this cannot be done: not by the engine, or
// not well, because models look at the first token wherever they find nothing else.
func (s *Session) move(keep, dropped int) (bool, error) {
	if keep == 0 {
		return false, nil
	}
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return false, err
	}
	moved, err := s.m.engine.Shift(keep, dropped)
	switch {
	case err != nil:
		s.reset()
	case moved:
		s.fed = slices.Delete(s.fed, keep, keep+dropped)
		s.own = keep
	}
	return moved, err
}

// full reports whether the sequence cannot take another token.
func (s *Session) full() bool {
	defer s.m.mu.Unlock()
	return s.use() == nil && s.m.engine.Room() == 0
}

// rewind is resume for a sequence that is selected; at most the first `most` tokens are taken from the cache.
func (s *Session) rewind(tokens []int32, most int) ([]int32, error) {
	n := 0
	for n < min(len(s.fed), s.own, most) && s.fed[n] == tokens[n] {
		n++
	}
	for n > 0 && !s.m.engine.CanRewind(n) {
		n--
	}
	if err := s.m.engine.Rewind(n); err != nil {
		return nil, err
	}
	s.fed, s.own = s.fed[:n], math.MaxInt
	return tokens[n:], nil
}

// fedTokens notes that tokens were fed, or as many of them as there were when the context ended. After another error
// the cache is empty. It needs m.mu.
func (s *Session) fedTokens(ctx context.Context, tokens []int32, err error) error {
	switch {
	case err == nil:
		s.fed = append(s.fed, tokens...)
	case ctx.Err() != nil && s.m.engine.Select(s.sequence) == nil:
		s.fed = append(s.fed, tokens...)
		s.fed = s.fed[:min(len(s.fed), s.m.engine.Position())]
	default:
		s.reset()
	}
	return err
}

// keptShort is how many tokens before the end of a prompt states are kept. Where the next prompt differs from this one and
// what was written after it, it does so at the end of this one at the earliest in most chats: what opens the answer may go.
const keptShort = 8

// prefill feeds a chunk of a long prompt and reports how many tokens it had, 0 if there is only one chunk. Where states
// are kept, the last chunk begins.
func (s *Session) prefill(ctx context.Context, tokens []int32) (int, error) {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return 0, err
	}
	e := s.m.engine
	n, err := e.Prefill(ctx, tokens)
	switch last := len(tokens) - keptShort; {
	case n > 0 || err != nil || !e.Recurrent():
	case last > 0:
		n, err = last, e.Forward(ctx, tokens[:last], last, nil)
	default:
		return 0, e.Keep()
	}
	fed := tokens
	if err == nil {
		fed = tokens[:n]
	}
	return n, s.fedTokens(ctx, fed, err)
}

// next feeds tokens and chooses the one after them, as the run does.
func (s *Session) next(ctx context.Context, tokens []int32, r *run) (id int32, err error) {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return 0, err
	}
	e := s.m.engine
	candidates, sum, err := e.Top(ctx, tokens)
	if err == nil {
		id, err = r.choose(candidates, sum, e.VocabSize(), func() ([]float32, error) { return e.Logits(ctx) })
	}
	return id, s.fedTokens(ctx, tokens, s.m.explained(ctx, err))
}

// choose returns the next token that the text's form allows: of the largest logits, or of all if those do not decide it.
func (r *run) choose(candidates []sample.Candidate, logSumExp float64, vocab int, all func() ([]float32, error)) (int32, error) {
	if err := r.form.allow(r.sampler); err != nil {
		return 0, err
	}
	id, ok := r.sampler.SampleTop(candidates, logSumExp, vocab)
	if !ok {
		logits, err := all()
		if err != nil {
			return 0, err
		}
		if id, err = r.sampler.Sample(logits); err != nil {
			return 0, err
		}
	}
	if !r.o.Logprobs {
		return id, nil
	}
	var err error
	r.last, err = r.logprob(id, candidates, logSumExp, all)
	return id, err
}
