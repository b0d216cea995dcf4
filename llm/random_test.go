package llm

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRandomCalls calls one model from several goroutines at random: texts that are canceled or left, logits, resets,
// sessions that come and go, batches. Each text that ends is what the same prompt gives alone, each error is one that the
// call may return, and at last the model is closed under them. It is for the race detector, too.
func TestRandomCalls(t *testing.T) {
	const goroutines, calls, room = 6, 300, 40
	m, _ := smallModel(4, room)
	alone, _ := smallModel(1, room)
	want := answers{s: session(t, alone)}
	var wg sync.WaitGroup
	var made atomic.Int32
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(11, uint64(g)))
			for range calls {
				if made.Add(1) == goroutines*calls*3/4 {
					if err := m.Close(); err != nil {
						t.Error(err)
					}
				}
				if err := randomCall(t.Context(), r, m, &want); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d texts were compared", want.asked)
	if want.asked < calls/4 {
		t.Errorf("%d texts were compared", want.asked)
	}
	if _, err := m.NewSession(); !errors.Is(err, ErrClosed) {
		t.Errorf("a session of a closed model: error %v", err)
	}
}

// answers are what prompts give in a model that does nothing else.
type answers struct {
	mu    sync.Mutex
	s     *Session
	asked int
}

func (a *answers) check(ctx context.Context, prompt []int32, o GenerateOptions, got *Result) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	want, err := Collect(a.s.GenerateTokens(ctx, prompt, o))
	if err == nil && (got == nil || !slices.Equal(got.Tokens, want.Tokens) || got.Finish != want.Finish) {
		err = errors.New("another text than alone")
	}
	return err
}

// randomCall makes one call. Errors that calls may return are none.
func randomCall(ctx context.Context, r *rand.Rand, m *Model, want *answers) error {
	prompt := numbers(r.IntN(40), 1+r.IntN(20))
	o := GenerateOptions{MaxTokens: 1 + r.IntN(15), Overflow: []Overflow{OverflowError, OverflowShift}[r.IntN(2)]}
	if r.IntN(5) == 0 {
		var requests []Request
		for range 1 + r.IntN(4) {
			requests = append(requests, Request{Prompt: prompt, Options: o})
		}
		for p, err := range m.Batch(ctx, requests) {
			if err != nil {
				return allowed(err)
			}
			if p.Result != nil {
				if err := want.check(ctx, prompt, o, p.Result); err != nil {
					return err
				}
			}
		}
		return nil
	}
	s, err := m.NewSession()
	if err != nil {
		return allowed(err)
	}
	defer s.Close()
	for range 1 + r.IntN(4) {
		if err := randomUse(ctx, r, s, prompt, o, want); err != nil {
			return err
		}
		prompt = append(prompt, numbers(r.IntN(40), 1)...)
	}
	return nil
}

// randomUse uses a session once.
func randomUse(ctx context.Context, r *rand.Rand, s *Session, prompt []int32, o GenerateOptions, want *answers) error {
	switch r.IntN(6) {
	case 0:
		s.Reset()
		return nil
	case 1:
		return allowed(s.Logits(ctx, prompt, r.IntN(len(prompt)), func(int, []float32) error { return nil }))
	case 2:
		_, err := Collect(s.GenerateTokens(ctx, []int32{badToken}, o))
		if err == nil {
			return errors.New("a bad token was taken")
		}
		return allowed(err)
	case 3: // canceled or left in the middle
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		left := 1 + r.IntN(5)
		leaves := r.IntN(2) == 0
		for _, err := range s.GenerateTokens(ctx, prompt, o) {
			if err != nil {
				return allowed(err)
			}
			if left--; left == 0 && leaves {
				return nil
			} else if left == 0 {
				cancel()
			}
		}
		return nil
	}
	got, err := Collect(s.GenerateTokens(ctx, prompt, o))
	if err != nil {
		return allowed(err)
	}
	return want.check(ctx, prompt, o, got)
}

// allowed drops errors that calls may return when others use or close the model, or cancel.
func allowed(err error) error {
	for _, e := range []error{ErrClosed, ErrNoSequence, ErrBusy, errBad, context.Canceled} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}
