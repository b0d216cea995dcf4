package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

var inferCommand = &cli.Command{
	Name:      "infer",
	Category:  "Models",
	Usage:     "let a model continue a text",
	UsageText: "llama-webgpu infer DIR --prompt TEXT [options]",
	Description: `Prints the continuation as it is generated, until there are -n tokens, the model ends its text, or a stop
string appears. With --temperature 0 the likeliest token is always taken, and the same prompt gives the
same text. Ctrl-C ends it cleanly.

Several prompts are continued at once, up to --batch of them, with the weights read once for all; when
one ends, the next takes its place. Their texts are printed whole, each under its prompt, in order. The
first is drawn with --seed, the others with the numbers after it.

Examples:

  llama-webgpu infer out --prompt "It was a cold morning" -n 40 --temperature 0 --stats
  llama-webgpu infer out --chat --system "Answer in one sentence." --prompt "Why is the sky blue?"
  llama-webgpu infer out --chat
  llama-webgpu infer out --prompt "It was" --prompt "She said" -n 40 --stats
  llama-webgpu infer out --prompts prompts.jsonl --batch 8 --json > texts.jsonl
  echo "It was a cold morning" | llama-webgpu infer out --prompt - --stop . --echo`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle, or with --device cpu a checkpoint (required)", Category: "Text"},
		&cli.StringSliceFlag{Name: "prompt", Aliases: []string{"p"}, KeepSpace: true, Usage: "`TEXT`: text to continue; -: read it from standard input (repeatable)", Category: "Text"},
		&cli.StringFlag{Name: "prompt-file", Usage: "read the prompt from `FILE`", Category: "Text"},
		&cli.StringFlag{Name: "prompts", Usage: "`FILE`: many prompts, one per line; in a .jsonl file, each line a string or {\"prompt\": …}; -: standard input", Category: "Text"},
		&cli.IntFlag{Name: "batch", Usage: "`N`: how many prompts to continue at once, 1 to 8", DefaultText: "as many as there are, at most 8", Category: "Text"},
		&cli.IntFlag{Name: "n", Aliases: []string{"max-tokens"}, Value: 128, Usage: "generate at most `N` tokens", Category: "Text"},
		&cli.StringSliceFlag{Name: "stop", KeepSpace: true, Usage: "`TEXT`: stop before this appears (repeatable)", Category: "Text"},
		&cli.IntFlag{Name: "max-seq-len", Usage: "`N`: context: how many of the last tokens the model sees", DefaultText: "what it was trained for, at most 4096", Category: "Text"},
		&cli.BoolFlag{Name: "no-verify", Usage: "do not check the bundle against its hashes", Category: "Text", DisableDefaultText: true},
		&cli.BoolFlag{Name: "no-bos", Usage: "do not put the beginning-of-text token before the prompt", Category: "Text", DisableDefaultText: true},

		&cli.Float64Flag{Name: "temperature", Aliases: []string{"t"}, Value: 0.8, Usage: "`T`: higher is more varied; 0: always the likeliest token", Category: "Sampling"},
		&cli.IntFlag{Name: "top-k", Value: 40, Usage: "`K`: choose among the K likeliest tokens; 0: all", Category: "Sampling"},
		&cli.Float64Flag{Name: "top-p", Value: 0.95, Usage: "`P`: choose among the likeliest tokens that together have probability P; 1: all", Category: "Sampling"},
		&cli.Float64Flag{Name: "min-p", Usage: "`P`: choose among tokens at least P times as likely as the likeliest; 0: all", Category: "Sampling"},
		&cli.Float64Flag{Name: "repeat-penalty", Value: 1, Usage: "`X`: make the last 64 tokens less likely by this factor; 1: do not", Category: "Sampling"},
		&cli.Uint64Flag{Name: "seed", Usage: "`N`: seed of the random numbers: the same seed gives the same text", DefaultText: "another one each time", Category: "Sampling"},

		&cli.BoolFlag{Name: "echo", Usage: "print the prompt before its continuation", Category: "Output", DisableDefaultText: true},
		&cli.BoolFlag{Name: "stats", Usage: "print times, speeds and memory to standard error", Category: "Output", DisableDefaultText: true},
		quietFlag, jsonFlag("print tokens, text and stats as JSON at the end; of several prompts, one object per line"),
	}, chatFlags, deviceFlags()),
	Action: infer,
}

