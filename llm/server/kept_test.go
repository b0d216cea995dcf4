package server

import (
	"encoding/json"
	"errors"
	"fmt"
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
		add(fmt.Sprint("large ", i), mostKeptBytes/4-100)
	}
	if k.bytes > mostKeptBytes || len(k.list) < 4 || k.find("large 4") == nil {
		t.Errorf("%d are kept, %d bytes", len(k.list), k.bytes)
	}
	if !k.remove("large 4") || k.remove("large 4") || k.find("large 3") == nil {
		t.Errorf("%d are kept after one was removed", len(k.list))
	}
	k.add(&responseJSON{ID: "tools", Tools: make([]byte, mostKeptBytes-1000)}, nil)
	if k.find("large 3") != nil || k.find("tools") == nil {
		t.Error("a response's tools do not count")
	}
	for len(k.list) > 0 {
		k.remove(k.list[0].response.ID)
	}
	if k.bytes != 0 {
		t.Errorf("%d bytes are counted, of nothing", k.bytes)
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
