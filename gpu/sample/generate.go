package sample

import (
	"context"
	"errors"
	"iter"
)

// Model is what Generate drives: verify.Reference, or a transformer on a GPU.
type Model interface {
	// Forward feeds tokens after those already fed and calls each with the logits of tokens[i]
	// for i ≥ from. The slice is used again.
	Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error
}

// topper is a Model that hands over its largest logits alone.
type topper interface {
	VocabSize() int
	// Top feeds tokens and returns the largest logits of the last one and ln Σ exp over all.
	Top(ctx context.Context, tokens []int32) ([]Candidate, float64, error)
	// Logits returns all logits of the token that Top was last asked for.
	Logits(ctx context.Context) ([]float32, error)
}

// Generate feeds the prompt to m and yields up to n tokens, each chosen by s and fed in turn.
// It does not know which token ends a text: break when it comes. The prompt counts for the repeat
// penalty. An error ends the sequence.
func Generate(ctx context.Context, m Model, s *Sampler, prompt []int32, n int) iter.Seq2[int32, error] {
	return func(yield func(int32, error) bool) {
		if len(prompt) == 0 {
			yield(0, errors.New("the prompt has no token"))
			return
		}
		for _, id := range prompt {
			s.Accept(id)
		}
		tokens := prompt
		for range n {
			id, err := next(ctx, m, s, tokens)
			if err != nil {
				yield(0, err)
				return
			}
			s.Accept(id)
			if !yield(id, nil) {
				return
			}
			tokens = []int32{id}
		}
	}
}

// next feeds tokens and chooses the one after them.
func next(ctx context.Context, m Model, s *Sampler, tokens []int32) (id int32, err error) {
	t, ok := m.(topper)
	if !ok {
		err = m.Forward(ctx, tokens, len(tokens)-1, func(_ int, logits []float32) error {
			id, err = s.Sample(logits)
			return err
		})
		return id, err
	}
	return nextTop(ctx, t, s, tokens)
}

// nextTop is next for a model that hands over its largest logits.
func nextTop(ctx context.Context, t topper, s *Sampler, tokens []int32) (int32, error) {
	candidates, logSumExp, err := t.Top(ctx, tokens)
	if err != nil {
		return 0, err
	}
	if id, ok := s.SampleTop(candidates, logSumExp, t.VocabSize()); ok {
		return id, nil
	}
	logits, err := t.Logits(ctx)
	if err != nil {
		return 0, err
	}
	return s.Sample(logits)
}
