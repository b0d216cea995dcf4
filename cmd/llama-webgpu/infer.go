package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

var inferCommand = &cli.Command{
	Name:      "infer",
	Category:  "Models",
	Usage:     "continue a text, or chat",
	UsageText: "llama-webgpu infer DIR --prompt TEXT [options]",
	Description: `Prints the continuation while it is generated. It ends after -n tokens, where the model ends its text, or
before a stop string. With --temperature 0 the likeliest token is always taken, so that the same prompt
gives the same text. Ctrl-C stops it and still prints what there is; in a chat on a terminal, it stops the answer alone.

Several prompts run together, up to --batch at a time, and the weights are read once for all of them; when
one text ends, the next prompt takes its place. Each text is printed under its prompt when it is complete,
in the order of the prompts. The first one uses --seed, the following ones the numbers after it.

Examples:

  llama-webgpu infer out --prompt "It was a cold morning" -n 40 --temperature 0 --stats
  llama-webgpu infer out --chat --system "Answer in one sentence." --prompt "Why is the sky blue?"
  llama-webgpu infer out --chat
  llama-webgpu infer out --prompt "It was" --prompt "She said" -n 40 --stats
  llama-webgpu infer out --prompts prompts.jsonl --batch 8 --json > texts.jsonl
  llama-webgpu infer out --chat --prompt "Name a city." --json-schema '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
  echo "It was a cold morning" | llama-webgpu infer out --prompt - --stop . --echo`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle, or with --device cpu a checkpoint (required)", Category: "Text"},
		&cli.StringSliceFlag{Name: "prompt", Aliases: []string{"p"}, KeepSpace: true, Usage: "`TEXT`: text to continue; -: read it from standard input (repeatable)", Category: "Text"},
		&cli.StringFlag{Name: "prompt-file", Usage: "read the prompt from `FILE`", Category: "Text"},
		&cli.StringFlag{Name: "prompts", Usage: "`FILE`: many prompts, one per line; in a .jsonl file, each line a string or {\"prompt\": …}; -: standard input", Category: "Text"},
		&cli.IntFlag{Name: "batch", Usage: "`N`: how many prompts to continue at once, 1 to 64", DefaultText: "as many as there are, at most 8", Category: "Text"},
		&cli.IntFlag{Name: "n", Aliases: []string{"max-tokens"}, Value: 128, Usage: "generate at most `N` tokens", Category: "Text"},
		&cli.StringSliceFlag{Name: "stop", KeepSpace: true, Usage: "`TEXT`: stop before this appears (repeatable)", Category: "Text"},
		&cli.IntFlag{Name: "max-seq-len", Usage: "`N`: context length: prompt and continuation have at most N tokens", DefaultText: "what the model was trained for, at most 4096", Category: "Text"},
		&cli.StringFlag{Name: "on-overflow", Value: string(llm.OverflowError), Usage: "at the end of the context: error: refuse longer prompts, end the text; truncate: drop the oldest tokens of longer prompts; shift: also drop the older half when a text gets there, and go on", Category: "Text"},
		&cli.IntFlag{Name: "keep", Usage: "`N`: with --on-overflow truncate or shift, never drop the first N tokens; -1: none", DefaultText: "the beginning-of-text token and the system message; with shift, the first token at least", Category: "Text"},
		promptCacheFlag,
		&cli.BoolFlag{Name: "no-verify", Usage: "do not check the bundle against its hashes", Category: "Text", DisableDefaultText: true},
		&cli.BoolFlag{Name: "no-bos", Usage: "do not put the beginning-of-text token before the prompt", Category: "Text", DisableDefaultText: true},
	}, samplingFlags, []cli.Flag{
		&cli.BoolFlag{Name: "echo", Usage: "print the prompt before its continuation", Category: "Output", DisableDefaultText: true},
		&cli.BoolFlag{Name: "stats", Usage: "print times, speeds and memory to standard error", Category: "Output", DisableDefaultText: true},
		quietFlag, jsonFlag("print tokens, text and stats as JSON at the end; of several prompts, one object per line"),
	}, formFlags, chatFlags, deviceFlags()),
	Action: infer,
}

