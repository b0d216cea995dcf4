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

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// maxBatch is how many sequences a transformer has at most.
const maxBatch = 8

// batchText is one of several texts that are continued.
type batchText struct {
	generation
	prompt  string
	sampler *sample.Sampler
	done    bool // it has ended
}

// textBatch are the texts, and how they are written.
type textBatch struct {
	c       *cli.Context
	e       *engine
	texts   []*batchText
	written int // of texts: those are written in order
	load    float64
	failed  error // the first time that standard output did not take a text
}

// inferBatch continues several prompts.
func inferBatch(c *cli.Context, src *source.Model, tok *tokenizer.Tokenizer, prompts []string, seed uint64, begun time.Time) error {
	b := textBatch{c: c}
	longest := 0
	for i, p := range prompts {
		t, err := newBatchText(c, src, tok, p, seed+uint64(i))
		if err != nil {
			return fmt.Errorf("prompt %d: %w", i+1, err)
		}
		longest = max(longest, len(t.generation.prompt))
		b.texts = append(b.texts, t)
	}
	most := min(maxBatch, len(prompts))
	if n := c.Int("batch"); n > 0 {
		most = min(n, len(prompts))
	}
	var err error
	b.e, err = openEngineWith(c, src, loadOptions{
		maxSeqLen: contextOf(c, src), maxBatch: most, ready: []int{1, most, longest}, check: !c.Bool("no-verify"),
	})
	if err != nil {
		return err
	}
	defer b.e.close()
	b.load = time.Since(begun).Seconds()
	started := time.Now()
	if err := b.run(c.Context); err != nil {
		return err
	}
	if c.Bool("stats") && !c.Bool("json") {
		b.total(time.Since(started)).print(os.Stderr)
	}
	if c.Context.Err() != nil {
		return errInterrupted
	}
	return nil
}

func newBatchText(c *cli.Context, src *source.Model, tok *tokenizer.Tokenizer, prompt string, seed uint64) (*batchText, error) {
	ids, _, err := opening(c, src, tok, prompt)
	if err != nil {
		return nil, err
	}
	sampler, err := sample.New(samplerOptions(c, seed))
	if err != nil {
		return nil, err
	}
	t := &batchText{prompt: prompt, sampler: sampler}
	t.generation = generation{tok: tok, eos: src.EOS, stopper: stopper{stops: c.StringSlice("stop")}, prompt: ids}
	t.stats.Seed = seed
	return t, nil
}

// run generates. That ctx ends is no error: what there is then is written.
func (b *textBatch) run(ctx context.Context) error {
	err := b.generate(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
		for _, t := range b.texts[b.written:] {
			if t.stream == nil {
				t.begin()
			}
			if !t.done {
				t.stats.End = endInterrupted
				t.end()
				t.done = true
			}
		}
	}
	b.write()
	return errors.Join(err, b.failed)
}

func (b *textBatch) generate(ctx context.Context) error {
	n := b.c.Int("n")
	if b.e.gpu == nil { // one after the other
		for _, t := range b.texts {
			b.e.Reset()
			if err := t.run(ctx, b.e, t.sampler, n); err != nil {
				return err
			}
			b.end(t)
			if ctx.Err() != nil || b.failed != nil {
				return ctx.Err()
			}
		}
		return nil
	}
	var requests []sample.Request
	for _, t := range b.texts {
		requests = append(requests, sample.Request{
			Prompt: t.generation.prompt, N: n, Sampler: t.sampler, Begin: t.begin,
			Take: func(id int32) bool { return t.take(id) && b.failed == nil },
			End: func() {
				t.end()
				b.end(t)
			},
		})
	}
	return sample.GenerateBatch(ctx, b.e.gpu, requests)
}

// end writes a text that has ended, and those after it that have waited for it.
func (b *textBatch) end(t *batchText) {
	t.done = true
	b.write()
}

// write writes the texts that have ended and whose turn it is.
func (b *textBatch) write() {
	for b.failed == nil && b.written < len(b.texts) && b.texts[b.written].done {
		b.failed = b.one(b.written)
		b.written++
	}
}

// one writes the i-th text.
func (b *textBatch) one(i int) error {
	t, w := b.texts[i], stdout(b.c)
	if b.c.Bool("json") {
		t.stats.Load = b.load
		t.stats.device(b.e)
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			Index        int     `json:"index"`
			Prompt       string  `json:"prompt"`
			PromptTokens []int32 `json:"prompt_tokens"`
			Tokens       []int32 `json:"tokens"`
			Text         string  `json:"text"`
			Stats        *stats  `json:"stats"`
		}{i, t.prompt, t.generation.prompt, append([]int32{}, t.tokens...), t.text, &t.stats})
	}
	text := t.text
	if b.c.Bool("echo") {
		text = t.tok.Decode(t.generation.prompt, true) + text
	}
	separator := "\n"
	if i == 0 {
		separator = ""
	}
	_, err := fmt.Fprintf(w, "%s--- %d: %s\n%s\n", separator, i+1, label(t.prompt), text)
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
	s := &stats{Load: b.load, FirstToken: b.texts[0].stats.FirstToken}
	ends := map[string]int{}
	var prompts time.Duration
	for _, t := range b.texts {
		s.PromptTokens += t.stats.PromptTokens
		s.GeneratedTokens += t.stats.GeneratedTokens
		ends[t.stats.End]++
		if t.count > 0 {
			prompts += t.first.Sub(t.begun)
		}
	}
	s.PromptSpeed, s.Speed = rate(s.PromptTokens, prompts), rate(s.GeneratedTokens, d)
	var list []string
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		list = append(list, fmt.Sprintf("%s %d×", end, ends[end]))
	}
	s.End = strings.Join(list, ", ")
	s.device(b.e)
	return s
}
