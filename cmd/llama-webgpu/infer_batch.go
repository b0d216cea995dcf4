package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// maxBatch is how many sequences a model has at most, usualBatch how many it gets unless --batch says otherwise.
const maxBatch, usualBatch = transformer.MaxBatch, 8

// textBatch are several texts, and how they are written.
type textBatch struct {
	*inference
	prompts []string
	results []*llm.Result // nil: the text has not ended
	written int           // of them: those are written in order
}

// batch continues several prompts.
func (i *inference) batch(prompts []string) error {
	b := textBatch{inference: i, prompts: prompts, results: make([]*llm.Result, len(prompts))}
	requests, longest, err := b.requests()
	if err != nil {
		return err
	}
	if err := b.openFor(longest); err != nil {
		return err
	}
	started := time.Now()
	if err := b.run(requests); err != nil {
		return err
	}
	if i.c.Bool("stats") && !i.c.Bool("json") {
		b.total(time.Since(started)).print(os.Stderr)
	}
	if i.c.Context.Err() != nil {
		return errInterrupted
	}
	return nil
}

// requests returns the texts, and how many tokens the longest prompt has.
func (b *textBatch) requests() (list []llm.Request, longest int, err error) {
	for i, p := range b.prompts {
		ids, err := b.prompt(p)
		if err != nil {
			return nil, 0, fmt.Errorf("prompt %d: %w", i+1, err)
		}
		longest = max(longest, len(ids))
		list = append(list, llm.Request{Prompt: ids, Options: b.options(p, b.seed+uint64(i))})
	}
	return list, longest, nil
}

// openFor loads the model for as many sequences as there are prompts, or as --batch says.
func (b *textBatch) openFor(longest int) error {
	sequences := usualBatch
	if n := b.c.Int("batch"); n > 0 {
		sequences = n
	}
	sequences = min(sequences, len(b.prompts))
	if b.device == engine.CPU {
		return b.open(1)
	}
	return b.open(sequences, 1, sequences, longest)
}

// run generates, and writes each text as it ends. That the context ends is no error: what there is then is written.
func (b *textBatch) run(requests []llm.Request) error {
	for piece, err := range b.model.Batch(b.c.Context, requests) {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return overflowed(err)
		}
		if piece.Result == nil {
			continue
		}
		b.results[piece.Index] = piece.Result
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// write writes the texts that have ended and whose turn it is.
func (b *textBatch) write() error {
	for b.written < len(b.results) && b.results[b.written] != nil {
		if err := b.one(b.written); err != nil {
			return err
		}
		b.written++
	}
	return nil
}

// one writes the i-th text.
func (b *textBatch) one(i int) error {
	r, w := b.results[i], stdout(b.c)
	if b.c.Bool("json") {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			Index  int    `json:"index"`
			Prompt string `json:"prompt"`
			resultJSON
		}{i, b.prompts[i], newResultJSON(r, b.stats(r, b.seed+uint64(i)))})
	}
	text := r.Text
	if b.c.Bool("echo") {
		text = b.files.Vocabulary().Tokenizer.Decode(r.Prompt, true) + text
	}
	separator := "\n"
	if i == 0 {
		separator = ""
	}
	_, err := fmt.Fprintf(w, "%s--- %d: %s\n%s\n", separator, i+1, label(b.prompts[i]), text)
	return err
}

// label returns the beginning of a prompt, in one line.
func label(prompt string) string {
	r := []rune(strings.Join(strings.Fields(prompt), " "))
	if len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return string(r)
}

// total adds up the statistics of all texts. The speed of generation is that of all together, with the time
// that the prompts took.
func (b *textBatch) total(d time.Duration) *stats {
	s := &stats{Load: b.load}
	ends := map[string]int{}
	var prompts time.Duration
	for i, r := range b.results {
		if r == nil {
			continue
		}
		if i == 0 {
			s.FirstToken = r.Stats.FirstToken.Seconds()
		}
		s.PromptTokens += r.Stats.PromptTokens
		s.DroppedTokens += r.Stats.DroppedTokens
		s.GeneratedTokens += r.Stats.GeneratedTokens
		prompts += r.Stats.FirstToken
		ends[ending(r.Finish)]++
	}
	s.PromptSpeed, s.Speed = rate(s.PromptTokens, prompts), rate(s.GeneratedTokens, d)
	var list []string
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		list = append(list, fmt.Sprintf("%s %d×", end, ends[end]))
	}
	s.End = strings.Join(list, ", ")
	s.device(b.model)
	return s
}
