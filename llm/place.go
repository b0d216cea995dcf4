package llm

import "slices"

// admit begins texts that wait, while there are free sequences.
func (s *Scheduler) admit() {
	for len(s.free) > 0 {
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.mu.Unlock()
			return
		}
		t := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.stats.Running++
		s.mu.Unlock()
		i := s.place(t)
		session := s.free[i]
		s.free = slices.Delete(s.free, i, i+1)
		s.active = append(s.active, t)
		s.mu.Lock()
		s.busy[session] = true
		s.mu.Unlock()
		err := t.begin(session)
		if err == nil {
			err = s.share(t) // before the next text begins where that is
		}
		if err != nil {
			s.fail(t, err)
		}
	}
}

// place chooses the free session that a text begins in: the one that has computed most of the prompt, but the one that was used
// longest ago if several have, or if the text would keep less than half of what is there and can take a copy instead.
func (s *Scheduler) place(t *text) int {
	best, most := 0, 0
	for i, session := range s.free {
		if n := session.offers(t.result.Prompt, 1); n > most && !t.needsAll() {
			best, most = i, n
		}
	}
	if s.copies && 2*most < len(s.free[best].Tokens()) {
		return 0
	}
	return best
}
