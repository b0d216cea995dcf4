package llm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func scheduler(t *testing.T, m *Model, queue int) *Scheduler {
	t.Helper()
	s, err := NewScheduler(m, queue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx)
	})
	return s
}

// gate lets an engine go on after its first chunk once a scheduler has had so many texts. One that fails at once ends before.
func gate(f *fake, n int) (opens func(s *Scheduler)) {
	open := make(chan struct{})
	f.between = func(int) { <-open }
	return func(s *Scheduler) {
		for st := s.Stats(); st.Waiting+st.Running+st.Ended < n; st = s.Stats() {
			time.Sleep(time.Millisecond)
		}
		close(open)
	}
}

// TestScheduler continues many texts for many goroutines: each is what it is alone.
func TestScheduler(t *testing.T) {
	m, f := fakeModel(3)
	open := gate(f, 30)
	s := scheduler(t, m, 100)
	alone, _ := fakeModel(1)
	single := session(t, alone)
	var want [][]int32
	request := func(i int) Request {
		return Request{Prompt: numbers(i, 1+i*3%17), Options: GenerateOptions{MaxTokens: 1 + i%9, Sampling: Sampling{Temperature: float32(i % 2), Seed: uint64(i)}}}
	}
	for i := range 30 {
		single.Reset()
		want = append(want, generated(t, single, request(i).Prompt, request(i).Options).Tokens)
	}
	var all sync.WaitGroup
	for i := range want {
		all.Go(func() {
			r, err := Collect(s.Generate(t.Context(), request(i)))
			if err != nil || !slices.Equal(r.Tokens, want[i]) {
				t.Errorf("text %d: %v (%v), alone %v", i, r, err, want[i])
			}
		})
	}
	open(s)
	all.Wait()
	if st := s.Stats(); st.Ended != 30 || st.Running != 0 || st.Waiting != 0 || st.StepTokens <= st.Steps {
		t.Errorf("%+v", st)
	}
}

// TestSchedulerPrefix gives a prompt the sequence whose cache begins like it.
func TestSchedulerPrefix(t *testing.T) {
	m, _ := fakeModel(3)
	s := scheduler(t, m, 10)
	first := map[int]*Result{}
	for i := range 3 {
		r, err := Collect(s.Generate(t.Context(), Request{Prompt: numbers(i, 9), Options: GenerateOptions{MaxTokens: 2}}))
		if err != nil {
			t.Fatal(err)
		}
		first[i] = r
	}
	for _, i := range []int{1, 0, 2, 1} {
		r, err := Collect(s.Generate(t.Context(), Request{Prompt: slices.Concat(numbers(i, 9), []int32{3, 4}), Options: GenerateOptions{MaxTokens: 2}}))
		if err != nil || r.Stats.CachedTokens < 9 {
			t.Errorf("prompt %d: %d tokens cached, %v", i, r.Stats.CachedTokens, err)
		}
	}
}

// TestSchedulerQueue refuses texts when as many wait as may, and lets those go whose reader is gone.
func TestSchedulerQueue(t *testing.T) {
	m, f := fakeModel(1)
	blocked, free := make(chan struct{}, 1), make(chan struct{})
	f.between = func(int) {
		signal(blocked)
		<-free
	}
	s := scheduler(t, m, 1)
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 3)
	generate := func(ctx context.Context) {
		_, err := Collect(s.Generate(ctx, Request{Prompt: []int32{1, 2}, Options: GenerateOptions{MaxTokens: 3}}))
		results <- err
	}
	go generate(ctx)
	<-blocked
	go generate(t.Context())
	for s.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	generate(t.Context())
	if err := <-results; !errors.Is(err, ErrQueueFull) {
		t.Errorf("a text too many: %v", err)
	}
	cancel()
	close(free)
	got := []error{<-results, <-results}
	if !slices.ContainsFunc(got, func(err error) bool { return errors.Is(err, context.Canceled) }) || !slices.Contains(got, nil) {
		t.Errorf("canceled and waiting: %v", got)
	}
}

// TestSchedulerFairness computes tokens of a text that has begun between the chunks of a long prompt.
func TestSchedulerFairness(t *testing.T) {
	m, f := fakeModel(2)
	open := gate(f, 2)
	s := scheduler(t, m, 4)
	short := make(chan error)
	go func() {
		_, err := Collect(s.Generate(t.Context(), Request{Prompt: []int32{1}, Options: GenerateOptions{MaxTokens: 150}}))
		short <- err
	}()
	go open(s)
	if _, err := Collect(s.Generate(t.Context(), Request{Prompt: numbers(5, 100*fakeChunk), Options: GenerateOptions{MaxTokens: 1}})); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().StepTokens; n < 50 {
		t.Errorf("%d tokens were computed beside a prompt of 100 chunks", n)
	}
	if err := <-short; err != nil {
		t.Error(err)
	}
}

// TestSchedulerShortPrompts begins texts with short prompts in one step, so that most steps are of all of them.
func TestSchedulerShortPrompts(t *testing.T) {
	const texts, tokens = 6, 10
	m, f := fakeModel(texts)
	open := gate(f, texts)
	s := scheduler(t, m, texts)
	var all sync.WaitGroup
	for i := range texts {
		all.Go(func() {
			if _, err := Collect(s.Generate(t.Context(), Request{Prompt: numbers(i, 3), Options: GenerateOptions{MaxTokens: tokens}})); err != nil {
				t.Error(err)
			}
		})
	}
	open(s)
	all.Wait()
	if n := s.Stats().Steps; n > tokens+1 {
		t.Errorf("%d steps for %d tokens of each of %d texts", n, tokens, texts)
	}
}

