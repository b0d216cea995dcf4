package llm

import (
	"context"
	"errors"
	"testing"
	"time"
)

// statsUntil waits for counts that a scheduler is to come to.
func statsUntil(t *testing.T, s *Scheduler, what string, is func(st SchedulerStats) bool) SchedulerStats {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		st := s.Stats()
		if is(st) {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s: %+v", what, st)
		}
	}
}

// TestSchedulerStats looks at the counts while texts run that do not end: those that wait outside the queue are counted as waiting,
// tokens as soon as they are there. When their reader goes, or one of them fails, none are left.
func TestSchedulerStats(t *testing.T) {
	s := scheduler(t, New(Parts{Engine: newFake(2)}), 1) // without an end of text
	endless := Request{Prompt: []int32{1, 2, 3}, Options: GenerateOptions{MaxTokens: 1 << 30}}
	idle := func(st SchedulerStats) bool { return st.Running == 0 && st.Waiting == 0 }

	ctx, cancel := context.WithCancel(t.Context())
	texts, err := s.Start(ctx, endless, endless, endless, endless, endless)
	if err != nil {
		t.Fatal(err)
	}
	st := statsUntil(t, s, "tokens of two texts", func(st SchedulerStats) bool { return st.FirstTokens == 2 && st.GeneratedTokens > 10 })
	if st.Running != 2 || st.Waiting != 3 || st.Ended != 0 || st.PromptTokens != 6 || st.FirstTokenTime <= 0 {
		t.Errorf("while two of five texts run: %+v", st)
	}
	cancel()
	was := statsUntil(t, s, "the end of all", idle)
	if was.Ended != 2 || was.FirstTokens != 2 || was.PromptTokens != 6 {
		t.Errorf("once their reader has gone: %+v", was)
	}
	texts.Close()

	bad := endless
	bad.Prompt = []int32{badToken, 2, 3}
	if texts, err = s.Start(t.Context(), bad, bad, bad, bad, bad); err != nil {
		t.Fatal(err)
	}
	defer texts.Close()
	st = statsUntil(t, s, "the end of those that fail", func(st SchedulerStats) bool { return idle(st) && st.Ended > was.Ended })
	if st.FirstTokens != was.FirstTokens || st.GeneratedTokens != was.GeneratedTokens {
		t.Errorf("after texts that failed: %+v, before %+v", st, was)
	}
}

// TestCanceledAtTheEnd has the reader of texts go in the step that ends the only one that has begun: the others end, too.
func TestCanceledAtTheEnd(t *testing.T) {
	f := newFake(1)
	s := scheduler(t, New(Parts{Engine: f}), 1)
	ctx, cancel := context.WithCancel(t.Context())
	f.between = func(int) { cancel() }
	short := Request{Prompt: []int32{1, 2, 3}, Options: GenerateOptions{MaxTokens: 1}}
	texts, err := s.Start(ctx, short, short, short)
	if err != nil {
		t.Fatal(err)
	}
	defer texts.Close()
	for over := false; !over && err == nil; {
		select {
		case <-texts.Ready():
			_, over, err = texts.Take()
		case <-time.After(time.Minute):
			t.Fatalf("its reader waits for ever: %+v", s.Stats())
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	statsUntil(t, s, "the end of all", func(st SchedulerStats) bool { return st.Running == 0 && st.Waiting == 0 })
}
