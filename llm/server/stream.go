package server

import (
	"net/http"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// alive is how long a stream is silent at most: then a comment shows that it lives.
const alive = 15 * time.Second

// stream answers with texts as they come. An error before the first piece is an ordinary answer; later it is an event.
func (j *job) stream(w http.ResponseWriter, texts *llm.Texts) error {
	e := newEvents(w)
	t := &streaming{job: j, e: e, begun: make([]bool, len(j.requests)), plain: make([]plainEvent, len(j.requests)), parsers: j.parsers()}
	defer t.parsers.close()
	switch err := j.follow(texts, e, t.piece); {
	case err != nil && !e.begun():
		return err
	case err != nil:
		e.failed(err)
		e.send(map[string]any{"error": asAPI(err)})
	default:
		t.end()
	}
	e.flush()
	return nil
}

// follow hands over each piece of texts until all have ended, and returns the error that has ended them. It sends the events that
// pieces have made, but the last ones. e is nil where the answer is none of events.
func (j *job) follow(texts *llm.Texts, e *events, take func(p *llm.Piece)) error {
	look := time.NewTicker(alive / 2)
	defer look.Stop()
	for {
		select {
		case <-texts.Ready():
			pieces, over, err := texts.Take()
			for i := range pieces {
				take(&pieces[i])
			}
			if over || err != nil {
				return err
			}
		case p := <-j.read:
			j.reading(e, p)
		case <-look.C:
			e.alive()
		}
		e.flush()
	}
}

// streaming is an answer whose texts are sent as they come.
type streaming struct {
	*job
	e       *events
	usage   usage
	begun   []bool       // texts
	plain   []plainEvent // by text: where nothing is to be said but more of it
	parsers parsers
}

// end writes what ends a stream.
func (t *streaming) end() {
	if o := t.q.StreamOptions; o != nil && o.IncludeUsage {
		r := t.response(t.object)
		if t.chat {
			r.Object = t.chunk
		}
		r.Usage = &t.usage
		t.e.send(r)
	}
	t.e.write("data: [DONE]\n\n")
}

// piece writes a piece.
func (t *streaming) piece(p *llm.Piece) {
	if !t.begun[p.Index] {
		t.begun[p.Index] = true
		t.begin(p)
	}
	if t.parsers == nil && p.Logprob == nil && p.PromptLogprobs == nil {
		t.more(p.Index, p.Text)
	} else {
		for _, c := range t.parts(p) {
			t.e.send(t.response(t.chunk, c))
		}
	}
	if p.Result != nil {
		t.last(p)
		t.count(&t.usage, p)
	}
}

// begin writes what comes before the first piece of a text.
func (t *streaming) begin(p *llm.Piece) {
	switch nothing := ""; {
	case t.chat:
		t.e.send(t.response(t.chunk, choice{Index: p.Index, Delta: &content{Role: "assistant", Content: &nothing}}))
	case t.q.Echo:
		p.Text = t.l.scheduler.Model().Vocabulary().Tokenizer.Decode(t.requests[p.Index].Prompt, true) + p.Text
	}
}

// more writes more of a text, which most events are.
func (t *streaming) more(index int, text string) {
	if text == "" {
		return
	}
	plain := &t.plain[index]
	if plain.before == nil {
		c := choice{Index: index, Text: &placeholder}
		if t.chat {
			c = choice{Index: index, Delta: &content{Content: &placeholder}}
		}
		*plain = newPlainEvent(t.response(t.chunk, c))
	}
	t.e.data = plain.append(t.e.data, text)
}

// parts are what a piece adds to a text or to a message.
func (t *streaming) parts(p *llm.Piece) (list []choice) {
	var logprobs any
	if list := scores(p); list != nil {
		logprobs = t.logprobs(p.Index, list)
	}
	switch {
	case !t.chat:
		if p.Text != "" || logprobs != nil {
			list = []choice{{Text: &p.Text}}
		}
	case t.parsers != nil:
		for _, d := range t.parsers[p.Index].piece(p) {
			list = append(list, choice{Delta: deltaOf(d, t.q.old())})
		}
	case p.Text != "":
		list = []choice{{Delta: &content{Content: &p.Text}}}
	}
	if list == nil && logprobs != nil {
		list = []choice{{Delta: &content{}}}
	}
	for i := range list {
		list[i].Index = p.Index
	}
	if len(list) > 0 {
		list[0].Logprobs = logprobs
	}
	return list
}

// last writes why a text ended.
func (t *streaming) last(p *llm.Piece) {
	finish := reason(p.Result.Finish)
	if t.parsers != nil && t.parsers[p.Index].called && finish == "stop" {
		finish = t.q.callsFinish()
	}
	c := choice{Index: p.Index, Finish: &finish}
	if nothing := ""; t.chat {
		c.Delta = &content{}
	} else {
		c.Text = &nothing
	}
	r := t.response(t.chunk, c)
	r.Timings = timingsOf(&p.Result.Stats)
	t.e.send(r)
}
