package main

import "strings"

// stopper lets text through until a stop string appears in it. Text that may turn out to be the
// beginning of a stop string is held back.
type stopper struct {
	stops []string // none is empty
	held  string
}

// push takes the next piece of text and returns what may be shown. Once stopped is true the stop
// string has appeared, and nothing is to be pushed any more.
func (s *stopper) push(text string) (show string, stopped bool) {
	s.held += text
	if at := s.find(); at >= 0 {
		show, s.held = s.held[:at], ""
		return show, true
	}
	keep := 0
	for _, stop := range s.stops {
		keep = max(keep, overlap(s.held, stop))
	}
	at := len(s.held) - keep
	show, s.held = s.held[:at], s.held[at:]
	return show, false
}

// flush returns what is held back, at the end of the text.
func (s *stopper) flush() string {
	show := s.held
	s.held = ""
	return show
}

// find reports where the first stop string begins, −1 if there is none.
func (s *stopper) find() int {
	first := -1
	for _, stop := range s.stops {
		if at := strings.Index(s.held, stop); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}

// overlap reports how many bytes at the end of text are the beginning, but not all, of stop.
func overlap(text, stop string) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if strings.HasSuffix(text, stop[:n]) {
			return n
		}
	}
	return 0
}