func infer(c *cli.Context) (err error) {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := cmp.Or(check(c, []string{"model"}, "model"), checkDevice(c), checkChat(c)); err != nil {
		return err
	}
	sampler, seed, err := newSampler(c)
	if err != nil {
		return err
	}
	prompts, err := readPrompts(c)
	if err != nil {
		return err
	}
	begun := time.Now()
	src, err := source.Open(c.String("model"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	tok, err := src.Tokenizer()
	if err != nil {
		return err
	}
	if len(prompts) > 1 || c.IsSet("prompts") {
		return inferBatch(c, src, tok, prompts, seed, begun)
	}
	ids, talk, err := opening(c, src, tok, strings.Join(prompts, ""))
	if err != nil {
		return err
	}
	e, err := openEngineWith(c, src, loadOptions{
		maxSeqLen: contextOf(c, src), ready: readyFor(c.Int("n"), len(ids)), check: !c.Bool("no-verify"),
	})
	if err != nil {
		return err
	}
	defer e.close()
	all := stats{Load: time.Since(begun).Seconds(), Seed: seed}
	if talk != nil {
		return talk(e, sampler, all)
	}

	g := generation{tok: tok, eos: src.EOS, stopper: stopper{stops: c.StringSlice("stop")}, prompt: ids, stats: all}
	if !c.Bool("json") {
		g.out = stdout(c)
		if c.Bool("echo") {
			g.open = true
			fmt.Fprint(g.out, tok.Decode(ids, true))
		}
	}
	if err := g.run(c.Context, e, sampler, c.Int("n")); err != nil {
		return err
	}
	g.stats.device(e)
	return g.finish(c)
}

// inferBounds are what infer's numbers may be.
var inferBounds = []bound{
	{name: "n", most: unbounded},
	{name: "max-seq-len", least: 1, most: 1 << 20},
	{name: "batch", least: 1, most: maxBatch},
	{name: "temperature", most: unbounded, not: "0: always the likeliest token"},
	{name: "top-k", most: math.MaxInt32, not: "0: all tokens"},
	{name: "top-p", most: 1, open: true, not: "1: all tokens"},
	{name: "min-p", most: 1, not: "0: all tokens"},
	{name: "repeat-penalty", most: unbounded, open: true, not: "1: no penalty"},
}

// newSampler returns a sampler and the seed that it uses.
func newSampler(c *cli.Context) (*sample.Sampler, uint64, error) {
	seed := c.Uint64("seed")
	if !c.IsSet("seed") {
		seed = rand.Uint64() >> 11 // exact in JSON, where numbers are float64
	}
	if err := within(c, inferBounds...); err != nil {
		return nil, 0, err
	}
	if slices.Contains(c.StringSlice("stop"), "") {
		return nil, 0, usagef("--stop: an empty text is everywhere")
	}
	s, err := sample.New(samplerOptions(c, seed))
	if err != nil {
		return nil, 0, usagef("%v", err)
	}
	return s, seed, nil
}

func samplerOptions(c *cli.Context, seed uint64) sample.Options {
	return sample.Options{
		Temperature:   float32(c.Float64("temperature")),
		TopK:          c.Int("top-k"),
		TopP:          float32(c.Float64("top-p")),
		MinP:          float32(c.Float64("min-p")),
		RepeatPenalty: float32(c.Float64("repeat-penalty")),
		Seed:          seed,
	}
}

// opening returns the tokens that the model is to go on from, or what to do instead.
func opening(c *cli.Context, s *source.Model, tok *tokenizer.Tokenizer, prompt string) (ids []int32, instead func(*engine, *sample.Sampler, stats) error, err error) {
	if !c.Bool("chat") {
		ids, err = promptIDs(c, s, tok, prompt)
		return ids, nil, err
	}
	v, err := newConversation(c, s, tok)
	if err != nil {
		return nil, nil, err
	}
	if talks(c) {
		return nil, func(e *engine, sampler *sample.Sampler, all stats) error { return talk(c, v, e, sampler, s.EOS, all) }, nil
	}
	ids, err = v.ask(prompt)
	return ids, nil, err
}

// promptIDs returns the tokens of the prompt.
func promptIDs(c *cli.Context, s *source.Model, tok *tokenizer.Tokenizer, prompt string) ([]int32, error) {
	ids := tok.Encode(prompt, !c.Bool("no-bos"))
	if len(ids) == 0 && s.BOS >= 0 && !c.Bool("no-bos") {
		ids = []int32{int32(s.BOS)}
	}
	if len(ids) == 0 {
		return nil, errors.New("the prompt has no token: give a --prompt that is not empty")
	}
	return ids, nil
}

// contextOf is how many tokens the model is to see.
func contextOf(c *cli.Context, s *source.Model) int {
	if n := c.Int("max-seq-len"); n > 0 {
		return n
	}
	return min(s.Context(), 4096)
}

// readyFor returns the passes that n tokens after a prompt of some length will take; 0: it is not known yet.
func readyFor(n, prompt int) []int {
	var passes []int
	if prompt > 0 {
		passes = append(passes, prompt)
	}
	if n > 1 {
		passes = append(passes, 1)
	}
	return passes
}