// TestSchedulerErrors ends the one text that cannot be fed, and not the others.
func TestSchedulerErrors(t *testing.T) {
	m, _ := fakeModel(2)
	s := scheduler(t, m, 4)
	if _, err := Collect(s.Generate(t.Context(), Request{Prompt: []int32{badToken}})); !errors.Is(err, errBad) || strings.Count(err.Error(), errBad.Error()) != 1 {
		t.Errorf("a bad token: %v", err)
	}
	if _, err := Collect(s.Generate(t.Context(), Request{})); !errors.Is(err, ErrNoTokens) {
		t.Errorf("no prompt: %v", err)
	}
	if r, err := Collect(s.Generate(t.Context(), Request{Prompt: []int32{1}, Options: GenerateOptions{MaxTokens: 2}})); err != nil || len(r.Tokens) != 2 {
		t.Errorf("afterwards: %v, %v", r, err)
	}
	s.Close(t.Context())
	if _, err := Collect(s.Generate(t.Context(), Request{Prompt: []int32{1}})); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if got, err := m.NewSession(); err != nil {
		t.Errorf("the sequences were not given back: %v", err)
	} else {
		got.Close()
	}
}

// TestCloseEndsStep closes a scheduler in the middle of a step: the text learns that it was closed, not that something was
// canceled, which nobody did.
func TestCloseEndsStep(t *testing.T) {
	m, f := fakeModel(1)
	begun, free := make(chan struct{}, 1), make(chan struct{})
	f.between = func(int) {
		signal(begun)
		<-free
	}
	s := scheduler(t, m, 1)
	ended, closed := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := s.Embed(t.Context(), numbers(1, 9*fakeChunk), PoolLast) // in one step
		ended <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() {
		s.Close(ctx)
		close(closed)
	}()
	<-s.ctx.Done()
	close(free)
	if err := <-ended; !errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, ErrClosed)
	}
	<-closed
}

// TestSchedulerMany has more texts continued together than may wait: they come into the queue as others of them end, each text is
// what it would be alone, and another reader's text need not wait for all of them. A reader that goes, or the end of the scheduler,
// ends those that have not come into the queue, too.
func TestSchedulerMany(t *testing.T) {
	m, _ := fakeModel(2)
	s := scheduler(t, m, 1)
	var many []Request
	for i := range 30 {
		many = append(many, Request{Prompt: []int32{int32(i%7 + 1), 2, 3}, Options: GenerateOptions{MaxTokens: 5 + i%3}})
	}
	texts, err := s.Start(t.Context(), many...)
	if err != nil {
		t.Fatal(err)
	}
	results, ended := make([]*Result, len(many)), 0
	other := make(chan error, 1)
	for over := false; !over; {
		<-texts.Ready()
		var pieces []Piece
		if pieces, over, err = texts.Take(); err != nil {
			t.Fatal(err)
		}
		for _, p := range pieces {
			if p.Result == nil {
				continue
			}
			results[p.Index] = p.Result
			if ended++; ended == 4 {
				_, err := Collect(s.Generate(t.Context(), Request{Prompt: []int32{9}, Options: GenerateOptions{MaxTokens: 2}}))
				other <- err
			}
		}
		s.mu.Lock()
		n := len(s.waiting)
		s.mu.Unlock()
		if n > 3 {
			t.Errorf("%d texts are in the queue", n)
		}
	}
	if err := <-other; err != nil {
		t.Errorf("a text beside them: %v", err)
	}
	for i, r := range results {
		alone, err := Collect(s.Generate(t.Context(), many[i]))
		if err != nil || r == nil || !slices.Equal(r.Tokens, alone.Tokens) {
			t.Fatalf("text %d: %+v, alone %+v, %v", i, r, alone, err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	if _, err = s.Start(ctx, many...); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().Ended
	cancel()
	if _, err := Collect(s.Generate(t.Context(), many[0])); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Ended - before; n > 5 {
		t.Errorf("%d texts were computed for a reader that had gone", n)
	}
	if texts, err = s.Start(t.Context(), many...); err != nil {
		t.Fatal(err)
	}
	s.Close(ctx)
	for over := false; !over && err == nil; {
		<-texts.Ready()
		_, over, err = texts.Take()
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("the scheduler was closed: %v", err)
	}
}

// TestSchedulerManyFail has texts continued together of which the first fail: those that have not come into the queue never do,
// though their reader has not closed them yet.
func TestSchedulerManyFail(t *testing.T) {
	m, _ := fakeModel(2)
	s := scheduler(t, m, 1)
	many := make([]Request, 30)
	for i := range many {
		many[i] = Request{Prompt: []int32{badToken, 2, 3}, Options: GenerateOptions{MaxTokens: 5}}
	}
	texts, err := s.Start(t.Context(), many...)
	if err != nil {
		t.Fatal(err)
	}
	defer texts.Close()
	for err == nil {
		<-texts.Ready()
		_, _, err = texts.Take()
	}
	if !errors.Is(err, errBad) {
		t.Errorf("%v, want %v", err, errBad)
	}
	if _, err := Collect(s.Generate(t.Context(), Request{Prompt: []int32{9}, Options: GenerateOptions{MaxTokens: 2}})); err != nil {
		t.Error(err)
	}
	if n := s.Stats().Ended; n > 4 {
		t.Errorf("%d texts have ended: the first had failed", n)
	}
}
