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
		Logprobs []*float64           `json:"token_logprobs"`
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
func (j *job) logprobs(index int, list []*llm.Logprob) any {
	if !j.requests[index].Options.Logprobs {
		return nil
	}
	if j.chat {
		all := chatLogprobs{Content: []logprobJSON{}}
		for _, p := range list {
			all.Content = append(all.Content, j.token(*p))
		}
		return all
	}
	all := textLogprobs{Tokens: []string{}, Logprobs: []*float64{}, Top: []map[string]float64{}, Offsets: []int{}}
	for i, p := range list {
		if p == nil { // the first token of a prompt, which nothing predicts
			id := j.requests[index].Prompt[i]
			all.add(j, index, id, j.token(llm.Logprob{Token: id}), nil, nil)
			continue
		}
		t := j.token(*p)
		top := map[string]float64{t.Token: t.Logprob}
		for _, o := range t.Top {
			top[o.Token] = o.Logprob
		}
		all.add(j, index, p.Token, t, &t.Logprob, top)
	}
	return all
}

// add adds a token that stands where the one before it in the same text ended. Special ones are not in the text.
func (all *textLogprobs) add(j *job, index int, id int32, t logprobJSON, logprob *float64, top map[string]float64) {
	all.Tokens, all.Logprobs, all.Top = append(all.Tokens, t.Token), append(all.Logprobs, logprob), append(all.Top, top)
	all.Offsets = append(all.Offsets, j.offsets[index])
	if !j.l.scheduler.Model().Vocabulary().Tokenizer.Special(id) {
		j.offsets[index] += utf8.RuneCountInString(t.Token)
	}
}
