package verify

import (
	"context"
	"errors"
	"fmt"
)

// side is one of two models that are compared. It holds its Forwarder to the contract: every
// position once and in order, vocab finite logits each.
type side struct {
	name  string // for errors
	f     Forwarder
	vocab int
	seen  []int32   // the tokens since reset
	kept  []float32 // [positions][vocab] logits of the last keep
}

func (s *side) reset() {
	s.f.Reset()
	s.seen = s.seen[:0]
}

// feed appends tokens and hands out the logits of those from index `from`.
func (s *side) feed(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	before := len(s.seen)
	s.seen = append(s.seen, tokens...)
	want := from
	err := s.f.Forward(ctx, tokens, from, func(i int, logits []float32) error {
		if i != want || i >= len(tokens) || len(logits) != s.vocab {
			return fmt.Errorf("%d logits at index %d of %d tokens, want %d at index %d", len(logits), i, len(tokens), s.vocab, want)
		}
		want++
		if bad := firstNonFinite(logits); bad >= 0 {
			return &NonFiniteError{Model: s.name, Value: logits[bad], Token: before + i, Stage: stageUnknown}
		}
		return each(i, logits)
	})
	var bad *NonFiniteError
	switch {
	case errors.As(err, &bad):
		bad.Cause = overflow(ctx, s.f)
		return s.locate(ctx, bad)
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case want != len(tokens):
		return fmt.Errorf("%s: logits of %d positions, want %d", s.name, want-from, len(tokens)-from)
	}
	return nil
}

// keep feeds tokens and stores the logits of those from index `from`.
func (s *side) keep(ctx context.Context, tokens []int32, from int) error {
	s.kept = s.kept[:0]
	return s.feed(ctx, tokens, from, func(_ int, logits []float32) error {
		s.kept = append(s.kept, logits...)
		return nil
	})
}

// row returns the kept logits [vocab] of a position, counted from the first kept one.
func (s *side) row(i int) []float32 { return s.kept[i*s.vocab : (i+1)*s.vocab] }
