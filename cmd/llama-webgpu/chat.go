package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

var chatFlags = []cli.Flag{
	&cli.BoolFlag{Name: "chat", Usage: "treat the prompt as a message that the model answers; without a prompt, read messages line by line", Category: "Chat", DisableDefaultText: true},
	&cli.StringFlag{Name: "system", Usage: "`TEXT`: with --chat, instructions for the whole conversation", Category: "Chat"},
	&cli.StringFlag{Name: "chat-template", Usage: "`FILE`: with --chat, a Jinja template", DefaultText: "the model's", Category: "Chat"},
}

// checkChat reports flags that do not go together.
func checkChat(c *cli.Context) error {
	for _, name := range []string{"system", "chat-template"} {
		if c.IsSet(name) && !c.Bool("chat") {
			return usagef("infer: --%s is for --chat", name)
		}
	}
	if talks(c) && c.Bool("json") {
		return usagef("infer: --json wants a --prompt")
	}
	return nil
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
func newConversation(c *cli.Context, s *source, tok *tokenizer.Tokenizer) (*conversation, error) {
	text := s.chatTemplate()
	if c.String("chat-template") != "" {
		var err error
		if text, err = readText(c, "chat-template"); err != nil {
			return nil, err
		}
	}
	if text == "" {
		return nil, fmt.Errorf("%s: has no chat template: it was not trained to chat; use --prompt alone, or give --chat-template", s.dir)
	}
	t, err := chat.New(text, s.specialTokens(tok), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.dir, err)
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
