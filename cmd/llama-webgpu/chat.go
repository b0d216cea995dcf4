package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

var chatFlags = []cli.Flag{
	&cli.BoolFlag{Name: "chat", Usage: "treat the prompt as a message that the model answers; without a prompt, read messages line by line", Category: "Chat", DisableDefaultText: true},
	&cli.StringFlag{Name: "system", Usage: "`TEXT`: with --chat, instructions for the whole conversation", Category: "Chat"},
	&cli.StringSliceFlag{Name: "template-var", KeepSpace: true, Usage: "`NAME=VALUE`: with --chat, a variable of the template, such as enable_thinking=false; VALUE is JSON, or else a string (repeatable)", Category: "Chat"},
	&cli.StringFlag{Name: "chat-template-kwargs", Usage: "`JSON`: with --chat, variables of the template as a JSON object, such as '{\"enable_thinking\": false}'", Category: "Chat"},
	&cli.StringFlag{Name: "chat-template", Usage: "`FILE`: with --chat, a Jinja template", DefaultText: "the model's", Category: "Chat"},
}

// checkChat reports flags that do not go together.
func checkChat(c *cli.Context) error {
	for _, name := range []string{"system", "chat-template", "chat-template-kwargs", "template-var"} {
		if c.IsSet(name) && !c.Bool("chat") {
			return cmdline.Usagef("infer: --%s needs --chat", name)
		}
	}
	if talks(c) && c.Bool("json") {
		return cmdline.Usagef("infer: --json needs a --prompt")
	}
	_, err := templateVars(c)
	return err
}

// templateVars returns the variables of a template that the flags give; --template-var wins.
func templateVars(c *cli.Context) (map[string]any, error) {
	vars := map[string]any{}
	if text := c.String("chat-template-kwargs"); text != "" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
			return nil, cmdline.Usagef("--chat-template-kwargs %s: want a JSON object such as {\"enable_thinking\": false}", text)
		}
		for name, v := range object {
			vars[name] = v
		}
	}
	for _, text := range c.StringSlice("template-var") {
		name, value, ok := strings.Cut(text, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, cmdline.Usagef("--template-var %s: want NAME=VALUE", cmdline.Quoted(text))
		}
		vars[strings.TrimSpace(name)] = value
		if json.Valid([]byte(value)) {
			vars[strings.TrimSpace(name)] = json.RawMessage(value)
		}
	}
	for _, name := range []string{"messages", "add_generation_prompt"} {
		if _, ok := vars[name]; ok {
			return nil, cmdline.Usagef("the template's variable %s is the conversation's own: use --prompt and --system", name)
		}
	}
	return vars, nil
}

// talks reports whether messages are read line by line.
func talks(c *cli.Context) bool {
	return c.Bool("chat") && !c.IsSet("prompt") && !c.IsSet("prompt-file") && !c.IsSet("prompts")
}

// opening returns what a conversation begins with.
func opening(c *cli.Context) []llm.Message {
	if system := c.String("system"); system != "" {
		return []llm.Message{{Role: "system", Content: system}}
	}
	return nil
}

// newTemplate prepares the template that the flags or the model give.
func newTemplate(c *cli.Context, f *llm.Files) (llm.Template, error) {
	text, err := cmdline.ReadSome(c, "chat-template")
	if err != nil {
		return nil, err
	}
	vars, err := templateVars(c)
	if err != nil {
		return nil, err
	}
	t, err := f.Template(text, vars)
	switch {
	case err != nil && text != "":
		err = fmt.Errorf("--chat-template %s: %w", cmdline.Quoted(c.String("chat-template")), err)
	case errors.Is(err, llm.ErrNoTemplate):
		err = fmt.Errorf("%s: has no chat template: it was not trained to chat; use --prompt alone, or give --chat-template", f.Dir)
	}
	return t, err
}

// talk reads messages line by line and writes the answers, until the input ends.
func (i *inference) talk() error {
	if err := i.open(1, 1); err != nil {
		return err
	}
	s, err := i.model.NewSession()
	if err != nil {
		return err
	}
	o := generateOptions(i.c, i.seed)
	o.Template, o.Form = i.template, i.form
	if o.Sampler, err = llm.NewSampler(o.Sampling); err != nil {
		return err
	}
	messages := opening(i.c)
	in := bufio.NewReader(i.c.App.Reader)
	terminal := term.IsTerminal(int(os.Stdin.Fd()))
	for i.c.Context.Err() == nil {
		if terminal {
			fmt.Fprint(os.Stderr, "> ")
		}
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			var failed error
			messages, failed = i.answer(s, append(messages, llm.Message{Role: "user", Content: line}), o, terminal)
			if stopped := failed == error(errInterrupted) && i.c.Context.Err() == nil; failed != nil && !stopped {
				return failed
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errInterrupted
}

// answer has the model answer the last message, and returns all messages. On a terminal an interrupt ends the answer only: what
// there is of it stays in the conversation, and a message without an answer does not.
func (i *inference) answer(s *llm.Session, messages []llm.Message, o llm.GenerateOptions, terminal bool) ([]llm.Message, error) {
	ctx, stop := context.WithCancel(i.c.Context)
	defer stop()
	if terminal {
		defer takeInterrupt(stop)()
	}
	out := printer{w: stdout(i.c), begun: true}
	r, err := out.stream(s.Chat(ctx, messages, o))
	if err != nil {
		return nil, err
	}
	if r.Finish == llm.FinishCanceled && r.Text == "" {
		return messages[:len(messages)-1], i.finish(&out, r)
	}
	return append(messages, llm.Message{Role: "assistant", Content: r.Text}), i.finish(&out, r)
}
