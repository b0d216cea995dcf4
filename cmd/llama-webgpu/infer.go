package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

var inferCommand = &cli.Command{
	Name:      "infer",
	Category:  "Models",
	Usage:     "let a model continue a text",
	UsageText: "llama-webgpu infer --model DIR --prompt TEXT [options]",
	Description: `Writes the continuation to standard output as it comes, until -n tokens, a token that ends the
text, or a stop string. With --temperature 0 the likeliest token is always taken, and the
same prompt gives the same text. Ctrl-C ends it cleanly.

Examples:

  llama-webgpu infer --model out --prompt "It was a cold morning" -n 40 --temperature 0 --stats
  echo "It was a cold morning" | llama-webgpu infer --model out --prompt - --stop . --echo
  llama-webgpu infer --model out --chat --system "Answer in one sentence." --prompt "Why is the sky blue?"`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "bundle, or with --device cpu a checkpoint: `DIR` (required)", Category: "Text"},
		&cli.StringFlag{Name: "prompt", Aliases: []string{"p"}, Usage: "text to continue: `TEXT`, - for standard input", Category: "Text"},
		&cli.StringFlag{Name: "prompt-file", Usage: "read the prompt from `FILE`", Category: "Text"},
		&cli.IntFlag{Name: "n", Aliases: []string{"max-tokens"}, Value: 128, Usage: "generate at most `N` tokens", Category: "Text"},
		&cli.StringSliceFlag{Name: "stop", KeepSpace: true, Usage: "end before `TEXT` would appear (repeatable)", Category: "Text"},
		&cli.IntFlag{Name: "max-seq-len", Usage: "the model sees the last `N` tokens", DefaultText: "what it was trained for, at most 4096", Category: "Text"},
		&cli.BoolFlag{Name: "no-verify", Usage: "do not compare the bundle with its hashes", Category: "Text", DisableDefaultText: true},
		&cli.BoolFlag{Name: "no-bos", Usage: "do not put the token for the beginning of a text before the prompt", Category: "Text", DisableDefaultText: true},

		&cli.Float64Flag{Name: "temperature", Aliases: []string{"t"}, Value: 0.8, Usage: "`T`; 0: always the likeliest token", Category: "Sampling"},
		&cli.IntFlag{Name: "top-k", Value: 40, Usage: "choose among the `K` likeliest tokens; 0: all", Category: "Sampling"},
		&cli.Float64Flag{Name: "top-p", Value: 0.95, Usage: "choose among the likeliest tokens that together have probability `P`; 1: all", Category: "Sampling"},
		&cli.Float64Flag{Name: "min-p", Usage: "choose among tokens at least `P` times as likely as the likeliest; 0: all", Category: "Sampling"},
		&cli.Float64Flag{Name: "repeat-penalty", Value: 1, Usage: "divide the logits of the last 64 tokens by `X`; 1: do not", Category: "Sampling"},
		&cli.Uint64Flag{Name: "seed", Usage: "of the random numbers: `N`", DefaultText: "another one each time", Category: "Sampling"},

		&cli.BoolFlag{Name: "echo", Usage: "write the prompt before its continuation", Category: "Output", DisableDefaultText: true},
		&cli.BoolFlag{Name: "stats", Usage: "write times, speeds and memory to standard error", Category: "Output", DisableDefaultText: true},
		quietFlag, jsonFlag("print prompt_tokens, tokens, text and stats as JSON when all is done"),
	}, chatFlags, deviceFlags()),
	Action: infer,
}

