package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// responseRequest is the body of a request of the Responses API.
type responseRequest struct {
	Model string `json:"model"`
	sampling
	Input        json.RawMessage `json:"input"` // a text, or a list of items
	Instructions string          `json:"instructions"`
	Previous     string          `json:"previous_response_id"`
	Store        *bool           `json:"store"`
	MaxTokens    *whole          `json:"max_output_tokens"`
	Stop         json.RawMessage `json:"stop"`
	TopLogprobs  *whole          `json:"top_logprobs"`
	Include      []string        `json:"include"`
	Stream       bool            `json:"stream"`

	Tools    json.RawMessage `json:"tools"`
	Choice   json.RawMessage `json:"tool_choice"`
	Parallel *bool           `json:"parallel_tool_calls"`
	Text     *struct {
		Format json.RawMessage `json:"format"`
	} `json:"text"`
	Reasoning *struct {
		Effort  string `json:"effort"`
		Summary string `json:"summary"`
	} `json:"reasoning"`
	TemplateVariables map[string]json.RawMessage `json:"chat_template_kwargs"`

	Background   bool            `json:"background"`
	Conversation json.RawMessage `json:"conversation"`
	Prompt       json.RawMessage `json:"prompt"`
	Metadata     json.RawMessage `json:"metadata"`

	spaces map[string]string // namespaces of functions
}

// respond answers a request of the Responses API, which is a chat with other names for its fields.
func (s *Server) respond(w http.ResponseWriter, r *http.Request) error {
	q := &responseRequest{}
	if err := readRequest(w, r, q); err != nil {
		return err
	}
	items, err := s.items(q)
	if err != nil {
		return err
	}
	if bytesOf(items) > maxBody { // an item may be referred to many times
		return &apiError{http.StatusRequestEntityTooLarge, "the conversation is larger than 32 MiB", "invalid_request_error", "input", ""}
	}
	chat, err := q.chat(items)
	if err != nil {
		return err
	}
	return renamed(responseFields, s.run(r, chat, responseForm, chatPrompt, func(j *job, texts *llm.Texts) error {
		a := newResponder(q, j)
		if q.Stream {
			a.e = newEvents(w)
		}
		if err := a.run(texts); err != nil {
			return err
		}
		if a.out.Store {
			s.kept.add(a.out, append(items, a.items()...))
		}
		a.e.flush() // after it is kept, so that a client can follow it as soon as it reads the end
		if !q.Stream {
			answer(w, http.StatusOK, a.out)
		}
		return nil
	}))
}

var responseForm = answerForm{prefix: "resp_", object: "response", chat: true}

// responseFields are those that have another name in chat completions, by that name.
var responseFields = map[string]string{
	"messages": "input", "max_tokens": "max_output_tokens", "response_format": "text.format", "reasoning_effort": "reasoning.effort",
}

// chat is the request as one for chat completions.
func (q *responseRequest) chat(items []json.RawMessage) (*request, error) {
	for name, set := range map[string]bool{"background": q.Background, "conversation": !isNull(q.Conversation), "prompt": !isNull(q.Prompt)} {
		if set {
			return nil, bad(name, "%s is not supported", name)
		}
	}
	functions, err := q.functions()
	if err != nil {
		return nil, err
	}
	out := &request{
		Model: q.Model, sampling: q.sampling, MaxTokens: q.MaxTokens, Stop: q.Stop, Stream: q.Stream, TemplateVariables: q.TemplateVariables,
		calling: calling{Tools: functions, Choice: q.Choice, Parallel: q.Parallel},
	}
	if q.Reasoning != nil {
		out.Effort = q.Reasoning.Effort
	}
	if slices.Contains(q.Include, "message.output_text.logprobs") {
		out.Logprobs, out.TopLogprobs = json.RawMessage("true"), q.TopLogprobs
	}
	if err := q.format(&out.forming); err != nil {
		return nil, err
	}
	if q.Instructions != "" {
		text, _ := json.Marshal(q.Instructions)
		out.Messages = []message{{Role: "system", Content: text}}
	}
	said, err := messagesOf(items)
	out.Messages = append(out.Messages, said...)
	return out, err
}

// functions are the tools, including those in namespaces; calls name the namespace of their function. A web search, which coding agents
// always offer, is left out: the response's tools are those that the model was offered.
func (q *responseRequest) functions() (json.RawMessage, error) {
	var given, all, offered []json.RawMessage
	if isNull(q.Tools) || json.Unmarshal(q.Tools, &given) != nil {
		return q.Tools, nil // which says what is wrong with it
	}
	q.spaces = map[string]string{}
	for i, raw := range given {
		var space struct {
			Type, Name string
			Tools      []json.RawMessage
		}
		_ = json.Unmarshal(raw, &space) // anything that is no tool is refused later
		if strings.HasPrefix(space.Type, "web_search") {
			continue
		}
		offered = append(offered, raw)
		if space.Type != "namespace" {
			all = append(all, raw)
			continue
		}
		for k, raw := range space.Tools {
			var function struct{ Name string }
			_ = json.Unmarshal(raw, &function) // without a name it is refused
			if _, twice := q.spaces[function.Name]; twice {
				return nil, bad("tools", "tools[%d].tools[%d]: two namespaces have a function %q", i, k, function.Name)
			}
			q.spaces[function.Name] = space.Name
			all = append(all, raw)
		}
	}
	if len(offered) < len(given) {
		q.Tools, _ = json.Marshal(append([]json.RawMessage{}, offered...)) // they were JSON before
	}
	return json.Marshal(all)
}

// format reads text.format.
func (q *responseRequest) format(to *forming) error {
	if q.Text == nil || isNull(q.Text.Format) {
		return nil
	}
	var f struct {
		Type   string          `json:"type"`
		Schema json.RawMessage `json:"schema"`
	}
	_ = json.Unmarshal(q.Text.Format, &f) // without a type it is refused
	switch {
	case f.Type == "text":
	case f.Type == "json_object":
		to.ResponseFormat = &responseFormat{Type: "json_object"}
	case f.Type == "json_schema" && !isNull(f.Schema):
		to.ResponseFormat = &responseFormat{Type: "json_object", Schema: f.Schema}
	default:
		return bad("text.format", "text.format: want type text, json_object, or json_schema with a schema")
	}
	return nil
}

// response answers with a response that is kept.
func (s *Server) response(w http.ResponseWriter, r *http.Request) error {
	one := s.kept.find(r.PathValue("id"))
	if one == nil {
		return noResponse(r)
	}
	answer(w, http.StatusOK, one.answer)
	return nil
}

// forget forgets a response.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) error {
	if !s.kept.remove(r.PathValue("id")) {
		return noResponse(r)
	}
	answer(w, http.StatusOK, map[string]any{"id": r.PathValue("id"), "object": "response", "deleted": true})
	return nil
}

func noResponse(r *http.Request) error {
	return &apiError{http.StatusNotFound, fmt.Sprintf("there is no response %q: it was not stored, or is no longer kept", r.PathValue("id")), "invalid_request_error", "id", "not_found"}
}
