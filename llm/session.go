package llm

import (
	"context"
	"fmt"
	"iter"
)

// Session is one of a model's sequences. It remembers the tokens whose keys and values are in the cache: a prompt that
// begins with the same tokens is computed only from the first difference on. It is for one goroutine at a time.
type Session struct {
	m        *Model
	sequence int

	// guarded by m.mu
	fed    []int32 // tokens in the cache
	own    int     // how many of the first of them were computed after no others: those that came after a shift also know what was dropped
	busy   bool    // a text is being generated
	closed bool
}

// Generate continues a prompt until the model ends its text, a stop sequence appears, or MaxTokens is reached. It yields
// a Piece for each token as soon as it is chosen; the last piece has the Result. Nothing runs between two pieces: the
// reader sets the pace, and leaving the loop ends the text.
//
// An error ends the text. When ctx ends, which is noticed within one chunk of a long prompt, a last piece with
// FinishCanceled comes before the error, and what was computed stays in the cache.
func (s *Session) Generate(ctx context.Context, prompt string, o GenerateOptions) iter.Seq2[Piece, error] {
	return s.generate(ctx, &o, func() ([]int32, error) { return s.m.vocabulary.Prompt(prompt, !o.NoBOS) })
}

// Chat is Generate for the answer to a conversation. Give the whole conversation each time: what the cache holds of it is
// not computed again. To continue, append Result.Text as a message of the assistant.
func (s *Session) Chat(ctx context.Context, messages []Message, o GenerateOptions) iter.Seq2[Piece, error] {
	return s.generate(ctx, &o, func() (ids []int32, err error) {
		ids, err = s.m.vocabulary.Conversation(messages, o.Template)
		if o.Keep == 0 && o.cuts() && err == nil {
			o.Keep = s.m.vocabulary.Opening(messages, o.Template)
		}
		return ids, err
	})
}

// GenerateTokens is Generate with a prompt of tokens.
func (s *Session) GenerateTokens(ctx context.Context, prompt []int32, o GenerateOptions) iter.Seq2[Piece, error] {
	return s.generate(ctx, &o, func() ([]int32, error) { return prompt, nil })
}

// generate continues the prompt that a function returns, which may change the options.
func (s *Session) generate(ctx context.Context, o *GenerateOptions, prompt func() ([]int32, error)) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		ids, err := prompt()
		if err != nil {
			yield(Piece{}, err)
			return
		}
		r, err := newRun(0, s.m, ids, o)
		if err != nil {
			yield(Piece{}, err)
			return
		}
		if err := s.take(); err != nil {
			yield(Piece{}, err)
			return
		}
		defer s.leave()
		r.alone(ctx, s, yield)
	}
}

// Logits feeds a sequence of tokens and calls each with the logits [VocabSize] of tokens[i] for i ≥ from, in order. The
// slice is used again. Tokens before from that the cache has are not computed again.
func (s *Session) Logits(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	if from < 0 || from >= len(tokens) {
		return fmt.Errorf("logits from token %d on: there are %d tokens", from, len(tokens))
	}
	if err := s.take(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.m.fits(len(tokens)); err != nil {
		return err
	}
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return err
	}
	rest, err := s.rewind(tokens, from)
	if err != nil {
		return err
	}
	at := len(tokens) - len(rest)
	err = s.m.engine.Forward(ctx, rest, from-at, func(i int, logits []float32) error { return each(at+i, logits) })
	return s.fedTokens(ctx, rest, err)
}

// Tokens returns the tokens in the cache.
func (s *Session) Tokens() []int32 {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return append([]int32{}, s.fed...)
}

// Reset forgets the cache.
func (s *Session) Reset() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if !s.closed && !s.m.closed {
		s.reset()
	}
}

// Close gives the sequence back.
func (s *Session) Close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if !s.closed {
		s.closed, s.fed = true, nil
		s.m.sessions[s.sequence] = nil
	}
}

// take begins a text; leave ends it.
func (s *Session) take() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("session: %w", ErrClosed)
	case s.busy:
		return ErrBusy
	}
	s.busy = true
	return nil
}

func (s *Session) leave() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.busy = false
}
