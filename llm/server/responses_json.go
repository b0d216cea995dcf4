package server

import (
	"encoding/json"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// responseJSON is an answer of the Responses API.
type responseJSON struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"`
	Created      int64           `json:"created_at"`
	Status       string          `json:"status"` // in_progress, completed, incomplete, failed
	Background   bool            `json:"background"`
	Error        *responseError  `json:"error"`
	Incomplete   *incomplete     `json:"incomplete_details"`
	Instructions *string         `json:"instructions"`
	MaxTokens    *whole          `json:"max_output_tokens"`
	Model        string          `json:"model"`
	Output       []*outputItem   `json:"output"`
	Parallel     bool            `json:"parallel_tool_calls"`
	Previous     *string         `json:"previous_response_id"`
	Reasoning    map[string]any  `json:"reasoning"`
	Store        bool            `json:"store"`
	Temperature  float32         `json:"temperature"`
	Text         responseText    `json:"text"`
	Choice       json.RawMessage `json:"tool_choice"`
	Tools        json.RawMessage `json:"tools"`
	TopLogprobs  int             `json:"top_logprobs"`
	TopP         float32         `json:"top_p"`
	Truncation   string          `json:"truncation"`
	Usage        *responseUsage  `json:"usage"`
	Metadata     json.RawMessage `json:"metadata"`
}

// responseText says what form the text has.
type responseText struct {
	Format json.RawMessage `json:"format"`
}

type responseError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// incomplete says why a response is.
type incomplete struct {
	Reason string `json:"reason"`
}

// outputItem is a part of an answer: a message, thoughts, or a call.
type outputItem struct {
	ID        string       `json:"id"`
	Type      string       `json:"type"`
	Status    string       `json:"status"`
	Role      string       `json:"role,omitempty"`
	Content   []outputPart `json:"content,omitzero"`
	Summary   []outputPart `json:"summary,omitzero"`
	CallID    string       `json:"call_id,omitempty"`
	Name      string       `json:"name,omitempty"`
	Namespace string       `json:"namespace,omitempty"`
	Arguments *string      `json:"arguments,omitempty"`
}

// outputPart is a text in an item.
type outputPart struct {
	Type        string            `json:"type"`
	Text        string            `json:"text"`
	Annotations []any             `json:"annotations,omitzero"`
	Logprobs    []responseLogprob `json:"logprobs,omitzero"`
}

// responseLogprob is logprobJSON where the likeliest tokens are always there, if only as an empty list.
type responseLogprob struct {
	Token   string            `json:"token"`
	Logprob float64           `json:"logprob"`
	Bytes   []int             `json:"bytes"`
	Top     []responseLogprob `json:"top_logprobs"`
}

// responseUsage counts tokens.
type responseUsage struct {
	Input        int `json:"input_tokens"`
	InputDetails struct {
		Cached int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output        int `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

func (u *responseUsage) add(s *llm.Stats, reasoning int) {
	u.Input, u.Output, u.Total = s.PromptTokens, s.GeneratedTokens, s.PromptTokens+s.GeneratedTokens
	u.InputDetails.Cached, u.OutputDetails.Reasoning = s.CachedTokens, reasoning
}

// responseLogprobs describes the token of a piece; nil: that is not wanted.
func (j *job) responseLogprobs(p *llm.Logprob) []responseLogprob {
	if p == nil {
		return nil
	}
	var describe func(t logprobJSON) responseLogprob
	describe = func(t logprobJSON) responseLogprob {
		out := responseLogprob{t.Token, t.Logprob, t.Bytes, []responseLogprob{}}
		for _, o := range t.Top {
			out.Top = append(out.Top, describe(o))
		}
		return out
	}
	return []responseLogprob{describe(j.token(*p))}
}
