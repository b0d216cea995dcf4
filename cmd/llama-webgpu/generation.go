package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Why a generation ended.
const (
	endLength      = "length"      // -n tokens
	endEOS         = "eos"         // the model ended its text
	endStop        = "stop"        // a stop string
	endInterrupted = "interrupted" // Ctrl-C
)

// generation is one run of a model, from prompt to end.
type generation struct {
	tok     *tokenizer.Tokenizer
	eos     []int
	stopper stopper
	out     io.Writer // where text goes as it comes, nil: nowhere

	prompt []int32
	tokens []int32 // generated, without one that ended the text
	text   string  // of these, without a stop string
	open   bool    // a line was begun on out
	failed error   // the first time that out did not take text
	stats  stats

	stream       *tokenizer.Stream
	begun, first time.Time // when the prompt was fed, and when the first token came
	count        int       // tokens generated
}

// run generates at most n tokens. That ctx ends is no error.
func (g *generation) run(ctx context.Context, e *engine, s *sample.Sampler, n int) error {
	g.begin()
	for id, err := range sample.Generate(ctx, e.model(), s, g.prompt, n) {
		if errors.Is(err, context.Canceled) {
			g.stats.End = endInterrupted
			break
		}
		if err != nil {
			return err
		}
		if !g.take(id) {
			break
		}
	}
	if g.failed == nil {
		g.end()
	}
	return g.failed
}

// begin is called before the prompt is fed.
func (g *generation) begin() {
	g.stream = g.tok.Stream(true)
	for _, id := range g.prompt { // what follows may depend on it: a space, half a character
		g.stream.Push(id)
	}
	g.stats.End = endLength
	g.begun = time.Now()
}

// take adds a token and reports whether the text goes on.
func (g *generation) take(id int32) (more bool) {
	if g.count++; g.count == 1 {
		g.first = time.Now()
	}
	if slices.Contains(g.eos, int(id)) {
		g.stats.End = endEOS
		return false
	}
	g.tokens = append(g.tokens, id)
	if g.show(g.stream.Push(id)) {
		g.stats.End = endStop
		return false
	}
	return g.failed == nil
}

// end is called after the last token.
func (g *generation) end() {
	if g.stats.End != endStop && !g.show(g.stream.Flush()) {
		g.write(g.stopper.flush())
	}
	g.stats.measure(len(g.prompt), len(g.tokens), g.count, g.begun, g.first, time.Now())
}

// show lets text through until a stop string appears, and reports whether one has.
func (g *generation) show(text string) (stopped bool) {
	text, stopped = g.stopper.push(text)
	g.write(text)
	return stopped
}

func (g *generation) write(text string) {
	g.text += text
	if g.out != nil && text != "" {
		g.open = true
		_, err := io.WriteString(g.out, text)
		g.failed = cmp.Or(g.failed, err)
	}
}

// finish prints what is printed at the end, and says if that came too early.
func (g *generation) finish(c *cli.Context) error {
	if err := g.conclude(c); err != nil || g.stats.End != endInterrupted {
		return err
	}
	return errInterrupted
}

func (g *generation) conclude(c *cli.Context) error {
	if c.Bool("json") {
		return printJSON(c, struct {
			PromptTokens []int32 `json:"prompt_tokens"`
			Tokens       []int32 `json:"tokens"`
			Text         string  `json:"text"`
			Stats        *stats  `json:"stats"`
		}{g.prompt, append([]int32{}, g.tokens...), g.text, &g.stats})
	}
	if g.open {
		if _, err := fmt.Fprintln(g.out); err != nil {
			return err
		}
	}
	if c.Bool("stats") {
		g.stats.print(os.Stderr)
	}
	return nil
}
