package llm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/internal/option"
)

// Pooling says which hidden states an embedding is made of.
type Pooling string

// The choices. Models that were trained to embed say which: most decoders the last one.
const (
	PoolLast Pooling = "last" // that of the last token; "" means the same
	PoolMean Pooling = "mean" // the mean of all
)

// Validate reports a pooling that there is not, as an *OptionError.
func (p Pooling) Validate() error {
	switch p {
	case "", PoolLast, PoolMean:
		return nil
	}
	return option.New("pooling", strconv.Quote(string(p)), errors.New("want last or mean"))
}

// embedding is one on its way.
type embedding struct {
	pooling Pooling
	sum     []float64 // of hidden states

	advance func(ctx context.Context) (p Piece, added bool, err error) // embed: the browser, which makes none, carries no code for it
}

// embedChunk is how many tokens are fed in a step.
const embedChunk = 512

// newEmbedding checks the options and prepares an embedding of tokens.
func newEmbedding(m *Model, tokens []int32, p Pooling) (*run, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	r, err := newRun(0, m, tokens, &GenerateOptions{})
	if err != nil {
		return nil, err
	}
	r.embedding = &embedding{pooling: p, advance: r.embed}
	return r, nil
}

// embed computes a chunk of the text; the last one ends it.
func (r *run) embed(ctx context.Context) (p Piece, added bool, err error) {
	chunk := r.rest[:min(len(r.rest), embedChunk)]
	from := 0
	if r.embedding.pooling != PoolMean {
		from = len(chunk)
		if len(chunk) == len(r.rest) {
			from--
		}
	}
	if err := r.session.hidden(ctx, chunk, from, r.embedding.add); err != nil {
		return Piece{}, false, err
	}
	if r.rest = r.rest[len(chunk):]; len(r.rest) > 0 {
		return Piece{}, false, nil
	}
	return r.end(-1, "", FinishLength), true, nil
}

// needsAll reports whether something of all tokens of the prompt is wanted, also of those that a cache has.
func (r *run) needsAll() bool {
	return r.embedding != nil && r.embedding.pooling == PoolMean || r.o.PromptLogprobs
}

func (e *embedding) add(_ int, hidden []float32) error {
	if e.sum == nil {
		e.sum = make([]float64, len(hidden))
	}
	for i, v := range hidden {
		e.sum[i] += float64(v)
	}
	return nil
}

// Unit returns a vector scaled to length 1. The error says why one cannot be: it is 0, or not finite.
func Unit[T float32 | float64](v []T) ([]float32, error) {
	squares := 0.0
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	length := math.Sqrt(squares)
	if !(length > 0) || math.IsInf(length, 1) {
		return nil, fmt.Errorf("an embedding has a length of %v: it cannot be scaled to 1", length)
	}
	unit := make([]float32, len(v))
	for i, x := range v {
		unit[i] = float32(float64(x) / length)
	}
	return unit, nil
}

// hidden feeds tokens and calls each with the hidden states of tokens[i] for i ≥ from.
func (s *Session) hidden(ctx context.Context, tokens []int32, from int, each func(i int, hidden []float32) error) error {
	defer s.m.mu.Unlock()
	if err := s.use(); err != nil {
		return err
	}
	return s.fedTokens(ctx, tokens, s.m.engine.Hidden(ctx, tokens, from, each))
}

// Embed returns the embedding of a text [Hidden], scaled to length 1: of the hidden states after the final norm, the last one or
// the mean. The error is ErrTooLong if the text is longer than the context.
func (s *Session) Embed(ctx context.Context, tokens []int32, p Pooling) ([]float32, error) {
	r, err := newEmbedding(s.m, tokens, p)
	if err != nil {
		return nil, err
	}
	if err := s.take(); err != nil {
		return nil, err
	}
	defer s.leave()
	r.alone(ctx, s, func(_ Piece, failed error) bool {
		err = failed
		return true
	})
	if err != nil {
		return nil, err
	}
	return Unit(r.embedding.sum)
}
