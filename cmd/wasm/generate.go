//go:build js

package main

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// generation is a text that is being continued, one token for each call of next: whoever asks sets the pace, and
// between two tokens nothing runs.
type generation struct {
	s        *session
	sequence int
	begin    func(*llm.Session) iter.Seq2[llm.Piece, error]
	ctx      context.Context
	cancel   context.CancelFunc
	object   *object

	mu   sync.Mutex                      // held while a token is made
	next func() (llm.Piece, error, bool) // nil before the first
	stop func()
	over bool // there is no more to come
}

// generate (prompt, options) continues a text. prompt is a string, or an Int32Array of tokens. Of a string, options.special
// (true unless told) says whether the tokenizer puts before it what belongs before a text; a conversation that a chat
// template has written has that already.
//
// Options, all of which may be left out: sequence (0), maxTokens (256; 0: none), stop (an array of strings), stopTokens
// (an array of Int32Arrays), temperature, topK, topP, minP, repeatPenalty, repeatLast, seed: as llm.GenerateOptions and
// llm.Sampling have them. What is out of range is told by the first next.
//
// It returns {next, stop}. next () returns a promise of {token, text, end, stop, stats}: the token, absent if the text has
// ended without one, and what text is final now. With the last piece come end, why the text has ended ("eos", "length", "stop" or "aborted");
// stop, the stop string that has appeared, if one has; and stats {promptTokens, cachedTokens, generatedTokens,
// firstTokenSeconds, seconds, promptTokensPerSecond, tokensPerSecond}. stop () returns a promise; it ends the text, within
// one chunk of a long prompt, and the next that is under way has the end "aborted". What was computed stays in the cache
// for a prompt that begins alike. Whoever has read the last piece calls stop too.
func (s *session) generate(args []js.Value) (any, error) {
	o := generateOptions(args[1])
	g := &generation{s: s, sequence: number(args[1], "sequence"), object: newObject()}
	if prompt := args[0]; prompt.Type() == js.TypeString {
		text := prompt.String()
		g.begin = func(l *llm.Session) iter.Seq2[llm.Piece, error] { return l.Generate(g.ctx, text, o) }
	} else {
		ids := int32s(prompt)
		g.begin = func(l *llm.Session) iter.Seq2[llm.Piece, error] { return l.GenerateTokens(g.ctx, ids, o) }
	}
	g.ctx, g.cancel = context.WithCancel(s.object.ctx)
	g.object.async("next", g.step)
	g.object.add("stop", func([]js.Value) any {
		return promise(func() (any, error) {
			g.close()
			return nil, nil
		})
	})
	s.texts[g] = true
	return g.object.v, nil
}

// step makes one token.
func (g *generation) step(context.Context, []js.Value) (any, error) {
	if !g.mu.TryLock() {
		return nil, fmt.Errorf("%w: the token before is still being computed", llm.ErrBusy)
	}
	defer g.mu.Unlock()
	if g.over {
		return nil, fmt.Errorf("%w: the text has ended", errInvalid)
	}
	if g.next == nil { // here, because the model may be at work, and only a promise can wait for it
		l, err := g.s.choose(g.sequence)
		if err != nil {
			return nil, err
		}
		g.next, g.stop = iter.Pull2(g.begin(l))
	}
	p, err, ok := g.next()
	if g.over = err != nil || !ok || p.Result != nil; err != nil {
		return nil, err
	}
	out := map[string]any{"text": p.Text}
	if p.Token >= 0 {
		out["token"] = int(p.Token)
	}
	if p.Result != nil {
		ending(out, p.Result)
	}
	return out, nil
}

// ending adds to a piece how the text has ended.
func ending(out map[string]any, r *llm.Result) {
	out["end"], out["stop"] = string(r.Finish), r.Stop
	if r.Finish == llm.FinishCanceled {
		out["end"] = "aborted"
	}
	s := r.Stats
	out["stats"] = map[string]any{
		"promptTokens": s.PromptTokens, "cachedTokens": s.CachedTokens, "generatedTokens": s.GeneratedTokens,
		"firstTokenSeconds": s.FirstToken.Seconds(), "seconds": s.Duration.Seconds(),
		"promptTokensPerSecond": s.PromptSpeed, "tokensPerSecond": s.Speed,
	}
}

// close ends the step under way and lets others have the cache.
func (g *generation) close() {
	if !g.s.texts[g] {
		return
	}
	delete(g.s.texts, g)
	g.cancel()
	g.object.release()
	if g.stop != nil {
		g.stop()
	}
}

// generateOptions reads them.
func generateOptions(o js.Value) llm.GenerateOptions {
	g := llm.GenerateOptions{
		Sampling: llm.Sampling{
			Temperature: float32(float(o, "temperature", 0)), TopK: number(o, "topK"),
			TopP: float32(float(o, "topP", 0)), MinP: float32(float(o, "minP", 0)),
			RepeatPenalty: float32(float(o, "repeatPenalty", 0)), RepeatLast: number(o, "repeatLast"), Seed: uint64(float(o, "seed", 0)),
		},
		MaxTokens: int(float(o, "maxTokens", llm.DefaultMaxTokens)),
		NoBOS:     o.Get("special").Type() == js.TypeBoolean && !o.Get("special").Bool(),
	}
	if g.MaxTokens == 0 {
		g.MaxTokens = llm.NoTokens
	}
	if stop := o.Get("stop"); stop.Truthy() {
		for i := range stop.Length() {
			g.Stop = append(g.Stop, stop.Index(i).String())
		}
	}
	if stop := o.Get("stopTokens"); stop.Truthy() {
		for i := range stop.Length() {
			g.StopTokens = append(g.StopTokens, int32s(stop.Index(i)))
		}
	}
	return g
}
