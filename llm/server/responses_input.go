package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// items are the conversation: that of the response that this one follows, and the input, with references replaced by the items they
// name.
func (s *Server) items(q *responseRequest) (items []json.RawMessage, err error) {
	if q.Previous != "" {
		before := s.kept.find(q.Previous)
		if before == nil {
			return nil, &apiError{http.StatusNotFound, fmt.Sprintf("there is no response %q: it was not stored, or is no longer kept; send the whole conversation as input", q.Previous), "invalid_request_error", "previous_response_id", "previous_response_not_found"}
		}
		items = slices.Clone(before.items)
	}
	var text string
	var list []json.RawMessage
	switch {
	case isNull(q.Input):
		return nil, bad("input", "there is no input")
	case json.Unmarshal(q.Input, &text) == nil:
		content, _ := json.Marshal(text) // a string can always be written
		return append(items, json.RawMessage(`{"role":"user","content":`+string(content)+`}`)), nil
	case json.Unmarshal(q.Input, &list) != nil:
		return nil, bad("input", "input: want a string, or a list of items")
	}
	for i, raw := range list {
		var ref struct{ Type, ID string }
		if json.Unmarshal(raw, &ref) == nil && ref.Type == "item_reference" {
			if raw = s.kept.item(ref.ID); raw == nil {
				return nil, &apiError{http.StatusNotFound, fmt.Sprintf("input[%d]: there is no item %q: its response was not stored, or is no longer kept; send the item itself", i, ref.ID), "invalid_request_error", "input", "item_not_found"}
			}
		}
		items = append(items, raw)
	}
	if len(items) == 0 {
		return nil, bad("input", "input: there are no items")
	}
	return items, nil
}

// inputItem is a part of a conversation.
type inputItem struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"`
	Summary   []struct {
		Text string `json:"text"`
	} `json:"summary"`
}

// messagesOf turns items into messages: thoughts, and the text and calls after them, become one message of the assistant.
func messagesOf(items []json.RawMessage) (list []message, err error) {
	thoughts := ""
	assistant := func() *message {
		if n := len(list); n == 0 || list[n-1].Role != "assistant" || thoughts != "" {
			list = append(list, message{Role: "assistant", Reasoning: thoughts})
			thoughts = ""
		}
		return &list[len(list)-1]
	}
	for i, raw := range items {
		at := fmt.Sprintf("input[%d]", i)
		var item inputItem
		var wrong *json.UnmarshalTypeError
		if errors.As(json.Unmarshal(raw, &item), &wrong) { // it is JSON
			return nil, wrongType(at, wrong)
		}
		switch item.Type {
		case "", "message":
			if item.Role == "" {
				return nil, bad("input", "%s has no role", at)
			}
			m := &message{Role: item.Role}
			if m.Role == "assistant" && thoughts != "" {
				m = assistant()
			} else {
				list = append(list, *m)
				m = &list[len(list)-1]
			}
			m.Content, err = quoted(item.Content, at)
		case "function_call":
			m := assistant()
			m.ToolCalls = append(m.ToolCalls, callJSON{ID: item.CallID, Type: "function", Function: functionJSON{item.Name, item.Arguments}})
		case "function_call_output":
			m := message{Role: "tool", CallID: item.CallID}
			m.Content, err = quoted(item.Output, at)
			list = append(list, m)
		case "reasoning":
			var more string
			more, err = item.thoughts(at)
			thoughts += more
		default:
			err = bad("input", "%s: an item of type %q is not supported", at, item.Type)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// quoted is a text, or the parts of one, as a JSON string.
func quoted(content json.RawMessage, at string) (json.RawMessage, error) {
	text, err := (message{Content: content}).text(at)
	if err != nil {
		return nil, err
	}
	out, _ := json.Marshal(text) // a string can always be written
	return out, nil
}

// thoughts are those of an item: in full, or else their summary. Those that another server has encrypted are left out.
func (i *inputItem) thoughts(at string) (text string, err error) {
	var parts []struct {
		Text string `json:"text"`
	}
	if !isNull(i.Content) && json.Unmarshal(i.Content, &parts) != nil {
		return "", bad("input", "%s.content: want a list of parts", at)
	}
	if len(parts) == 0 {
		parts = append(parts, i.Summary...)
	}
	for _, p := range parts {
		text += p.Text
	}
	return text, nil
}
