package llm

import "time"

// SchedulerStats are counts since the beginning, and what is running now. Tokens are counted after the step that computed them.
type SchedulerStats struct {
	Waiting int // texts that have been taken on and have no sequence yet
	Running int // texts that have a sequence: their prompts are being read, or they are being generated
	Ended   int // texts that have had a sequence: they are complete, canceled, or have failed
	Refused int // texts that found the queue full

	PromptTokens    int // of prompts, as far as they have been read
	CachedTokens    int // of those, that were not computed, because a cache had them
	SharedTokens    int // of those, copied from another sequence
	GeneratedTokens int

	Steps, StepTokens int           // decode steps, and tokens that they computed
	FirstTokens       int           // texts that have had a first token
	FirstTokenTime    time.Duration // that they waited for it together, from when they were asked for
}

// Stats returns counts.
func (s *Scheduler) Stats() SchedulerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Waiting = len(s.waiting) + s.later
	return stats
}

// counted is what the counts have of a text.
type counted struct {
	prompt, cached, generated int
	first                     bool
}

// countAll counts what a step has done for the texts that are under way; leave counts those that have ended.
func (s *Scheduler) countAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.active {
		s.count(t)
	}
}

// count adds what a text has come to since it was last counted. It needs s.mu.
func (s *Scheduler) count(t *text) {
	now, was := counted{len(t.result.Prompt), t.result.Stats.CachedTokens, len(t.result.Tokens), !t.first.IsZero()}, t.counted
	if t.chosen == 0 {
		now.prompt = t.have()
	}
	s.stats.PromptTokens += now.prompt - was.prompt
	s.stats.CachedTokens += now.cached - was.cached
	s.stats.GeneratedTokens += now.generated - was.generated
	if now.first && !was.first {
		s.stats.FirstTokens++
		s.stats.FirstTokenTime += t.first.Sub(t.asked)
	}
	t.counted = now
}
