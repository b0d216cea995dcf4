package llm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// joining is a fake that feeds several prompts in one pass.
type joining struct {
	*fake
	passes []string // tokens of each prompt in each
}

func (j *joining) TopOfPrompts(ctx context.Context, sequences []int, tokens [][]int32, each func(int, []sample.Candidate, float64) error) (fed []int, err error) {
	left, whole := j.chunk, 0
	for i, s := range sequences {
		j.selected = s
		n := min(left, len(tokens[i]))
		if err := j.feed(ctx, tokens[i][:n]); err != nil && i == 0 {
			return nil, err
		} else if err != nil {
			break
		}
		fed, left = append(fed, n), left-n
		if n == len(tokens[i]) {
			whole++
		}
		if left == 0 {
			break
		}
	}
	j.top, j.passes = slices.Clone(sequences[:whole]), append(j.passes, fmt.Sprint(fed))
	for i := range whole {
		if err := each(i, nil, 0); err != nil {
			return fed, err
		}
	}
	return fed, nil
}

func joiningModel(sequences int) (*Model, *joining) {
	j := &joining{fake: newFake(sequences)}
	return New(Parts{Engine: j, Vocabulary: Vocabulary{BOS: -1, EOS: []int{fakeEOS}}}), j
}

// TestJoinedPrompts has texts begin in passes of several prompts: each is what it is alone, long ones are read in chunks, embeddings
// are made beside them, and the one with a token that cannot be fed fails alone.
func TestJoinedPrompts(t *testing.T) {
	m, j := joiningModel(12)
	j.chunk = 16
	open := gate(j.fake, 14)
	s := scheduler(t, m, 100)
	request := func(i int) Request {
		r := Request{Prompt: numbers(i, 1+i*5%23), Options: GenerateOptions{MaxTokens: 1 + i%5, Sampling: Sampling{Temperature: float32(i % 2), Seed: uint64(i)}}}
		if i == 7 {
			r.Prompt = append(r.Prompt, badToken)
		}
		return r
	}
	alone, _ := fakeModel(1)
	single := session(t, alone)
	var all sync.WaitGroup
	for i := range 12 {
		var want []int32
		if i != 7 {
			single.Reset()
			want = generated(t, single, request(i).Prompt, request(i).Options).Tokens
		}
		all.Go(func() {
			switch r, err := Collect(s.Generate(t.Context(), request(i))); {
			case i == 7 && !errors.Is(err, errBad):
				t.Errorf("a token that cannot be fed: %v", err)
			case i != 7 && (err != nil || !slices.Equal(r.Tokens, want)):
				t.Errorf("text %d: %v (%v), alone %v", i, r, err, want)
			}
		})
	}
	for range 2 {
		all.Go(func() {
			if _, err := s.Embed(t.Context(), numbers(3, 40), PoolMean); err != nil {
				t.Error(err)
			}
		})
	}
	open(s)
	all.Wait()
	if n := len(j.passes); n == 0 || n > 20 {
		t.Errorf("passes of prompts: %q", j.passes)
	}
}

// TestPromptOrder has a short prompt overtake long ones, of which the oldest goes on at every other step.
func TestPromptOrder(t *testing.T) {
	s := &Scheduler{}
	texts := func(lengths ...int) (all []*text) {
		for _, n := range lengths {
			all = append(all, &text{run: &run{rest: make([]int32, n)}})
		}
		return all
	}
	for _, want := range [][]int{{90, 50, 3}, {3, 50, 90}, {90, 50, 3}} {
		all := texts(90, 50, 3)
		s.order(all)
		for i, n := range want {
			if len(all[i].rest) != n {
				t.Errorf("prompt %d has %d tokens left, want %d", i, len(all[i].rest), n)
			}
		}
	}
}

func TestInParallel(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 32, 101} {
		calls := make([]atomic.Int32, n)
		inParallel(n/4, n, func(i int) { calls[i].Add(1) })
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("%d of %d was called %d times", i, n, got)
			}
		}
	}
}
