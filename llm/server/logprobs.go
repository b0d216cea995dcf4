package server

import (
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// logprobJSON is a token of a chat completion's logprobs.content.
type logprobJSON struct {
	Token   string        `json:"token"`
	Logprob float64       `json:"logprob"`
	Bytes   []int         `json:"bytes"`
	Top     []logprobJSON `json:"top_logprobs,omitempty"`
}

// chatLogprobs are the logprobs of a chat completion, textLogprobs those of a text completion.
type (
	chatLogprobs struct {
		Content []logprobJSON `json:"content"`
	}
	textLogprobs struct {
		Tokens   []string             `json:"tokens"`
		Logprobs []float64            `json:"token_logprobs"`
		Top      []map[string]float64 `json:"top_logprobs"`
		Offsets  []int                `json:"text_offset"`
	}
)

// token describes one.
func (j *job) token(p llm.Logprob) logprobJSON {
	text, raw := j.l.scheduler.Model().TokenText(p.Token)
	out := logprobJSON{Token: text, Logprob: p.Logprob, Bytes: []int{}}
	for _, b := range raw {
		out.Bytes = append(out.Bytes, int(b))
	}
	for _, t := range p.Top {
		out.Top = append(out.Top, j.token(t))
	}
	return out
}

// logprobs describes the tokens of a piece, or of a whole text; nil if they are not wanted.
func (j *job) logprobs(list []*llm.Logprob) any {
	if !j.requests[0].Options.Logprobs {
		return nil
	}
	if j.chat {
		all := chatLogprobs{Content: []logprobJSON{}}
		for _, p := range list {
			all.Content = append(all.Content, j.token(*p))
		}
		return all
	}
	all := textLogprobs{Tokens: []string{}, Logprobs: []float64{}, Top: []map[string]float64{}, Offsets: []int{}}
	at := 0
	for _, p := range list {
		t := j.token(*p)
		top := map[string]float64{}
		for _, o := range t.Top {
			top[o.Token] = o.Logprob
		}
		all.Tokens, all.Logprobs, all.Top, all.Offsets = append(all.Tokens, t.Token), append(all.Logprobs, t.Logprob), append(all.Top, top), append(all.Offsets, at)
		at += utf8.RuneCountInString(t.Token)
	}
	return all
}
