package llm

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// text is a request on its way.
type text struct {
	*run
	to    *Texts
	ctx   context.Context
	asked time.Time
	waits bool // for another text, to copy what that computes

	counted counted // see Scheduler.count
}

// Texts are texts that a Scheduler continues for one reader, who is told when pieces of them have come.
type Texts struct {
	s      *Scheduler
	cancel context.CancelFunc
	ready  chan struct{} // room for one
	later  []*text       // that come into the queue as others of these end; guarded by s.mu

	mu    sync.Mutex
	came  []Piece // since Take
	taken []Piece // the last time, to be reused
	left  int     // texts that have not ended
	err   error
}

// Start has texts continued together, each when it is its turn. However many they are, no more of them are in the queue or under
// way at a time than the model has sequences. Pieces and errors are those of Session.Generate; the error may be
// ErrQueueFull or ErrClosed as well. Close the Texts; that, or the end of ctx, frees their sequences after the step that is being
// computed.
func (s *Scheduler) Start(ctx context.Context, requests ...Request) (*Texts, error) {
	runs := make([]*run, len(requests))
	for i := range requests {
		var err error
		if runs[i], err = newRun(i, s.m, requests[i].Prompt, &requests[i].Options); err != nil {
			return nil, err
		}
	}
	return s.start(ctx, runs...)
}

// start puts texts into the queue: all or none.
func (s *Scheduler) start(ctx context.Context, runs ...*run) (*Texts, error) {
	ctx, cancel := context.WithCancel(ctx)
	all := &Texts{s: s, cancel: cancel, ready: make(chan struct{}, 1), left: len(runs)}
	if err := s.submit(ctx, all, runs); err != nil {
		cancel()
		return nil, err
	}
	context.AfterFunc(ctx, func() { signal(s.wake) }) // the goroutine that computes answers
	return all, nil
}

// submit puts texts into the queue, as many as the model has sequences; others follow as these end.
func (s *Scheduler) submit(ctx context.Context, to *Texts, runs []*run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := min(len(runs), len(s.m.sessions))
	switch {
	case s.closing:
		return fmt.Errorf("scheduler: %w", ErrClosed)
	case len(s.waiting)+now > s.queue+len(s.m.sessions)-s.stats.Running:
		s.stats.Refused += len(runs)
		return ErrQueueFull
	}
	for i, r := range runs {
		t := &text{run: r, to: to, ctx: ctx, asked: time.Now()}
		if i < now {
			s.waiting = append(s.waiting, t)
		} else {
			to.later = append(to.later, t)
			s.later++
		}
	}
	signal(s.wake)
	return nil
}

// following puts the next text into the queue of those that a text that has ended came with: if their reader has gone meanwhile, the
// next step cancels it, and so all of them. It needs s.mu.
func (s *Scheduler) following(t *text) {
	if to := t.to; len(to.later) > 0 {
		s.waiting = append(s.waiting, to.later[0])
		to.later = slices.Delete(to.later, 0, 1)
		s.later--
	}
}

// forget drops the texts of a reader that have not come into the queue.
func (s *Scheduler) forget(to *Texts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later -= len(to.later)
	to.later = nil
}

// Ready has a value once there is something to take.
func (t *Texts) Ready() <-chan struct{} { return t.ready }

// Take returns the pieces that have come since the last time, if any; Piece.Index says which request each belongs to. over says that
// all texts have ended. An error ends them; it comes after the pieces. The slice is used again.
func (t *Texts) Take() (pieces []Piece, over bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pieces = t.came
	t.came, t.taken = t.taken[:0], t.came
	return pieces, t.left == 0, t.err
}

// Close ends the texts that have not ended.
func (t *Texts) Close() { t.cancel() }

// follow yields what comes of one text.
func (t *Texts) follow(yield func(Piece, error) bool) {
	defer t.Close()
	for {
		<-t.ready
		pieces, over, err := t.Take()
		for _, p := range pieces {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(Piece{}, err)
		}
		if over || err != nil {
			return
		}
	}
}

// Generate continues a prompt, when it is its turn. Pieces and errors are those of Session.Generate; the error may be
// ErrQueueFull or ErrClosed as well. Leaving the loop, or the end of ctx, frees the sequence after the step that is being computed.
func (s *Scheduler) Generate(ctx context.Context, request Request) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		t, err := s.Start(ctx, request)
		if err != nil {
			yield(Piece{}, err)
			return
		}
		t.follow(yield)
	}
}

// deliver hands a piece over, or an error, without waiting for whoever reads it; ring tells them. After an error, nothing
// comes any more.
func (s *Scheduler) deliver(t *text, p Piece, err error) {
	to := t.to
	to.mu.Lock()
	defer to.mu.Unlock()
	switch {
	case to.err != nil:
	case err != nil:
		to.err = err
	default:
		to.came = append(to.came, p)
		if p.Result != nil && p.Result.Finish != FinishCanceled {
			to.left--
		}
	}
	s.served = append(s.served, to)
}

// ring has a goroutine of its own wake whoever has something to take: to wake many takes as long as to choose their tokens.
func (s *Scheduler) ring() {
	if len(s.served) > 0 {
		s.bell <- s.served
		s.served = nil
	}
}

// wakeReaders wakes them until the scheduler ends.
func (s *Scheduler) wakeReaders() {
	for served := range s.bell {
		for _, t := range served {
			signal(t.ready)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
