package sample

import (
	"context"
	"errors"
	"fmt"
)

// Batch is what GenerateBatch drives: a transformer with several sequences, of which one is selected.
type Batch interface {
	topper
	Sequences() int
	Select(sequence int) error
	Reset() // the selected sequence
	// TopOf feeds one token to each of some sequences and calls each with what Top returns, of tokens[i].
	TopOf(ctx context.Context, sequences []int, tokens []int32, each func(i int, candidates []Candidate, logSumExp float64) error) error
	// LogitsOf returns all logits of the i-th token that TopOf was last asked for.
	LogitsOf(ctx context.Context, i int) ([]float32, error)
}

// Request is a text to be continued.
type Request struct {
	Prompt  []int32 // one token at least
	N       int     // generate at most so many tokens
	Sampler *Sampler
	Begin   func()              // called when its prompt is about to be fed
	Take    func(id int32) bool // called with each token; false ends the text
	End     func()              // called when it has ended
}

// GenerateBatch continues requests, as many at once as m has sequences; when one ends, the next takes its
// place. Requests begin in order. Each is given the tokens that it would be given alone, as far as the
// rounding of float32 lets a product of several vectors be the same as of one. An error ends all.
func GenerateBatch(ctx context.Context, m Batch, requests []Request) error {
	b := batch{m: m}
	count := len(requests)
	for s := range m.Sequences() {
		b.free = append(b.free, s)
	}
	for {
		for len(b.free) > 0 && len(requests) > 0 {
			if err := b.begin(ctx, &requests[0]); err != nil {
				return fmt.Errorf("prompt %d: %w", count-len(requests)+1, err)
			}
			requests = requests[1:]
		}
		if len(b.active) == 0 {
			return nil
		}
		if err := b.step(ctx); err != nil {
			return err
		}
	}
}

// batch is the state of GenerateBatch. active, sequences and tokens belong together.
type batch struct {
	m         Batch
	free      []int // sequences
	active    []*running
	sequences []int
	tokens    []int32 // to be fed next
}

// running is a request that is being continued.
type running struct {
	*Request
	count int // tokens generated
}

// begin feeds a prompt to a free sequence and chooses the first token.
func (b *batch) begin(ctx context.Context, r *Request) error {
	if len(r.Prompt) == 0 {
		return errors.New("the prompt has no token")
	}
	r.Begin()
	if r.N < 1 {
		r.End()
		return nil
	}
	s := b.free[len(b.free)-1]
	if err := b.m.Select(s); err != nil {
		return err
	}
	b.m.Reset()
	for _, id := range r.Prompt {
		r.Sampler.Accept(id)
	}
	id, err := nextTop(ctx, b.m, r.Sampler, r.Prompt)
	if err != nil {
		return err
	}
	if a := (&running{Request: r}); a.take(id) {
		b.free = b.free[:len(b.free)-1]
		b.active, b.sequences, b.tokens = append(b.active, a), append(b.sequences, s), append(b.tokens, id)
	}
	return nil
}

// take hands a token over and reports whether there are to be more.
func (r *running) take(id int32) bool {
	r.Sampler.Accept(id)
	r.count++
	if r.Take(id) && r.count < r.N {
		return true
	}
	r.End()
	return false
}

// step feeds a token to each running sequence and chooses the next ones.
func (b *batch) step(ctx context.Context) error {
	err := b.m.TopOf(ctx, b.sequences, b.tokens, func(i int, candidates []Candidate, logSumExp float64) error {
		id, err := b.choose(ctx, i, candidates, logSumExp)
		if err != nil {
			return fmt.Errorf("sequence %d: %w", b.sequences[i], err)
		}
		b.tokens[i] = id
		return nil
	})
	if err != nil {
		return err
	}
	kept := 0
	for i, a := range b.active {
		if !a.take(b.tokens[i]) {
			b.free = append(b.free, b.sequences[i])
			continue
		}
		b.active[kept], b.sequences[kept], b.tokens[kept] = a, b.sequences[i], b.tokens[i]
		kept++
	}
	b.active, b.sequences, b.tokens = b.active[:kept], b.sequences[:kept], b.tokens[:kept]
	return nil
}

// choose returns the token after the i-th that was fed.
func (b *batch) choose(ctx context.Context, i int, candidates []Candidate, logSumExp float64) (int32, error) {
	s := b.active[i].Sampler
	if id, ok := s.SampleTop(candidates, logSumExp, b.m.VocabSize()); ok {
		return id, nil
	}
	logits, err := b.m.LogitsOf(ctx, i)
	if err != nil {
		return 0, err
	}
	return s.Sample(logits)
}
