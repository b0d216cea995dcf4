package llm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// warmed is an engine with kernels to compile: one for each size of a step.
type warmed struct {
	*fake
	mu       sync.Mutex
	recorded []int         // by WarmStep
	compiled []int         // in this order
	hold     int           // compiling this size takes until finish is closed, whatever its context says, as a driver's compiler does
	held     chan struct{} // closed when that has begun
	finish   chan struct{}
	bad      error // of compiling size 3
}

func (w *warmed) WarmStep(n int) (func(context.Context) (int, error), error) {
	w.recorded = append(w.recorded, n) // by the Model's lock
	return func(context.Context) (int, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case n == w.hold:
			close(w.held)
			<-w.finish
		case n == 3 && w.bad != nil:
			return 0, w.bad
		}
		w.compiled = append(w.compiled, n)
		return 1, nil
	}, nil
}

// told is what Scheduler.Warm has reported.
type told struct {
	kernels int
	err     error
}

// warming starts a scheduler that is to compile kernels.
func warming(t *testing.T, w *warmed) (*Scheduler, chan told) {
	t.Helper()
	s, err := NewScheduler(New(Parts{Engine: w}), 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	done := make(chan told, 1)
	s.Warm(func(kernels int, _ time.Duration, err error) { done <- told{kernels, err} })
	return s, done
}

// one lets a scheduler write a short text.
func one(t *testing.T, s *Scheduler) {
	t.Helper()
	for _, err := range s.Generate(t.Context(), Request{Prompt: []int32{1, 2}, Options: GenerateOptions{MaxTokens: 3}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWarm compiles the kernels of all larger steps, powers of two first, once a text has begun; an error ends it, and is told.
func TestWarm(t *testing.T) {
	w := &warmed{fake: newFake(7)}
	s, done := warming(t, w)
	one(t, s)
	if got := <-done; got.kernels != 6 || got.err != nil {
		t.Errorf("%+v, want 6 kernels", got)
	}
	if want := []int{2, 4, 3, 5, 6, 7}; !slices.Equal(w.compiled, want) || !slices.Equal(w.recorded, want) {
		t.Errorf("steps of %v were compiled, want %v", w.compiled, want)
	}

	w = &warmed{fake: newFake(4), bad: errors.New("no compiler")}
	s, done = warming(t, w)
	one(t, s)
	if got := <-done; got.kernels != 2 || !errors.Is(got.err, w.bad) {
		t.Errorf("%+v, want 2 kernels and %v", got, w.bad)
	}
}

// TestWarmStops closes a scheduler before a text has begun, and while a kernel is being compiled, which it does not wait for:
// nothing more is recorded or compiled, and nothing is told.
func TestWarmStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &warmed{fake: newFake(8)}
		s, done := warming(t, w)
		s.Close(t.Context())
		synctest.Wait()
		if len(w.recorded) > 0 {
			t.Errorf("without a text, steps of %v were recorded", w.recorded)
		}
		wantSilence(t, done)
	})
	synctest.Test(t, func(t *testing.T) {
		w := &warmed{fake: newFake(8), hold: 4, held: make(chan struct{}), finish: make(chan struct{})}
		s, done := warming(t, w)
		one(t, s)
		<-w.held
		s.Close(t.Context())
		close(w.finish)
		synctest.Wait()
		if want := []int{2, 4}; !slices.Equal(w.compiled, want) || !slices.Equal(w.recorded, want) {
			t.Errorf("steps of %v were recorded and of %v compiled, want %v", w.recorded, w.compiled, want)
		}
		wantSilence(t, done)
	})
}

// wantSilence fails if Scheduler.Warm has reported anything.
func wantSilence(t *testing.T, done chan told) {
	t.Helper()
	select {
	case got := <-done:
		t.Errorf("told %+v", got)
	default:
	}
}
