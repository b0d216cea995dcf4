package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// alive is how long a stream is silent at most: then a comment shows that it lives.
const alive = 15 * time.Second

// stream answers with texts as they come. An error before the first piece is an ordinary answer; later it is an event.
func (j *job) stream(w http.ResponseWriter, pieces <-chan piece) error {
	e := &events{w: w, out: http.NewResponseController(w)}
	u := &usage{}
	begun := make([]bool, len(j.requests))
	silence := time.NewTicker(alive)
	defer silence.Stop()
	for {
		select {
		case p, more := <-pieces:
			if !more {
				return j.ended(e, u)
			}
			if p.err != nil {
				if !e.begun {
					return p.err
				}
				e.send(map[string]any{"error": asAPI(p.err)})
				return nil
			}
			j.event(e, p, begun)
			if p.Result != nil {
				u.add(&p.Result.Stats)
			}
			silence.Reset(alive)
		case <-silence.C:
			e.comment()
		}
	}
}

// ended writes what ends a stream.
func (j *job) ended(e *events, u *usage) error {
	if o := j.q.StreamOptions; o != nil && o.IncludeUsage {
		r := j.response(j.object)
		if j.chat {
			r.Object = j.chunk
		}
		r.Usage = u
		e.send(r)
	}
	e.write("data: [DONE]\n\n")
	return nil
}

// event writes a piece.
func (j *job) event(e *events, p piece, begun []bool) {
	c := choice{Index: p.index}
	if p.Logprob != nil {
		c.Logprobs = j.logprobs([]*llm.Logprob{p.Logprob})
	}
	if j.chat {
		if !begun[p.index] {
			nothing := ""
			e.send(j.response(j.chunk, choice{Index: p.index, Delta: &content{"assistant", &nothing}}))
		}
		c.Delta = &content{}
		if p.Text != "" {
			c.Delta.Content = &p.Text
		}
	} else {
		if j.q.Echo && !begun[p.index] {
			p.Text = j.l.scheduler.Model().Vocabulary().Tokenizer.Decode(j.requests[p.index].Prompt, true) + p.Text
		}
		c.Text = &p.Text
	}
	begun[p.index] = true
	if p.Result == nil {
		if p.Text != "" || p.Logprob != nil {
			e.send(j.response(j.chunk, c))
		}
		return
	}
	j.last(e, c, p.Text, p.Result)
}

// last writes the end of a text: what remained of it, and then why it ended.
func (j *job) last(e *events, c choice, text string, result *llm.Result) {
	finish := reason(result.Finish)
	if j.chat && (text != "" || c.Logprobs != nil) {
		e.send(j.response(j.chunk, c))
		c.Delta, c.Logprobs = &content{}, nil
	}
	c.Finish = &finish
	r := j.response(j.chunk, c)
	r.Timings = timingsOf(&result.Stats)
	e.send(r)
}

// events writes server-sent events.
type events struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	begun bool
}

// write writes and flushes; that the client has gone, its request's context says.
func (e *events) write(text string) {
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("X-Accel-Buffering", "no")
	}
	_, _ = e.w.Write([]byte(text))
	_ = e.out.Flush()
}

func (e *events) comment() { e.write(": alive\n\n") }

func (e *events) send(value any) {
	data, err := json.Marshal(value)
	if err != nil { // there is nothing in these values that cannot be written
		data = fmt.Appendf(nil, "{\"error\":{\"message\":%q}}", err.Error())
	}
	e.write("data: " + string(data) + "\n\n")
}
