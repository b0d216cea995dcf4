package server

import "time"

// progress says how much of a prompt has been read, as llama.cpp's server does.
type progress struct {
	Total     int   `json:"total"`     // tokens of the prompt
	Processed int   `json:"processed"` // … that the cache has
	Time      int64 `json:"time_ms"`   // since the request came
}

// readings has the texts of a stream tell how much of their prompts has been read. What nobody takes in time is left out: a
// text does not wait for its client.
func (j *job) readings() {
	if !j.q.ReturnProgress {
		return
	}
	begun := time.Now()
	j.read = make(chan choiceProgress, 4*len(j.requests))
	for i := range j.requests {
		j.requests[i].Options.OnPrompt = func(done, total int) {
			select {
			case j.read <- choiceProgress{i, progress{total, done, time.Since(begun).Milliseconds()}}:
			default:
			}
		}
	}
}

// choiceProgress is the progress of one of several texts.
type choiceProgress struct {
	index int
	progress
}

// reading writes how much of a prompt has been read.
func (j *job) reading(e *events, p choiceProgress) {
	r := j.response(j.chunk, choice{Index: p.index, Delta: &content{}})
	if !j.chat {
		nothing := ""
		r.Choices[0] = choice{Index: p.index, Text: &nothing}
	}
	r.Progress = &p.progress
	e.send(r)
}
