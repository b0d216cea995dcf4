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
		i := s.place(t.result.Prompt)
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

// likest returns the free session whose cache begins most like a prompt; of several, the one that was used longest ago.
func (s *Scheduler) likest(prompt []int32) (best int) {
	most := -1
	for i, session := range s.free {
		if n := common(session.Tokens(), prompt); n > most {
			best, most = i, n
		}
	}
	return best
}

// place chooses the free session that a text begins in: the one whose cache begins most like the prompt. But if the text would
// keep less than half of what is there, and could have a copy, it gets the one that was used longest ago.
func (s *Scheduler) place(prompt []int32) int {
	i := s.likest(prompt)
	if held := s.free[i].Tokens(); s.copies && 2*common(held, prompt) < len(held) {
		return 0
	}
	return i
}
