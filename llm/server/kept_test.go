package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestKeptBound keeps more responses than there is room for, by number and by bytes: the oldest go.
func TestKeptBound(t *testing.T) {
	var k kept
	add := func(id string, size int) {
		k.add(&responseJSON{ID: id, Output: []*outputItem{{ID: "of " + id}}}, []json.RawMessage{json.RawMessage(strings.Repeat("x", size)), json.RawMessage(id)})
	}
	for i := range mostKept + 5 {
		add(fmt.Sprint(i), 10)
	}
	if k.find("4") != nil || k.find("5") == nil || len(k.list) != mostKept || string(k.item("of 7")) != "7" || k.item("of 4") != nil {
		t.Errorf("%d are kept", len(k.list))
	}
	for i := range 5 {
		add(fmt.Sprint("large ", i), mostKeptBytes/4-1000)
	}
	if k.bytes > mostKeptBytes || len(k.list) < 4 || k.find("large 4") == nil {
		t.Errorf("%d are kept, %d bytes", len(k.list), k.bytes)
	}
	if !k.remove("large 4") || k.remove("large 4") || k.find("large 3") == nil {
		t.Errorf("%d are kept after one was removed", len(k.list))
	}
	k.add(&responseJSON{ID: "tools", Tools: json.RawMessage(`"` + strings.Repeat("x", mostKeptBytes-2000) + `"`)}, nil)
	if k.find("large 3") != nil || k.find("tools") == nil {
		t.Error("a response's tools do not count")
	}
	k.add(&responseJSON{ID: "too large", Text: responseText{json.RawMessage(`"` + strings.Repeat("x", mostKeptBytes) + `"`)}}, nil)
	if k.find("too large") != nil || k.find("tools") == nil {
		t.Error("one that is too large took the place of others")
	}
	for len(k.list) > 0 {
		k.remove(k.list[0].id)
	}
	if k.bytes != 0 {
		t.Errorf("%d bytes are counted, of nothing", k.bytes)
	}
}

// TestReferredOften refers to one item until the conversation is too large.
func TestReferredOften(t *testing.T) {
	var s Server
	said := `{"role":"assistant","content":"` + strings.Repeat("x", 1<<20) + `"}`
	s.kept.add(&responseJSON{ID: "resp_1", Output: []*outputItem{{ID: "msg_1"}}}, []json.RawMessage{json.RawMessage(said)})
	list := strings.Repeat(`{"type":"item_reference","id":"msg_1"},`, maxBody>>20)
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/responses", strings.NewReader(`{"input":[`+strings.TrimSuffix(list, ",")+`]}`))
	var e *apiError
	if err := s.respond(httptest.NewRecorder(), q); !errors.As(err, &e) || e.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%v", err)
	}
}

// TestThoughtsOfItems joins thoughts that are several items, and gives them to the answer after them.
func TestThoughtsOfItems(t *testing.T) {
	list, err := messagesOf([]json.RawMessage{
		json.RawMessage(`{"type":"reasoning","summary":[{"text":"a"}]}`), json.RawMessage(`{"type":"reasoning","content":[{"text":"b"}],"summary":[{"text":"c"}]}`),
		json.RawMessage(`{"role":"assistant","content":"d"}`), json.RawMessage(`{"role":"user","content":"e"}`),
	})
	if err != nil || len(list) != 2 || list[0].Reasoning != "ab" || string(list[0].Content) != `"d"` || list[1].Reasoning != "" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestFailedResponse ends a stream by an error before the first piece: it has begun all the same.
func TestFailedResponse(t *testing.T) {
	w := httptest.NewRecorder()
	a := newResponder(&responseRequest{}, &job{answerForm: responseForm, l: &loaded{Model: &Model{}}})
	a.e = newEvents(w)
	a.failed(asAPI(errors.New("out of luck")))
	a.e.flush()
	var names []string
	for line := range strings.Lines(w.Body.String()) {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	if want := []string{"response.created", "response.in_progress", "response.failed"}; !slices.Equal(names, want) || !strings.Contains(w.Body.String(), "out of luck") || a.out.Store {
		t.Errorf("%v: %s", names, w.Body)
	}
}

// FuzzResponses reads requests of the Responses API: what is wrong with them is an error that is the client's.
func FuzzResponses(f *testing.F) {
	for _, text := range []string{
		`{"input":"x"}`, `{"input":[{"role":"user","content":[{"type":"input_text","text":"x"}]},{"type":"reasoning","summary":[{"text":"y"}]},{"type":"function_call","call_id":"a","name":"b","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":[]}]}`,
		`{"input":[{"type":"item_reference","id":"msg_1"}],"previous_response_id":"resp_1"}`, `{"input":"","tools":[{"type":"namespace","name":"a","tools":[{},1]},{"type":"web_search"},"x"],"tool_choice":{"type":"allowed_tools","tools":[{}]}}`,
		`{"input":[null,1],"max_output_tokens":1e400,"n":-0.0,"text":{"format":{"type":"json_schema","schema":{}}},"instructions":"\ud800","reasoning":{}}`,
	} {
		f.Add([]byte(text))
	}
	var s Server
	s.kept.add(&responseJSON{ID: "resp_1", Output: []*outputItem{{ID: "msg_1"}}}, []json.RawMessage{json.RawMessage(`{"role":"assistant","content":"x"}`)})
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(err error) bool {
			var known *apiError
			if err != nil && !errors.As(err, &known) {
				t.Errorf("%s: %v", data, err)
			}
			return err == nil
		}
		q := &responseRequest{}
		if json.Unmarshal(data, q) != nil {
			return
		}
		items, err := s.items(q)
		if !check(err) {
			return
		}
		chat, err := q.chat(items)
		if !check(err) {
			return
		}
		_, err = chat.conversation()
		check(err)
		_, _, err = chat.offered()
		check(err)
		_, err = chat.wanted()
		check(err)
		_, _ = json.Marshal(newResponder(q, &job{answerForm: responseForm, l: &loaded{Model: &Model{}}}).out)
	})
}
