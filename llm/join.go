package llm

import (
	"context"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Joiner is an Engine that can feed several prompts in one pass, which reads the weights once for all of them.
type Joiner interface {
	// TopOfPrompts feeds tokens[i], a prompt or what is left of it, to sequences[i], as many as one pass takes: in order, at least
	// one token of the first, and all of each but the last that it begins. fed says how many of each; those past len(fed) have to
	// wait. It calls each with what TopOf does, for the sequences whose tokens were fed to the end, which are the first ones;
	// LogitsOf is then that of their last tokens. After an error, fed may be nil: then it is about the first sequence.
	TopOfPrompts(ctx context.Context, sequences []int, tokens [][]int32, each func(i int, candidates []sample.Candidate, logSumExp float64) error) (fed []int, err error)
}

// found takes what an engine has found of the i-th of several texts: the largest logits, and ln Σ exp over all of them.
type found = func(i int, candidates []sample.Candidate, logSumExp float64) error

// joined is what a pass has made of a prompt.
type joined struct {
	id   int32 // the token that follows, if the prompt has ended
	ends bool
	err  error
}

// join feeds as many tokens of several prompts as a pass takes, and chooses the token after those that end. The engine is a Joiner.
// Texts past len(all) have to wait; an error is about the first.
func (m *Model) join(ctx context.Context, runs []*run) (all []joined, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("model: %w", ErrClosed)
	}
	sequences, tokens := make([]int, len(runs)), make([][]int32, len(runs))
	for i, r := range runs {
		sequences[i], tokens[i] = r.session.sequence, r.rest
	}
	var fed []int
	ids, failed := make([]int32, len(runs)), make([]error, len(runs))
	err = m.explained(ctx, m.choose(ctx, runs, ids, failed, func(each found) (err error) {
		fed, err = m.engine.(Joiner).TopOfPrompts(ctx, sequences, tokens, each)
		return err
	}))
	if len(fed) == 0 {
		return nil, runs[0].session.fedTokens(ctx, tokens[0], err)
	}
	all = make([]joined, len(fed))
	for i, n := range fed {
		r := runs[i]
		r.rest = r.rest[n:]
		all[i] = joined{ids[i], len(r.rest) == 0, err}
		if err == nil {
			all[i].err = m.explained(ctx, failed[i])
		}
		all[i].err = r.session.fedTokens(ctx, tokens[i][:n], all[i].err)
	}
	return all, nil
}

// Where prompts do not share passes, a step computes chunks of several if together they have no more than promptTokens, where a
// shorter one than leastPrompt counts as leastPrompt: a pass costs that much however short it is.
const (
	promptTokens = 256
	leastPrompt  = 16
)

// prompts computes a chunk of one prompt, and of those after it that find room beside it: in one pass, if the engine can do that.
// Many short prompts that come at once would otherwise begin one by one, and most steps would be of a few texts.
func (s *Scheduler) prompts(texts []*text) {
	if len(texts) == 0 {
		return
	}
	s.order(texts)
	if joined := s.joined(texts); len(joined) > 1 {
		s.join(joined)
		return
	}
	for i, left := 0, promptTokens; i < len(texts); i++ {
		left -= max(leastPrompt, len(texts[i].rest))
		if i > 0 && left < 0 {
			return
		}
		s.prompt(texts[i])
	}
}

// order puts first, by turns, the prompt that began first or the one that has the least left: so short ones need not wait for long
// ones, nor those for ever.
func (s *Scheduler) order(texts []*text) {
	if s.turn++; s.turn%2 == 0 {
		slices.SortStableFunc(texts, func(a, b *text) int { return len(a.rest) - len(b.rest) })
	}
}

// prompt computes a chunk of a prompt; after the last one, the first token.
func (s *Scheduler) prompt(t *text) {
	if p, added, err := t.advance(s.ctx); err != nil || added {
		s.took(t, p, err)
	}
}

// joinable reports whether a text's prompt can be computed together with others.
func (r *run) joinable() bool { return r.embedding == nil && !r.scoring() && r.o.most() > 0 }

// joined returns the prompts that can be computed in one pass, if the first can.
func (s *Scheduler) joined(texts []*text) (all []*text) {
	if _, ok := s.m.engine.(Joiner); !ok || s.m.engine.Recurrent() {
		return nil
	}
	for i, t := range texts {
		switch {
		case t.joinable():
			all = append(all, t)
		case i == 0:
			return nil
		}
	}
	return all
}

// join computes a pass over several prompts, and the first token of those that end in it.
func (s *Scheduler) join(texts []*text) {
	all, err := s.m.join(s.ctx, runsOf(texts))
	for i, one := range all {
		t := texts[i]
		switch {
		case one.err != nil:
			s.fail(t, one.err)
		case one.ends:
			p, err := t.take(one.id)
			s.took(t, p, err)
		default:
			t.read(nil)
		}
	}
	if err != nil {
		s.fail(texts[0], err)
	}
}

// runsOf returns the runs of some texts.
func runsOf(texts []*text) []*run {
	runs := make([]*run, len(texts))
	for i, t := range texts {
		runs[i] = t.run
	}
	return runs
}
