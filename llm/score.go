package llm

import (
	"context"
)

// scoreChunk is how many tokens of a prompt are scored in a step: the logits of each are read.
const scoreChunk = 64

// scoring reports whether tokens of the prompt are left to score. Then there are several in rest: the first has no score, and what
// the last one predicts is the text.
func (r *run) scoring() bool {
	return r.o.PromptLogprobs && r.chosen == 0 && len(r.scores) < len(r.result.Prompt)
}

// score feeds a chunk of the prompt, up to its last token, and scores the tokens that follow.
func (r *run) score(ctx context.Context) error {
	at := len(r.scores) // token at-1 is the next to be fed
	chunk := r.rest[:min(len(r.rest)-1, scoreChunk)]
	err := r.session.forward(ctx, chunk, func(i int, logits []float32) error {
		r.scores = append(r.scores, logprobOf(logits, r.result.Prompt[at+i], r.o.TopLogprobs))
		return nil
	})
	if err == nil {
		r.rest = r.rest[len(chunk):]
		r.read(nil)
	}
	return err
}

// scored adds the scores of the prompt to the first piece of a text.
func (r *run) scored(p Piece) Piece {
	p.PromptLogprobs, r.scores = r.scores, nil
	return p
}

// forward feeds tokens and calls each with the logits of tokens[i].
func (s *Session) forward(ctx context.Context, tokens []int32, each func(i int, logits []float32) error) error {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return err
	}
	return s.fedTokens(ctx, tokens, s.m.explained(ctx, s.m.engine.Forward(ctx, tokens, 0, each)))
}
