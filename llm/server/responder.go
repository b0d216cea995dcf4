package server

import (
	"crypto/rand"
	"encoding/json"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

// textEvents are what events of an item's text are called, and its part.
type textEvents struct{ added, delta, finished, done, index, part string }

var (
	messageEvents = textEvents{"response.content_part.added", "response.output_text.delta", "response.output_text.done", "response.content_part.done", "content_index", "output_text"}
	thoughtEvents = textEvents{"response.content_part.added", "response.reasoning_text.delta", "response.reasoning_text.done", "response.content_part.done", "content_index", "reasoning_text"}
	summaryEvents = textEvents{"response.reasoning_summary_part.added", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done", "response.reasoning_summary_part.done", "summary_index", "summary_text"}
)

// responder puts a response together from the pieces of a text, and writes an event for each step.
type responder struct {
	q   *responseRequest
	j   *job
	e   *events // nil: the response is wanted as a whole
	out *responseJSON

	thoughts  textEvents // those of thoughts
	sequence  int        // of the next event
	open      *outputItem
	text      strings.Builder   // of the open item
	logprobs  []responseLogprob // of the open item
	held      []responseLogprob // of tokens whose text has not come yet
	reasoning int               // tokens of thoughts
}

// newResponder begins a response.
func newResponder(q *responseRequest, j *job) *responder {
	null := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	given := func(v json.RawMessage, otherwise string) json.RawMessage {
		if isNull(v) {
			return json.RawMessage(otherwise)
		}
		return v
	}
	a := &responder{q: q, j: j, thoughts: thoughtEvents}
	a.out = &responseJSON{
		ID: j.prefix + strings.ToLower(rand.Text()), Object: j.object, Created: j.created, Status: "in_progress",
		Instructions: null(q.Instructions), MaxTokens: q.MaxTokens, Model: j.l.ID, Output: []*outputItem{}, Parallel: or(q.Parallel, true), Previous: null(q.Previous),
		Reasoning: map[string]any{"effort": nil, "summary": nil}, Store: or(q.Store, true),
		Temperature: or(q.Temperature, defaultTemperature), TopP: or(q.TopP, defaultTopP), TopLogprobs: int(or(q.TopLogprobs, 0)), Truncation: "disabled",
		Text: responseText{json.RawMessage(`{"type":"text"}`)}, Choice: given(q.Choice, `"auto"`), Tools: given(q.Tools, "[]"), Metadata: given(q.Metadata, "{}"),
	}
	if r := q.Reasoning; r != nil {
		a.out.Reasoning["effort"], a.out.Reasoning["summary"] = null(r.Effort), null(r.Summary)
		if r.Summary != "" { // the client shows nothing but summaries
			a.thoughts = summaryEvents
		}
	}
	if q.Text != nil && !isNull(q.Text.Format) {
		a.out.Text.Format = q.Text.Format
	}
	return a
}

// run takes all pieces. An error before the first event is returned; a later one becomes an event. The last events are not yet sent.
func (a *responder) run(texts *llm.Texts) error {
	var one *parsing
	if all := a.j.parsers(); all != nil {
		defer all.close()
		one = all[0]
	}
	err := a.j.follow(texts, a.e, func(p *llm.Piece) { a.piece(p, one) })
	if err == nil || a.e == nil || !a.e.begun() {
		return err
	}
	a.e.failed(err)
	a.failed(asAPI(err))
	return nil
}

// piece takes a piece.
func (a *responder) piece(p *llm.Piece, parser *parsing) {
	a.start()
	deltas := []tools.Delta{{Content: p.Text}}
	if parser != nil {
		deltas = parser.piece(p)
	} else if p.Text == "" {
		deltas = nil
	}
	a.held = append(a.held, a.j.responseLogprobs(p.Logprob)...)
	for _, d := range deltas {
		a.delta(d)
	}
	if a.open != nil && a.open.Type != "message" { // only messages have them
		a.held = nil
	}
	if p.Token >= 0 && a.open != nil && a.open.Type == "reasoning" {
		a.reasoning++
	}
	if p.Result != nil {
		a.end(p.Result)
	}
}

// start begins the events.
func (a *responder) start() {
	if a.sequence == 0 {
		a.emit("response.created", "response", a.out)
		a.emit("response.in_progress", "response", a.out)
	}
}

// delta adds to the open item, or opens the one that it belongs to.
func (a *responder) delta(d tools.Delta) {
	kind, text := "message", d.Content
	switch {
	case d.Call != nil:
		kind, text = "function_call", d.Call.Arguments
	case d.Reasoning != "":
		kind, text = "reasoning", d.Reasoning
	}
	if a.open == nil || a.open.Type != kind || d.Call != nil && d.Call.ID != "" {
		a.close("completed")
		a.begin(kind, d.Call)
	}
	if text == "" {
		return
	}
	a.text.WriteString(text)
	switch kind {
	case "function_call":
		a.emit("response.function_call_arguments.delta", "item_id", a.open.ID, "output_index", a.at(), "delta", text)
	case "reasoning":
		a.emit(a.thoughts.delta, "item_id", a.open.ID, "output_index", a.at(), a.thoughts.index, 0, "delta", text)
	default:
		a.logprobs = append(a.logprobs, a.held...)
		a.emit(messageEvents.delta, "item_id", a.open.ID, "output_index", a.at(), "content_index", 0, "delta", text, "logprobs", append([]responseLogprob{}, a.held...))
		a.held = nil
	}
}

// at is where the open item is in the output.
func (a *responder) at() int { return len(a.out.Output) - 1 }

// begin opens an item.
func (a *responder) begin(kind string, call *tools.CallDelta) {
	id := strings.ToLower(rand.Text())
	a.open = &outputItem{Type: kind, Status: "in_progress"}
	switch nothing := ""; kind {
	case "message":
		a.open.ID, a.open.Role, a.open.Content = "msg_"+id, "assistant", []outputPart{}
	case "reasoning":
		a.open.ID, a.open.Summary = "rs_"+id, []outputPart{}
	default:
		a.open.ID, a.open.CallID, a.open.Name, a.open.Arguments = "fc_"+id, call.ID, call.Name, &nothing
		a.open.Namespace = a.q.spaces[call.Name]
	}
	a.out.Output = append(a.out.Output, a.open)
	a.emit("response.output_item.added", "output_index", a.at(), "item", a.open)
	if kind != "function_call" {
		n := a.names()
		a.emit(n.added, "item_id", a.open.ID, "output_index", a.at(), n.index, 0, "part", a.part())
	}
}

// names are those of the open item's events.
func (a *responder) names() textEvents {
	if a.open.Type == "reasoning" {
		return a.thoughts
	}
	return messageEvents
}

// part is the text of the open item as far as it has come.
func (a *responder) part() outputPart {
	p := outputPart{Type: a.names().part, Text: a.text.String()}
	if a.open.Type == "message" {
		p.Annotations, p.Logprobs = []any{}, append([]responseLogprob{}, a.logprobs...)
	}
	return p
}

// close ends the open item, if there is one.
func (a *responder) close(status string) {
	if a.open == nil {
		return
	}
	item, text := a.open, a.text.String()
	if item.Type == "function_call" {
		item.Arguments = &text
		a.emit("response.function_call_arguments.done", "item_id", item.ID, "output_index", a.at(), "name", item.Name, "arguments", text)
	} else {
		n, part := a.names(), a.part()
		fields := []any{"item_id", item.ID, "output_index", a.at(), n.index, 0, "text", text}
		if item.Type == "message" {
			fields = append(fields, "logprobs", part.Logprobs)
		}
		a.emit(n.finished, fields...)
		a.emit(n.done, "item_id", item.ID, "output_index", a.at(), n.index, 0, "part", part)
		if n == summaryEvents {
			item.Summary = []outputPart{part}
		} else {
			item.Content = []outputPart{part}
		}
	}
	item.Status = status
	a.emit("response.output_item.done", "output_index", a.at(), "item", item)
	a.open, a.logprobs = nil, nil
	a.text.Reset()
}

// end ends the response.
func (a *responder) end(r *llm.Result) {
	a.out.Status = "completed"
	if reason(r.Finish) == "length" {
		a.out.Status, a.out.Incomplete = "incomplete", &incomplete{"max_output_tokens"}
	}
	if len(a.out.Output) == 0 { // clients want a message
		a.begin("message", nil)
	}
	a.close(a.out.Status)
	a.out.Usage = &responseUsage{}
	a.out.Usage.add(&r.Stats, a.reasoning)
	a.emit("response."+a.out.Status, "response", a.out)
}

// failed ends a response that has begun by an error.
func (a *responder) failed(err *apiError) {
	a.start() // nothing but comments may have been sent
	a.close("incomplete")
	a.out.Status, a.out.Error, a.out.Store = "failed", &responseError{"server_error", err.Message}, false
	a.emit("response.failed", "response", a.out)
}

// emit writes an event, of names and values.
func (a *responder) emit(name string, fields ...any) {
	event := map[string]any{"type": name, "sequence_number": a.sequence}
	a.sequence++
	if a.e == nil {
		return
	}
	for i := 0; i+1 < len(fields); i += 2 {
		event[fields[i].(string)] = fields[i+1]
	}
	a.e.named(name, event)
}

// items are the output as input of the next request.
func (a *responder) items() (list []json.RawMessage) {
	for _, item := range a.out.Output {
		raw, _ := json.Marshal(item) // strings and numbers, which can always be written
		list = append(list, raw)
	}
	return list
}
