package llm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// batch continues prompts and returns what became of them.
func batch(ctx context.Context, m *Model, n int, prompts ...[]int32) ([]*Result, error) {
	results := make([]*Result, len(prompts))
	var requests []Request
	for i, p := range prompts {
		requests = append(requests, Request{Prompt: p, Options: GenerateOptions{MaxTokens: n, Sampling: Sampling{Temperature: 2, Seed: uint64(i)}}})
	}
	for p, err := range m.Batch(ctx, requests) {
		if err != nil {
			return results, err
		}
		if p.Result != nil {
			results[p.Index] = p.Result
		}
	}
	return results, nil
}

// Each text of a batch is the one that it is alone.
func TestBatch(t *testing.T) {
	prompts := [][]int32{numbers(1, 9), numbers(2, 1), numbers(1, 9), numbers(4, 17), numbers(5, 2)}
	for _, sequences := range []int{1, 2, 5, 8} {
		for _, n := range []int{NoTokens, 1, 7} {
			m, _ := fakeModel(sequences)
			got, err := batch(t.Context(), m, n, prompts...)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range prompts {
				alone, _ := fakeModel(1)
				want := generated(t, session(t, alone), p, GenerateOptions{MaxTokens: n, Sampling: Sampling{Temperature: 2, Seed: uint64(i)}})
				if got[i] == nil || !slices.Equal(got[i].Tokens, want.Tokens) || got[i].Finish != want.Finish {
					t.Errorf("%d of %d at once: %+v, alone %+v", i, sequences, got[i], want)
				}
			}
			if _, err := m.NewSession(); err != nil {
				t.Errorf("after the batch: %v", err)
			}
		}
	}
}

// A batch leaves the sequences alone that have a session.
func TestBatchBesideSession(t *testing.T) {
	m, _ := fakeModel(2)
	s := session(t, m)
	generated(t, s, numbers(1, 9), GenerateOptions{MaxTokens: 2})
	if _, err := batch(t.Context(), m, 3, numbers(2, 5), numbers(3, 5)); err != nil {
		t.Fatal(err)
	}
	if r := generated(t, s, numbers(1, 9), GenerateOptions{MaxTokens: 2}); r.Stats.CachedTokens != 8 {
		t.Errorf("%d tokens cached, want 8", r.Stats.CachedTokens)
	}
	session(t, m)
	if _, err := batch(t.Context(), m, 3, numbers(2, 5)); !errors.Is(err, ErrNoSequence) {
		t.Errorf("error %v, want %v", err, ErrNoSequence)
	}
}

func TestBatchErrors(t *testing.T) {
	m, f := fakeModel(2)
	if _, err := batch(t.Context(), m, 5, numbers(1, 3), []int32{badToken}); !errors.Is(err, errBad) || !strings.Contains(err.Error(), "prompt 2") {
		t.Errorf("a bad prompt: %v", err)
	}
	if _, err := batch(t.Context(), m, 5, numbers(1, 3), nil); !errors.Is(err, ErrNoTokens) || !strings.Contains(err.Error(), "prompt 2") {
		t.Errorf("an empty prompt: %v", err)
	}
	f.next = []int32{1, 2, badToken}
	got, err := batch(t.Context(), m, 5, numbers(1, 3), numbers(2, 3))
	if !errors.Is(err, errBad) || got[0] != nil || got[1] != nil {
		t.Errorf("an error on the way: %v, %v", got, err)
	}
}

// When the context ends, there is a result of each text, of those that have not begun too.
func TestCanceledBatch(t *testing.T) {
	m, f := fakeModel(2)
	ctx, cancel := context.WithCancel(t.Context())
	f.between = func(fed int) {
		if fed == 12 {
			cancel()
		}
	}
	got, err := batch(ctx, m, 50, numbers(1, 3), numbers(2, 3), numbers(3, 3))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	var all []string
	for _, r := range got {
		if r == nil {
			t.Fatal("a text has no result")
		}
		all = append(all, fmt.Sprint(r.Finish, len(r.Tokens)))
	}
	if want := []string{"canceled4", "canceled4", "canceled0"}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
}
