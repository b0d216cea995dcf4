package llm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestLend lends sequences while texts are under way: one that is in use when its text has ended, one that is free at once. What
// is put into it, the next text takes.
func TestLend(t *testing.T) {
	m, f := fakeModel(2)
	s := scheduler(t, m, 10)
	begun, free := make(chan struct{}, 1), make(chan struct{})
	f.between = func(int) {
		signal(begun)
		<-free
	}
	var all sync.WaitGroup
	generate := func(prompt []int32) {
		if _, err := Collect(s.Generate(t.Context(), Request{Prompt: prompt, Options: GenerateOptions{MaxTokens: 20}})); err != nil {
			t.Error(err)
		}
	}
	all.Go(func() { generate(numbers(1, 9)) })
	<-begun
	slots := s.Slots
	var order []string
	var mu sync.Mutex
	note := func(what string) {
		mu.Lock()
		order = append(order, what)
		mu.Unlock()
	}
	lent := make(chan struct{})
	all.Go(func() {
		if err := s.Lend(t.Context(), 0, func(session *Session) error {
			note("busy")
			if len(session.Tokens()) == 0 {
				t.Error("lent before the text in it had ended")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	close(free)
	if err := s.Lend(t.Context(), 1, func(*Session) error {
		note("free")
		if !slots()[1].Busy {
			t.Error("a slot that is lent is free")
		}
		close(lent)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	<-lent
	all.Wait()
	if len(order) != 2 || slots()[0].Tokens == 0 {
		t.Errorf("%v, %+v", order, slots())
	}
	for slots()[0].Busy || slots()[1].Busy {
		time.Sleep(time.Millisecond)
	}
	generate(numbers(3, 5))
	for _, slot := range []int{-1, 2} {
		if err := s.Lend(t.Context(), slot, func(*Session) error { return nil }); err == nil {
			t.Errorf("slot %d was lent", slot)
		}
	}
	if err := s.Lend(t.Context(), 0, func(*Session) error { return errBad }); !errors.Is(err, errBad) {
		t.Errorf("the error of the function: %v", err)
	}
}

// TestLendEnds gives up waiting for a slot, and closes a scheduler while one is lent and another is waited for.
func TestLendEnds(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		m, _ := fakeModel(1)
		s := scheduler(t, m, 10)
		has, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			done <- s.Lend(t.Context(), 0, func(*Session) error {
				close(has)
				<-release
				return nil
			})
		}()
		<-has
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Lend(ctx, 0, func(*Session) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("nobody waits: %v", err)
		}
		if hurry {
			s.Close(ctx)
			close(release)
		} else {
			closed := make(chan struct{})
			go func() {
				s.Close(t.Context())
				close(closed)
			}()
			close(release)
			<-closed
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Lend(t.Context(), 0, func(*Session) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		session, err := m.NewSession()
		if err != nil {
			t.Fatalf("the sequence was not given back: %v", err)
		}
		session.Close()
	}
}

// TestLendBeside lends slots again and again while texts come and go: each is what it is alone.
func TestLendBeside(t *testing.T) {
	m, _ := fakeModel(3)
	s := scheduler(t, m, 100)
	alone, _ := fakeModel(1)
	want := answers{s: session(t, alone)}
	var texts, loans sync.WaitGroup
	over := make(chan struct{})
	for slot := range 3 {
		loans.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := s.Lend(t.Context(), slot, func(session *Session) error {
					if slot == 1 {
						session.Reset()
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 40 {
		texts.Go(func() {
			prompt, o := slices.Concat(numbers(i%3, 80), numbers(i, i)), GenerateOptions{MaxTokens: 1 + i%5, Sampling: Sampling{Temperature: 1, Seed: uint64(i)}}
			r, err := Collect(s.Generate(t.Context(), Request{Prompt: prompt, Options: o}))
			if err != nil {
				t.Error(err)
				return
			}
			if err := want.check(t.Context(), prompt, o, r); err != nil {
				t.Error(err)
			}
		})
	}
	texts.Wait()
	close(over)
	loans.Wait()
}
