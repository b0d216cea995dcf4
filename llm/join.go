package llm

import (
	"context"
	"fmt"

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
