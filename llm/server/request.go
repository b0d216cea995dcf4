package server

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// request is what chat and text completions share. Pointers tell a field that is absent from one that is zero.
type request struct {
	Model string `json:"model"`
	sampling
	calling
	forming
	Messages []message       `json:"messages"`
	Prompt   json.RawMessage `json:"prompt"`

	MaxTokens           *whole          `json:"max_tokens"`
	MaxCompletionTokens *whole          `json:"max_completion_tokens"`
	NPredict            *whole          `json:"n_predict"`
	Stop                json.RawMessage `json:"stop"`
	N                   *whole          `json:"n"`
	Logprobs            json.RawMessage `json:"logprobs"`
	TopLogprobs         *whole          `json:"top_logprobs"`
	Echo                bool            `json:"echo"`
	Suffix              string          `json:"suffix"`
	BestOf              *whole          `json:"best_of"`
	Modalities          []string        `json:"modalities"`

	Stream        bool `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	ReturnProgress    bool                       `json:"return_progress"`
	ContinueFinal     bool                       `json:"continue_final_message"`
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

	FunctionCall *functionJSON `json:"function_call"` // a call, as it was before there were tools
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
	var parts []struct{ Type, Text, Refusal string }
	if json.Unmarshal(m.Content, &parts) != nil {
		return "", bad(at, "%s.content: want a string, or a list of parts", at)
	}
	for _, p := range parts {
		switch p.Type {
		case "text", "input_text", "output_text":
			text += p.Text
		case "refusal":
			text += p.Refusal
		default:
			return "", bad(at, "%s.content: a part of type %q: only text is supported", at, p.Type)
		}
	}
	return text, nil
}

func isNull(v json.RawMessage) bool { return len(v) == 0 || bytes.Equal(v, []byte("null")) }

// isNothing reports whether a field is absent or has no effect.
func isNothing(v json.RawMessage) bool {
	return isNull(v) || bytes.Equal(v, []byte("[]")) || bytes.Equal(v, []byte("{}")) || bytes.Equal(v, []byte("false"))
}

// most is how many texts a request may ask for, or how many it may have embedded.
const most = 2048

// options returns how the text is continued.
func (q *request) options(l *loaded) (o llm.GenerateOptions, err error) {
	if err := q.supported(); err != nil {
		return o, err
	}
	o.MaxTokens = l.scheduler.Model().Context()
	for name, v := range map[string]*whole{"max_tokens": q.MaxTokens, "max_completion_tokens": q.MaxCompletionTokens, "n_predict": q.NPredict} {
		if v == nil || *v == -1 && name != "max_completion_tokens" { // −1: as many as there is room for
			continue
		}
		if *v < 0 {
			return o, bad(name, "%s is %d, want 0 or more", name, *v)
		}
		if o.MaxTokens = int(*v); *v == 0 {
			o.MaxTokens = llm.NoTokens
		}
	}
	if o.Sampling, err = q.read(l.scheduler.Model()); err != nil {
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
	if or(q.BestOf, 1) > or(q.N, 1) {
		return bad("best_of", "best_of is not supported: ask for n texts, and choose")
	}
	for _, m := range q.Modalities {
		if m != "text" {
			return bad("modalities", "modalities: %q is not supported, only text", m)
		}
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
		return false, 0, bad("logprobs", "logprobs: want true or false, or a number up to %d", llm.MaxTopLogprobs)
	}
	if n := q.TopLogprobs; n != nil && *n != 0 {
		if top = int(*n); top < 0 || top > llm.MaxTopLogprobs {
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
		return nil, bad("stop", "stop: want a string, or a list of strings")
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" }), nil // what clients send for none
}
