package llm

import (
	"slices"
)

// stopper lets items through (bytes of a text, or tokens) until one of some sequences appears among them. What may
// turn out to begin one is held back.
type stopper[T comparable] struct {
	stops [][]T // none is empty
	held  []T
}

// push takes the next items and returns what may be shown, and the index of the stop sequence that has appeared, −1
// if none has. Once one has, nothing is to be pushed any more. What is shown is good until the next push.
func (s *stopper[T]) push(items ...T) (show []T, stop int) {
	s.held = append(s.held, items...)
	if at, stop := s.find(); stop >= 0 {
		show, s.held = s.held[:at], nil
		return show, stop
	}
	keep := 0
	for _, stop := range s.stops {
		keep = max(keep, overlap(s.held, stop))
	}
	at := len(s.held) - keep
	show, s.held = s.held[:at], slices.Clone(s.held[at:])
	return show, -1
}

// flush returns what is held back, when no more will come.
func (s *stopper[T]) flush() []T {
	show := s.held
	s.held = nil
	return show
}

// find reports where the first stop sequence begins and which one it is, −1 if there is none.
func (s *stopper[T]) find() (at, stop int) {
	for at := range s.held {
		for i, stop := range s.stops {
			if len(stop) <= len(s.held)-at && slices.Equal(s.held[at:at+len(stop)], stop) {
				return at, i
			}
		}
	}
	return 0, -1
}

// overlap reports how many items at the end of s are the beginning, but not all, of stop.
func overlap[T comparable](s, stop []T) int {
	for n := min(len(s), len(stop)-1); n > 0; n-- {
		if slices.Equal(s[len(s)-n:], stop[:n]) {
			return n
		}
	}
	return 0
}
