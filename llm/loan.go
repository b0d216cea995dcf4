package llm

import (
	"context"
	"fmt"
	"slices"
)

// Slot is one of a scheduler's sequences.
type Slot struct {
	ID     int
	Tokens int  // in its cache
	Busy   bool // a text is under way in it, or it is lent
}

// loan is a session that somebody wants for a while, or has.
type loan struct {
	session *Session
	begins  chan struct{} // closed when the session is lent
}

// Slots returns the sequences, as they are between two steps.
func (s *Scheduler) Slots() []Slot {
	list := make([]Slot, len(s.sessions))
	s.m.mu.Lock() // once: each time may mean to wait for a step
	for i, session := range s.sessions {
		list[i] = Slot{ID: i, Tokens: len(session.fed)}
	}
	s.m.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, session := range s.sessions {
		list[i].Busy = s.busy[session]
	}
	return list
}

// Lend takes the session of a slot out of the scheduler, once the text in it has ended, for as long as f runs. Other texts go
// on meanwhile. The error is that of f or of ctx, or ErrClosed.
func (s *Scheduler) Lend(ctx context.Context, slot int, f func(*Session) error) error {
	if slot < 0 || slot >= len(s.sessions) {
		return fmt.Errorf("slot %d: there are %d", slot, len(s.sessions))
	}
	l := &loan{session: s.sessions[slot], begins: make(chan struct{})}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return fmt.Errorf("scheduler: %w", ErrClosed)
	}
	s.loans = append(s.loans, l)
	s.mu.Unlock()
	signal(s.wake)
	var err error
	select {
	case <-l.begins:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-s.done:
		err = fmt.Errorf("scheduler: %w", ErrClosed)
	}
	if err != nil && s.withdraw(l) {
		return err
	}
	defer s.giveBack(l)
	return f(l.session)
}

// withdraw takes back a wish, unless it was granted just now.
func (s *Scheduler) withdraw(l *loan) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.loans, l)
	if i >= 0 {
		s.loans = slices.Delete(s.loans, i, i+1)
	}
	return i >= 0
}

// giveBack ends a loan.
func (s *Scheduler) giveBack(l *loan) {
	s.mu.Lock()
	s.returned = append(s.returned, l.session)
	s.lent--
	ended := s.ended
	s.mu.Unlock()
	if ended {
		l.session.Close()
	}
	signal(s.wake)
}

// lend takes sessions back, and lends those that are free, before texts get them.
func (s *Scheduler) lend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.returned {
		s.free = append(s.free, session)
		s.busy[session] = false
	}
	s.returned = nil
	s.loans = slices.DeleteFunc(s.loans, func(l *loan) bool {
		i := slices.Index(s.free, l.session)
		if i < 0 {
			return false
		}
		s.free = slices.Delete(s.free, i, i+1)
		s.busy[l.session] = true
		s.lent++
		close(l.begins)
		return true
	})
}
