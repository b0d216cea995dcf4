package llm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestLend lends sequences while a text is under way: one that is free between two steps of it, the one in use when it has
// ended.
func TestLend(t *testing.T) {
	m, f := fakeModel(2)
	s := scheduler(t, m, 10)
	begun, wanted, lent := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	chunks := 0
	f.between = func(int) {
		switch chunks++; chunks {
		case 1:
			signal(begun)
			<-wanted
		case 3: // the text is still under way, and a step lies between
			<-lent
		}
	}
	var all sync.WaitGroup
	prompt, fed := numbers(1, 9*fakeChunk), 0
	all.Go(func() {
		r, err := Collect(s.Generate(t.Context(), Request{Prompt: prompt, Options: GenerateOptions{MaxTokens: 20}}))
		if err != nil || len(r.Tokens) < 20 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	<-begun
	lend := func(slot int, f func(*Session) error) {
		all.Go(func() {
			if err := s.Lend(t.Context(), slot, f); err != nil {
				t.Errorf("slot %d: %v", slot, err)
			}
		})
	}
	lend(0, func(session *Session) error {
		fed = len(session.Tokens())
		return nil
	})
	lend(1, func(*Session) error {
		defer close(lent)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.busy[s.sessions[0]] || !s.busy[s.sessions[1]] || len(s.loans) != 1 {
			t.Errorf("busy: %v, %d loans have not begun, want that of the text's slot", s.busy, len(s.loans))
		}
		return nil
	})
	waiting := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.loans)
	}
	for waiting() < 2 {
		time.Sleep(time.Millisecond)
	}
	close(wanted)
	all.Wait()
	if want := len(prompt) + 19; fed != want {
		t.Errorf("the slot of the text was lent when it held %d tokens, want %d", fed, want)
	}
}

// TestLendMistakes lends no slot that there is not, passes on the error of the function, and has the slot used again.
func TestLendMistakes(t *testing.T) {
	m, _ := fakeModel(1)
	s := scheduler(t, m, 10)
	for _, slot := range []int{-1, 1} {
		if err := s.Lend(t.Context(), slot, func(*Session) error { return nil }); err == nil {
			t.Errorf("slot %d was lent", slot)
		}
	}
	if err := s.Lend(t.Context(), 0, func(*Session) error { return errBad }); !errors.Is(err, errBad) {
		t.Errorf("the error of the function: %v", err)
	}
	for slots := s.Slots(); slots[0].Busy; slots = s.Slots() {
		time.Sleep(time.Millisecond)
	}
	if _, err := Collect(s.Generate(t.Context(), Request{Prompt: numbers(3, 5), Options: GenerateOptions{MaxTokens: 20}})); err != nil {
		t.Error(err)
	}
	if n := s.Slots()[0].Tokens; n != 24 {
		t.Errorf("the slot holds %d tokens, want 24", n)
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
