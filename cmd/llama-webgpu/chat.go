package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

var chatFlags = []cli.Flag{
	&cli.BoolFlag{Name: "chat", Usage: "treat the prompt as a message that the model answers; without a prompt, read messages line by line", Category: "Chat", DisableDefaultText: true},
	&cli.StringFlag{Name: "system", Usage: "`TEXT`: with --chat, instructions for the whole conversation", Category: "Chat"},
	&cli.StringSliceFlag{Name: "template-var", KeepSpace: true, Usage: "`NAME=VALUE`: with --chat, a variable of the template, such as enable_thinking=false; VALUE is JSON, or else a text (repeatable)", Category: "Chat"},
	&cli.StringFlag{Name: "chat-template-kwargs", Usage: "`JSON`: with --chat, variables of the template as an object, such as '{\"enable_thinking\": false}'", Category: "Chat"},
	&cli.StringFlag{Name: "chat-template", Usage: "`FILE`: with --chat, a Jinja template", DefaultText: "the model's", Category: "Chat"},
}

// checkChat reports flags that do not go together.
func checkChat(c *cli.Context) error {
	for _, name := range []string{"system", "chat-template", "chat-template-kwargs", "template-var"} {
		if c.IsSet(name) && !c.Bool("chat") {
			return usagef("infer: --%s is for --chat", name)
		}
	}
	if talks(c) && c.Bool("json") {
		return usagef("infer: --json wants a --prompt")
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
			return nil, usagef("--chat-template-kwargs %s: want a JSON object such as {\"enable_thinking\": false}", text)
		}
		for name, v := range object {
			vars[name] = v
		}
	}
	for _, text := range c.StringSlice("template-var") {
		name, value, ok := strings.Cut(text, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usagef("--template-var %s: want NAME=VALUE", quoted(text))
		}
		vars[strings.TrimSpace(name)] = value
		if json.Valid([]byte(value)) {
			vars[strings.TrimSpace(name)] = json.RawMessage(value)
		}
	}
	for _, name := range []string{"messages", "add_generation_prompt"} {
		if _, ok := vars[name]; ok {
			return nil, usagef("the template's variable %s is the conversation's own: use --prompt and --system", name)
		}
	}
	return vars, nil
}

// talks reports whether messages are read line by line.
func talks(c *cli.Context) bool {
	return c.Bool("chat") && !c.IsSet("prompt") && !c.IsSet("prompt-file") && !c.IsSet("prompts")
}

// conversation is a chat on its way through a model.
type conversation struct {
	template *chat.Template
	tok      *tokenizer.Tokenizer
	messages []chat.Message
	fed      []int32 // tokens that the model's cache may hold
}

// newConversation prepares the template that the flags or the model give.
func newConversation(c *cli.Context, s *source.Model, tok *tokenizer.Tokenizer) (*conversation, error) {
	text := s.ChatTemplate()
	if c.String("chat-template") != "" {
		var err error
		if text, err = readText(c, "chat-template"); err != nil {
			return nil, err
		}
	}
	if text == "" {
		return nil, fmt.Errorf("%s: has no chat template: it was not trained to chat; use --prompt alone, or give --chat-template", s.Dir)
	}
	vars, err := templateVars(c)
	if err != nil {
		return nil, err
	}
	t, err := chat.New(text, s.SpecialTokens(tok), vars)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	v := &conversation{template: t, tok: tok}
	if system := c.String("system"); system != "" {
		v.messages = append(v.messages, chat.Message{Role: "system", Content: system})
	}
	return v, nil
}

// ask adds a message and returns the tokens of the whole conversation, up to where the answer begins.
func (v *conversation) ask(message string) ([]int32, error) {
	v.messages = append(v.messages, chat.Message{Role: "user", Content: message})
	text, err := v.template.Render(v.messages, true)
	if err != nil {
		return nil, err
	}
	ids := v.tok.Encode(text, false)
	if len(ids) == 0 {
		return nil, errors.New("chat template: it makes an empty text of the conversation")
	}
	return ids, nil
}

// reuse makes the model forget what differs from ids, and returns those that it has yet to be fed.
func (v *conversation) reuse(e *engine, ids []int32) ([]int32, error) {
	same := 0
	for same < min(len(ids)-1, len(v.fed)) && ids[same] == v.fed[same] {
		same++
	}
	if e.gpu == nil || !e.gpu.CanRewind(same) {
		e.Reset()
		return ids, nil
	}
	return ids[same:], e.gpu.Rewind(same)
}

// talk reads messages line by line and writes the answers, until the input ends.
func talk(c *cli.Context, v *conversation, e *engine, s *sample.Sampler, eos []int, all stats) error {
	in := bufio.NewReader(c.App.Reader)
	terminal := term.IsTerminal(int(os.Stdin.Fd()))
	for c.Context.Err() == nil {
		if terminal {
			fmt.Fprint(os.Stderr, "> ")
		}
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			if err := answer(c, v, e, s, eos, line, all); err != nil {
				return err
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

// answer has the model answer one message.
func answer(c *cli.Context, v *conversation, e *engine, s *sample.Sampler, eos []int, message string, all stats) error {
	ids, err := v.ask(message)
	if err != nil {
		return err
	}
	fresh, err := v.reuse(e, ids)
	if err != nil {
		return err
	}
	g := generation{tok: v.tok, eos: eos, stopper: stopper{stops: c.StringSlice("stop")}, prompt: fresh, out: stdout(c), open: true, stats: all}
	g.stats.CachedTokens = len(ids) - len(fresh)
	if err := g.run(c.Context, e, s, c.Int("n")); err != nil {
		return err
	}
	v.messages = append(v.messages, chat.Message{Role: "assistant", Content: g.text})
	v.fed = append(append([]int32{}, ids...), g.tokens...)
	if e.gpu != nil { // the last token may not have been fed
		v.fed = v.fed[:min(len(v.fed), e.gpu.Position())]
	}
	g.stats.device(e)
	return g.finish(c)
}
