package llm

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// text is a request on its way.
type text struct {
	*run
	asked  time.Time
	waits  bool // for another text, to copy what that computes
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	mail  []delivery
	ready chan struct{} // mail has come; room for one
}

type delivery struct {
	piece Piece
	err   error
}

// deliver hands a piece over, without waiting for whoever reads it; ring tells them.
func (s *Scheduler) deliver(t *text, p Piece, err error) {
	t.mu.Lock()
	t.mail = append(t.mail, delivery{p, err})
	t.mu.Unlock()
	s.served = append(s.served, t)
}

// ring has a goroutine of its own wake whoever has mail: to wake many takes as long as to choose their tokens.
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

// follow has a text computed, and yields its pieces.
func (s *Scheduler) follow(ctx context.Context, r *run, yield func(Piece, error) bool) {
	t, err := s.submit(ctx, r)
	if err != nil {
		yield(Piece{}, err)
		return
	}
	defer func() {
		t.cancel()
		signal(s.wake)
	}()
	stopped := ctx.Done()
	for {
		select {
		case <-t.ready:
		case <-stopped: // the computing goroutine answers
			stopped = nil
			signal(s.wake)
			continue
		}
		t.mu.Lock()
		mail := t.mail
		t.mail = nil
		t.mu.Unlock()
		for _, d := range mail {
			if !yield(d.piece, d.err) || d.err != nil {
				return
			}
			if d.piece.Result != nil && d.piece.Result.Finish != FinishCanceled {
				return
			}
		}
	}
}

// submit puts a text into the queue.
func (s *Scheduler) submit(ctx context.Context, r *run) (*text, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, fmt.Errorf("scheduler: %w", ErrClosed)
	case len(s.waiting) >= s.queue+len(s.m.sessions)-s.stats.Running:
		s.stats.Refused++
		return nil, ErrQueueFull
	}
	t := &text{run: r, asked: time.Now(), ready: make(chan struct{}, 1)}
	t.ctx, t.cancel = context.WithCancel(ctx)
	s.waiting = append(s.waiting, t)
	signal(s.wake)
	return t, nil
}
