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
	parsers := j.parsers()
	defer parsers.close()
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
			j.event(e, p, begun, parsers)
			if p.Result != nil {
				j.count(u, p)
			}
			silence.Reset(alive)
		case p := <-j.read:
			j.reading(e, p)
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
func (j *job) event(e *events, p piece, begun []bool, parsers parsers) {
	if !begun[p.index] {
		begun[p.index] = true
		if j.chat {
			nothing := ""
			e.send(j.response(j.chunk, choice{Index: p.index, Delta: &content{Role: "assistant", Content: &nothing}}))
		} else if j.q.Echo {
			p.Text = j.l.scheduler.Model().Vocabulary().Tokenizer.Decode(j.requests[p.index].Prompt, true) + p.Text
		}
	}
	for _, c := range j.parts(p, parsers) {
		e.send(j.response(j.chunk, c))
	}
	if p.Result != nil {
		j.last(e, p, parsers)
	}
}

// parts are what a piece adds to a text or to a message.
func (j *job) parts(p piece, parsers parsers) (list []choice) {
	var logprobs any
	if p.Logprob != nil {
		logprobs = j.logprobs([]*llm.Logprob{p.Logprob})
	}
	switch {
	case !j.chat:
		if p.Text != "" || logprobs != nil {
			list = []choice{{Text: &p.Text}}
		}
	case parsers != nil:
		for _, d := range parsers[p.index].piece(p) {
			list = append(list, choice{Delta: deltaOf(d, j.q.old())})
		}
	case p.Text != "":
		list = []choice{{Delta: &content{Content: &p.Text}}}
	}
	if list == nil && logprobs != nil {
		list = []choice{{Delta: &content{}}}
	}
	for i := range list {
		list[i].Index = p.index
	}
	if len(list) > 0 {
		list[0].Logprobs = logprobs
	}
	return list
}

// last writes why a text ended.
func (j *job) last(e *events, p piece, parsers parsers) {
	finish := reason(p.Result.Finish)
	if parsers != nil && parsers[p.index].called && finish == "stop" {
		finish = j.q.callsFinish()
	}
	c := choice{Index: p.index, Finish: &finish}
	if nothing := ""; j.chat {
		c.Delta = &content{}
	} else {
		c.Text = &nothing
	}
	r := j.response(j.chunk, c)
	r.Timings = timingsOf(&p.Result.Stats)
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

func (e *events) send(value any) { e.named("", value) }

// named writes an event that has a name.
func (e *events) named(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil { // there is nothing in these values that cannot be written
		data = fmt.Appendf(nil, "{\"error\":{\"message\":%q}}", err.Error())
	}
	if name != "" {
		name = "event: " + name + "\n"
	}
	e.write(name + "data: " + string(data) + "\n\n")
}
