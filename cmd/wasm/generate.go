//go:build js

package main

import (
	"context"
	"fmt"
	"iter"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// generation makes one token for each call of next: whoever asks sets the pace, and between two
// tokens nothing runs.
type generation struct {
	s      *session
	ctx    context.Context
	cancel context.CancelFunc
	next   func() (int32, error, bool)
	stop   func()
	text   *tokenizer.Stream // nil without a tokenizer
	object *object
	over   bool
}

// generate (Int32Array, {maxTokens, temperature, topK, topP, minP, repeatPenalty, seed}) returns
// {next, stop}. next returns a promise of {token, text, end}: the token, what text it makes final,
// and why the text has ended, if it has: "eos" or "length", and then there is no token.
func (s *session) generate(args []js.Value) (any, error) {
	prompt, o := int32s(args[0]), args[1]
	if err := checkTokens(prompt); err != nil {
		return nil, err
	}
	sampler, err := samplerOf(o)
	if err != nil {
		return nil, err
	}
	if err := s.choose(0); err != nil {
		return nil, err
	}
	if err := s.use(); err != nil {
		return nil, err
	}
	g := &generation{s: s, object: newObject()}
	g.ctx, g.cancel = context.WithCancel(s.object.ctx)
	g.next, g.stop = iter.Pull2(sample.Generate(g.ctx, &turn{session: s}, sampler, prompt, number(o, "maxTokens")))
	if tok := s.model.tok; tok != nil {
		g.text = tok.Stream(true)
		for _, id := range prompt { // what follows may depend on it: a space, half a character
			g.text.Push(id)
		}
	}
	g.object.async("next", g.step)
	g.object.sync("stop", func([]js.Value) (any, error) {
		go g.close()
		return nil, nil
	})
	s.gen = g
	return g.object.v, nil
}

// step makes one token.
func (g *generation) step(context.Context, []js.Value) (any, error) {
	if g.over {
		return nil, fmt.Errorf("%w: the text has ended", errInvalid)
	}
	id, err, ok := g.next()
	switch {
	case err != nil:
		g.over = true
		return nil, err
	case !ok:
		return g.end("length"), nil
	case g.s.model.ends(id):
		return g.end("eos"), nil
	}
	out := map[string]any{"token": int(id), "text": ""}
	if g.text != nil {
		out["text"] = g.text.Push(id)
	}
	return out, nil
}

func (g *generation) end(why string) any {
	g.over = true
	text := ""
	if g.text != nil {
		text = g.text.Flush()
	}
	return map[string]any{"end": why, "text": text}
}

// close ends the step under way and lets others have the cache.
func (g *generation) close() {
	if g.s.gen != g {
		return
	}
	g.s.gen = nil
	g.cancel()
	g.object.release()
	g.stop()
	g.s.busy = false
}
