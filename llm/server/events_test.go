package server

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
)

// TestPlainEvents writes texts into events as json.Marshal does, also where a name of the model looks like the place for the text.
func TestPlainEvents(t *testing.T) {
	for _, text := range []string{
		"", " word", "text", `"text"`, `back\slash`, "a\nline\ttab", "<b> & </b>", "naïve 日本 🙂", "\u2028\u2029", "cut \xf0\x9f", "\x00\x7f\x1f",
	} {
		for _, chat := range []bool{false, true} {
			r := response{ID: `"text"`, Model: "text", Choices: []choice{{Index: 3, Text: &placeholder}}}
			want := r
			want.Choices = []choice{{Index: 3, Text: &text}}
			if chat {
				r.Choices = []choice{{Delta: &content{Content: &placeholder}}}
				want.Choices = []choice{{Delta: &content{Content: &text}}}
			}
			plain := newPlainEvent(r)
			data, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(plain.append([]byte("data: before\n\n"), text)); got != "data: before\n\ndata: "+string(data)+"\n\n" {
				t.Errorf("%q: %s, want %s", text, got, data)
			}
		}
	}
}

func FuzzQuoted(f *testing.F) {
	f.Add("word")
	f.Add("\"\\\u2028<\xff")
	f.Fuzz(func(t *testing.T, text string) {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendQuoted([]byte("x"), text); string(got) != "x"+string(want) {
			t.Errorf("%q: %s, want %s", text, got[1:], want)
		}
	})
}

// TestSilence sends a comment where nothing else was sent for a while, and only there.
func TestSilence(t *testing.T) {
	w := httptest.NewRecorder()
	e := newEvents(w)
	look := func(want string) {
		t.Helper()
		e.alive()
		if got := w.Body.String(); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	look("")
	e.send(1)
	e.flush()
	look("data: 1\n\n")
	look("data: 1\n\n: alive\n\n")
	if !w.Flushed || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Error("no stream of events")
	}
}
