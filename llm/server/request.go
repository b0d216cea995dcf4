package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// maxBody is how large a request may be.
const maxBody = 32 << 20

// request is what chat and text completions share. Pointers tell a field that is absent from one that is zero.
type request struct {
	Model string `json:"model"`
	sampling
	calling
	Messages []message       `json:"messages"`
	Prompt   json.RawMessage `json:"prompt"`

	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	NPredict            *int            `json:"n_predict"`
	Stop                json.RawMessage `json:"stop"`
	N                   *int            `json:"n"`
	Logprobs            json.RawMessage `json:"logprobs"`
	TopLogprobs         *int            `json:"top_logprobs"`
	Echo                bool            `json:"echo"`
	Suffix              string          `json:"suffix"`

	ResponseFormat *struct {
		Type       string          `json:"type"`
		Schema     json.RawMessage `json:"schema"`
		JSONSchema *struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	JSONSchema json.RawMessage `json:"json_schema"`
	Grammar    string          `json:"grammar"`

	Stream        bool `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	ReturnProgress    bool                       `json:"return_progress"`
	TemplateVariables map[string]json.RawMessage `json:"chat_template_kwargs"`
}

// message is a turn of a conversation. Content is a string, or a list of parts that are text.
type message struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	Reasoning string          `json:"reasoning_content"`
	ToolCalls []callJSON      `json:"tool_calls"`
	CallID    string          `json:"tool_call_id"`
	Name      string          `json:"name"`
}

// readRequest reads the body into a value.
func readRequest(w http.ResponseWriter, r *http.Request, to any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &apiError{http.StatusRequestEntityTooLarge, "the request is larger than 32 MiB", "invalid_request_error", "", ""}
		}
		return bad("", "the request could not be read: %v", err)
	}
	err = json.Unmarshal(data, to)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		field := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:] // without the struct that it is in
		return bad(field, "%s is a %s, want a %s", field, wrong.Value, wrong.Type.Kind())
	}
	if err != nil {
		return bad("", "the request is not JSON: %v", err)
	}
	return nil
}

// text reads a message's content.
func (m message) text(at string) (string, error) {
	if isNull(m.Content) {
		return "", nil
	}
	var text string
	if json.Unmarshal(m.Content, &text) == nil {
		return text, nil
	}
	var parts []struct{ Type, Text string }
	if json.Unmarshal(m.Content, &parts) != nil {
		return "", bad(at, "want a string, or a list of parts")
	}
	for _, p := range parts {
		if p.Type != "text" {
			return "", bad(at, "a part of type %q: only text is supported", p.Type)
		}
		text += p.Text
	}
	return text, nil
}

func isNull(v json.RawMessage) bool { return len(v) == 0 || bytes.Equal(v, []byte("null")) }

// isNothing reports whether a field is absent or has no effect.
func isNothing(v json.RawMessage) bool {
	return isNull(v) || bytes.Equal(v, []byte("[]")) || bytes.Equal(v, []byte("{}")) || bytes.Equal(v, []byte("false"))
}

// most is how many texts a request may ask for.
const most = 16

// options returns how the text is continued.
func (q *request) options(l *loaded) (o llm.GenerateOptions, err error) {
	if err := q.supported(); err != nil {
		return o, err
	}
	o.MaxTokens = l.scheduler.Model().Context()
	for name, v := range map[string]*int{"max_tokens": q.MaxTokens, "max_completion_tokens": q.MaxCompletionTokens, "n_predict": q.NPredict} {
		if v == nil || *v == -1 && name != "max_completion_tokens" { // −1: as many as there is room for
			continue
		}
		if *v < 0 {
			return o, bad(name, "%s is %d, want 0 or more", name, *v)
		}
		if o.MaxTokens = *v; *v == 0 {
			o.MaxTokens = llm.NoTokens
		}
	}
	if o.Sampling, err = q.read(l.scheduler.Model().VocabSize()); err != nil {
		return o, err
	}
	if o.Logprobs, o.TopLogprobs, err = q.probabilities(); err != nil {
		return o, err
	}
	if o.Stop, err = q.stops(); err != nil {
		return o, err
	}
	return o, o.Validate()
}

func or[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}

// supported refuses fields that cannot be honored.
func (q *request) supported() error {
	if n := or(q.N, 1); n < 1 || n > most {
		return bad("n", "n is %d, want 1 to %d", n, most)
	}
	if q.Suffix != "" {
		return bad("suffix", "suffix is not supported")
	}
	return nil
}

// probabilities reads logprobs and top_logprobs. In text completions logprobs is a number, how many of the likeliest tokens to list.
func (q *request) probabilities() (wanted bool, top int, err error) {
	switch {
	case isNull(q.Logprobs):
	case json.Unmarshal(q.Logprobs, &wanted) == nil:
	case json.Unmarshal(q.Logprobs, &top) == nil && top >= 0 && top <= llm.MaxTopLogprobs:
		wanted = true
	default:
		return false, 0, bad("logprobs", "want true or false, or a number up to %d", llm.MaxTopLogprobs)
	}
	if n := q.TopLogprobs; n != nil && *n != 0 {
		if top = *n; top < 0 || top > llm.MaxTopLogprobs {
			return false, 0, bad("top_logprobs", "top_logprobs is %d, want 0 to %d", top, llm.MaxTopLogprobs)
		}
		if !wanted {
			return false, 0, bad("top_logprobs", "top_logprobs wants logprobs: true")
		}
	}
	return wanted, top, nil
}

// stops reads stop, a string or a list of them.
func (q *request) stops() (list []string, err error) {
	if isNull(q.Stop) {
		return nil, nil
	}
	var one string
	if json.Unmarshal(q.Stop, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(q.Stop, &list) != nil {
		return nil, bad("stop", "want a string, or a list of strings")
	}
	return list, nil
}

// wanted reads response_format, json_schema and grammar.
func (q *request) wanted() (w wanted, err error) {
	set := func(name, source string, f func() (*grammar.Grammar, error)) error {
		if w.param != "" {
			return bad(name, "%s and %s: want one of them", w.param, name)
		}
		w = wanted{name, name + source, f}
		return nil
	}
	schema := func(name string, data json.RawMessage) error {
		return set(name, string(data), func() (*grammar.Grammar, error) { return grammar.FromSchema(data) })
	}
	if f := q.ResponseFormat; f != nil {
		switch {
		case f.Type == "text":
		case f.Type == "json_schema" && f.JSONSchema != nil && !isNull(f.JSONSchema.Schema):
			err = schema("response_format", f.JSONSchema.Schema)
		case f.Type == "json_object" && !isNull(f.Schema):
			err = schema("response_format", f.Schema)
		case f.Type == "json_object":
			err = set("response_format", "", func() (*grammar.Grammar, error) { return grammar.JSON(), nil })
		default:
			err = bad("response_format", "want type text, json_object, or json_schema with a json_schema.schema")
		}
	}
	if err == nil && !isNull(q.JSONSchema) {
		err = schema("json_schema", q.JSONSchema)
	}
	if err == nil && q.Grammar != "" {
		err = set("grammar", q.Grammar, func() (*grammar.Grammar, error) { return grammar.ParseGBNF(q.Grammar) })
	}
	return w, err
}
