package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// events writes server-sent events: they are gathered, and those that come together go out together. A nil one sends nothing.
type events struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	data  []byte // not sent yet
	open  bool   // something was sent
	quiet bool   // nothing was sent since alive
}

func newEvents(w http.ResponseWriter) *events {
	return &events{w: w, out: http.NewResponseController(w)}
}

// StreamErrors is what a ResponseWriter, or one that it wraps, implements to be told of an error that ends a stream: such an
// error is an event, and the status was sent before it.
type StreamErrors interface{ StreamError(err error) }

// failed tells of an error that is sent as an event.
func (e *events) failed(err error) {
	for w := e.w; ; {
		if to, ok := w.(StreamErrors); ok {
			to.StreamError(err)
			return
		}
		wrapping, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = wrapping.Unwrap()
	}
}

// begun reports whether the answer is one of events.
func (e *events) begun() bool { return e.open || len(e.data) > 0 }

// write adds an event.
func (e *events) write(text string) { e.data = append(e.data, text...) }

// send adds an event.
func (e *events) send(value any) { e.named("", value) }

// named adds an event that has a name.
func (e *events) named(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil { // there is nothing in these values that cannot be written
		data = fmt.Appendf(nil, "{\"error\":{\"message\":%q}}", err.Error())
	}
	if name != "" {
		e.write("event: " + name + "\n")
	}
	e.data = append(append(append(e.data, "data: "...), data...), "\n\n"...)
}

// flush sends what there is; that the client has gone, its request's context says.
func (e *events) flush() {
	if e == nil || len(e.data) == 0 {
		return
	}
	if !e.open {
		e.open = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("X-Accel-Buffering", "no")
	}
	_, _ = e.w.Write(e.data)
	_ = e.out.Flush()
	e.data, e.quiet = e.data[:0], false
}

// alive sends a comment if nothing was sent since the last time.
func (e *events) alive() {
	if e == nil {
		return
	}
	if e.quiet {
		e.write(": alive\n\n")
		e.flush()
	}
	e.quiet = true
}

// placeholder stands in an event where a text belongs.
var placeholder = "text"

// plainEvent is an event with a text in it, of which everything else is known, so that to write one takes no reflection.
type plainEvent struct{ before, after []byte }

// newPlainEvent makes one of an event whose last value of a string is the placeholder.
func newPlainEvent(value any) plainEvent {
	e := events{}
	e.send(value)
	quoted := []byte(`"` + placeholder + `"`)
	at := bytes.LastIndex(e.data, quoted)
	return plainEvent{e.data[:at:at], e.data[at+len(quoted):]}
}

// append adds the event of a text.
func (p *plainEvent) append(data []byte, text string) []byte {
	return append(appendQuoted(append(data, p.before...), text), p.after...)
}

// appendQuoted appends a text as json.Marshal would write it.
func appendQuoted(data []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // of a string, there is no error
			return append(data, quoted...)
		}
	}
	return append(append(append(data, '"'), text...), '"')
}