func infer(c *cli.Context) (err error) {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := errors.Join(check(c, "model"), checkDevice(c), checkChat(c)); err != nil {
		return err
	}
	sampler, seed, err := newSampler(c)
	if err != nil {
		return err
	}
	prompt, err := readPrompt(c)
	if err != nil {
		return err
	}
	begun := time.Now()
	src, err := openSource(c.String("model"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	tok, err := src.tokenizer()
	if err != nil {
		return err
	}
	ids, talk, err := opening(c, src, tok, prompt)
	if err != nil {
		return err
	}
	e, err := openEngineWith(c, src, loadOptions{
		maxSeqLen: contextOf(c, src), ready: []int{1, max(1, len(ids))}, check: !c.Bool("no-verify"),
	})
	if err != nil {
		return err
	}
	defer e.close()
	if talk != nil {
		return talk(e, sampler)
	}

	g := generation{tok: tok, eos: src.eos, stopper: stopper{stops: c.StringSlice("stop")}, prompt: ids}
	if !c.Bool("json") {
		g.out = stdout(c)
		if c.Bool("echo") {
			fmt.Fprint(g.out, tok.Decode(ids, true))
		}
	}
	g.stats.Load = time.Since(begun).Seconds()
	g.stats.Seed = seed
	if err := g.run(c.Context, e, sampler, c.Int("n")); err != nil {
		return err
	}
	g.stats.device(e)
	return g.finish(c)
}

// newSampler returns a sampler and the seed that it uses.
func newSampler(c *cli.Context) (*sample.Sampler, uint64, error) {
	seed := c.Uint64("seed")
	if !c.IsSet("seed") {
		seed = rand.Uint64() >> 11 // exact in JSON, where numbers are float64
	}
	if c.Int("n") < 0 || c.Int("max-seq-len") < 0 {
		return nil, 0, usagef("-n %d, --max-seq-len %d: want 0 or more", c.Int("n"), c.Int("max-seq-len"))
	}
	if slices.Contains(c.StringSlice("stop"), "") {
		return nil, 0, usagef("stop: an empty text is everywhere")
	}
	s, err := sample.New(sample.Options{
		Temperature:   float32(c.Float64("temperature")),
		TopK:          c.Int("top-k"),
		TopP:          float32(c.Float64("top-p")),
		MinP:          float32(c.Float64("min-p")),
		RepeatPenalty: float32(c.Float64("repeat-penalty")),
		Seed:          seed,
	})
	if err != nil {
		return nil, 0, usagef("%v", err)
	}
	return s, seed, nil
}

// readPrompt returns the text to continue. The end of the last line of a file is not part of it.
func readPrompt(c *cli.Context) (string, error) {
	switch text, file := c.String("prompt"), c.String("prompt-file"); {
	case file != "" && c.IsSet("prompt"):
		return "", usagef("infer: want --prompt or --prompt-file, not both")
	case file != "":
		data, err := os.ReadFile(file)
		return strings.TrimSuffix(string(data), "\n"), err
	case text == "-":
		data, err := io.ReadAll(c.App.Reader)
		return strings.TrimSuffix(string(data), "\n"), err
	case c.IsSet("prompt"):
		return text, nil
	case talks(c):
		return "", nil
	}
	return "", usagef("infer: --prompt is missing; see llama-webgpu infer --help")
}

// opening returns the tokens that the model is to go on from, or what to do instead.
func opening(c *cli.Context, s *source, tok *tokenizer.Tokenizer, prompt string) (ids []int32, instead func(*engine, *sample.Sampler) error, err error) {
	if !c.Bool("chat") {
		ids, err = promptIDs(c, s, tok, prompt)
		return ids, nil, err
	}
	v, err := newConversation(c, s, tok)
	if err != nil {
		return nil, nil, err
	}
	if talks(c) {
		return nil, func(e *engine, sampler *sample.Sampler) error { return talk(c, v, e, sampler, s.eos) }, nil
	}
	ids, err = v.ask(prompt)
	return ids, nil, err
}

// promptIDs returns the tokens of the prompt.
func promptIDs(c *cli.Context, s *source, tok *tokenizer.Tokenizer, prompt string) ([]int32, error) {
	ids := tok.Encode(prompt, !c.Bool("no-bos"))
	if len(ids) == 0 && s.bos >= 0 && !c.Bool("no-bos") {
		ids = []int32{int32(s.bos)}
	}
	if len(ids) == 0 {
		return nil, errors.New("the prompt has no token: give a --prompt that is not empty")
	}
	return ids, nil
}

// contextOf is how many tokens the model is to see.
func contextOf(c *cli.Context, s *source) int {
	if n := c.Int("max-seq-len"); n > 0 {
		return n
	}
	return min(s.context(), 4096)
}

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
	failed error   // the first time that out did not take text
	stats  stats
}

// run generates at most n tokens. That ctx ends is no error.
func (g *generation) run(ctx context.Context, e *engine, s *sample.Sampler, n int) error {
	stream := g.tok.Stream(true)
	for _, id := range g.prompt { // what follows may depend on it: a space, half a character
		stream.Push(id)
	}
	g.stats.End = endLength
	begun := time.Now()
	var first time.Time
	count := 0
	for id, err := range sample.Generate(ctx, e.model(), s, g.prompt, n) {
		if errors.Is(err, context.Canceled) {
			g.stats.End = endInterrupted
			break
		}
		if err != nil {
			return err
		}
		if count++; count == 1 {
			first = time.Now()
		}
		if slices.Contains(g.eos, int(id)) {
			g.stats.End = endEOS
			break
		}
		g.tokens = append(g.tokens, id)
		if g.show(stream.Push(id)) {
			g.stats.End = endStop
			break
		}
		if g.failed != nil {
			return g.failed
		}
	}
	if g.stats.End != endStop && !g.show(stream.Flush()) {
		g.write(g.stopper.flush())
	}
	g.stats.measure(len(g.prompt), count, begun, first, time.Now())
	return nil
}

// show lets text through until a stop string appears, and reports whether one has.
func (g *generation) show(text string) (stopped bool) {
	text, stopped = g.stopper.push(text)
	g.write(text)
	return stopped
}

func (g *generation) write(text string) {
	g.text += text
	if g.out != nil {
		_, err := io.WriteString(g.out, text)
		g.failed = cmp.Or(g.failed, err)
	}
}

// finish prints what is printed at the end.
func (g *generation) finish(c *cli.Context) error {
	if c.Bool("json") {
		return printJSON(c, struct {
			PromptTokens []int32 `json:"prompt_tokens"`
			Tokens       []int32 `json:"tokens"`
			Text         string  `json:"text"`
			Stats        *stats  `json:"stats"`
		}{g.prompt, append([]int32{}, g.tokens...), g.text, &g.stats})
	}
	if _, err := fmt.Fprintln(g.out); err != nil {
		return err
	}
	if c.Bool("stats") {
		g.stats.print(os.Stderr)
	}
	return nil
}