func infer(c *cli.Context) (err error) {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := cmp.Or(checkPromptFlag(c), cmdline.Check(c, []string{"model"}, "model"), checkDevice(c), checkChat(c), checkSampling(c)); err != nil {
		return err
	}
	prompts, err := readPrompts(c)
	if err != nil {
		return err
	}
	if err := checkPromptCache(c, len(prompts)); err != nil {
		return err
	}
	i := inference{c: c, begun: time.Now(), seed: seedOf(c), device: deviceOf(c)}
	if i.files, err = openFiles(c.String("model")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	if err := i.prepare(); err != nil {
		return err
	}
	switch {
	case len(prompts) > 1 || c.IsSet("prompts"):
		return i.batch(prompts)
	case talks(c):
		return i.talk()
	}
	return i.single(strings.Join(prompts, ""))
}

// inference is one run of infer.
type inference struct {
	c        *cli.Context
	begun    time.Time
	device   engine.Device
	files    *llm.Files
	template llm.Template // with --chat
	model    *llm.Model   // once it is loaded
	load     float64      // seconds that took, from the first file on
	seed     uint64
	form     *llm.Form // nil: any text
}

// openFiles opens a model whose text can be read and written.
func openFiles(dir string) (*llm.Files, error) {
	f, err := llm.OpenFiles(dir)
	if err != nil {
		return nil, err
	}
	if f.Vocabulary().Tokenizer == nil {
		_, err := f.Tokenizer() // says why there is none
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (i *inference) close() (err error) {
	if i.model != nil {
		err = i.model.Close()
	}
	return errors.Join(err, i.files.Close())
}

// prepare makes the form of the text and the template of a chat, and checks what depends on the vocabulary.
func (i *inference) prepare() error {
	err := checkBiases(i.c, i.files)
	if err != nil {
		return err
	}
	if i.form, err = newForm(i.c, i.files); err != nil || !i.c.Bool("chat") {
		return err
	}
	i.template, err = newTemplate(i.c, i.files)
	return err
}

// open loads the model, for as many sequences, and compiles the kernels of some passes meanwhile.
func (i *inference) open(sequences int, warm ...int) (err error) {
	e, err := engineOptions(i.c, i.device)
	if err != nil {
		return err
	}
	progress, end := loadingBar(i.c, e.Device)
	defer end()
	i.model, err = i.files.Load(i.c.Context, llm.Options{
		Device: e.Device, GPU: e.GPU, Kernels: e.Kernels, Context: i.c.Int("max-seq-len"), Sequences: sequences, KVBits: e.KVBits, NoCheck: i.c.Bool("no-verify"),
		Tuning: e.Tuning, Warm: warm, Progress: progress, Log: e.Log,
	})
	i.load = time.Since(i.begun).Seconds()
	if err == nil {
		i.warnOfContext()
	}
	return noGPU(i.c, err)
}

// warnOfContext says that the context is longer than what the model was trained for.
func (i *inference) warnOfContext() {
	if n, trained := i.c.Int("max-seq-len"), i.files.Weights.Spec().MaxPositions; trained > 0 && n > trained && i.model.Context() > trained {
		fmt.Fprintf(i.c.App.ErrWriter, "warning: --max-seq-len %d: the model was trained for a context of %d tokens, and may write nonsense beyond it\n", n, trained)
	}
}

// single continues one prompt, and prints the text as it comes.
func (i *inference) single(prompt string) error {
	ids, err := i.prompt(prompt)
	if err != nil {
		return err
	}
	warm := []int{len(ids)}
	if i.c.Int("n") > 1 {
		warm = append(warm, 1)
	}
	if err := i.open(1, warm...); err != nil {
		return err
	}
	s, err := i.model.NewSession()
	if err == nil {
		err = i.restore(s)
	}
	if err != nil {
		return err
	}
	out := printer{}
	if !i.c.Bool("json") {
		out.w = stdout(i.c)
		if i.c.Bool("echo") {
			out.print(i.files.Vocabulary().Tokenizer.Decode(ids, true))
			out.begun = true
		}
	}
	r, err := out.stream(s.GenerateTokens(i.c.Context, ids, i.options(prompt, i.seed)))
	if err != nil {
		return err
	}
	return errors.Join(i.finish(&out, r), i.save(s))
}

// prompt returns the tokens of what the model is to go on from.
func (i *inference) prompt(text string) (ids []int32, err error) {
	if i.c.Bool("chat") {
		return i.files.Vocabulary().Conversation(i.conversation(text), i.template)
	}
	ids, err = i.files.Vocabulary().Prompt(text, !i.c.Bool("no-bos"))
	if errors.Is(err, llm.ErrNoTokens) {
		err = fmt.Errorf("%w: give a --prompt that is not empty", err)
	}
	return ids, err
}

// checkPromptFlag reports a prompt that was given without a flag.
func checkPromptFlag(c *cli.Context) error {
	if c.NArg() > 1 {
		return cmdline.Usagef("infer: unexpected argument %q: the text goes to --prompt", c.Args().Get(1))
	}
	return nil
}

// inferBounds are what infer's numbers may be.
var inferBounds = []cmdline.Bound{
	{Name: "n", Most: cmdline.Unbounded},
	{Name: "max-seq-len", Least: 1, Most: 1 << 20},
	{Name: "batch", Least: 1, Most: maxBatch},
	{Name: "keep", Least: llm.NoTokens, Most: 1 << 20},
}

// checkSampling reports numbers and stop strings that make no sense.
func checkSampling(c *cli.Context) error {
	if err := cmp.Or(cmdline.Within(c, inferBounds...), cmdline.Within(c, samplingBounds...)); err != nil {
		return err
	}
	if _, err := biases(c); err != nil {
		return err
	}
	if slices.Contains(c.StringSlice("stop"), "") {
		return cmdline.Usagef("--stop must not be empty")
	}
	o := generateOptions(c, 0)
	if err := o.Validate(); err != nil {
		return wrongOption(err)
	}
	if c.IsSet("keep") && (o.Overflow == "" || o.Overflow == llm.OverflowError) {
		return cmdline.Usagef("infer: --keep needs --on-overflow truncate or shift")
	}
	return nil
}

// checkBiases reports biases of tokens that the model does not have.
func checkBiases(c *cli.Context, files *llm.Files) error {
	bias, err := biases(c)
	vocabulary := files.Weights.Spec().Vocab
	for id := range bias {
		if int(id) >= vocabulary {
			return fmt.Errorf("--logit-bias %d: the model has %d tokens, the last of them %d", id, vocabulary, vocabulary-1)
		}
	}
	return err
}

// seedOf returns --seed, or a random one.
func seedOf(c *cli.Context) uint64 {
	if c.IsSet("seed") {
		return c.Uint64("seed")
	}
	return rand.Uint64() >> 11 // exact in JSON, where numbers are float64
}

// generateOptions returns what the flags say of a text.
func generateOptions(c *cli.Context, seed uint64) llm.GenerateOptions {
	o := llm.GenerateOptions{
		Sampling: samplingOf(c, seed), MaxTokens: c.Int("n"), Stop: c.StringSlice("stop"), Overflow: llm.Overflow(c.String("on-overflow")), Keep: keep(c, 0),
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = llm.NoTokens
	}
	return o
}

// keep returns --keep, or if it is not given, the number of tokens that stay otherwise; 0: what llm chooses.
func keep(c *cli.Context, otherwise int) int {
	switch n := c.Int("keep"); {
	case !c.IsSet("keep"):
		return otherwise
	case n == 0:
		return llm.NoTokens
	default:
		return n
	}
}

// options returns how a prompt is continued.
func (i *inference) options(prompt string, seed uint64) llm.GenerateOptions {
	o := generateOptions(i.c, seed)
	o.Form = i.form
	if i.c.Bool("chat") && o.Overflow != llm.OverflowError {
		o.Keep = keep(i.c, i.files.Vocabulary().Opening(i.conversation(prompt), i.template))
	}
	return o
}

// conversation returns the messages of a prompt with --chat.
func (i *inference) conversation(prompt string) []llm.Message {
	return append(opening(i.c), llm.Message{Role: "user", Content: prompt})
}
