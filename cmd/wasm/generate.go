//go:build js

package main

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

// generation is a text that is being generated, one token per call of next: the caller sets the pace, and between two
// tokens nothing runs.
type generation struct {
	s        *session
	sequence int
	prompt   []int32
	options  llm.GenerateOptions
	ctx      context.Context
	cancel   context.CancelFunc
	object   *object
	parser   *tools.Parser // nil: the text is not taken apart

	mu   sync.Mutex                      // held while a token is computed
	next func() (llm.Piece, error, bool) // nil before the first
	stop func()
	over bool // the last piece has been returned
}

// generate (prompt, options) continues a prompt, which is a string or an Int32Array of tokens. For a string,
// options.special (default true) says whether the tokenizer puts in front what belongs before a text; a conversation
// that a chat template has rendered contains that already.
//
// Other options, all of them optional: sequence (0), maxTokens (256; 0: none), stop (an array of strings), stopTokens (an
// array of Int32Arrays), what samplingOf reads, schema (a JSON schema) and grammar (GBNF), of which one may be given;
// onOverflow ("error", "truncate", "shift"), keep (tokens) and opening (a text: without keep, as much of the prompt is kept
// as begins like it; without either, BOS); onRead, a function that is called after each chunk of a long prompt with the number of
// tokens that are in the cache and that of the whole prompt; it must not throw. The first next fails if one is out of range.
//
// It returns {promptTokens, next, stop}. next () returns a promise of {token, text, end, stop, stats}: the token, absent
// if the text has ended without one, and the text that is final now. The last piece also has end, the reason ("eos",
// "length", "stop" or "aborted"); stop, the stop string that appeared, if one did; and stats {promptTokens, cachedTokens,
// droppedTokens, generatedTokens, firstTokenSeconds, seconds, promptTokensPerSecond, tokensPerSecond}. stop () returns a promise: it ends
// the text, within one chunk of a long prompt, and a pending next gets the end "aborted". What was computed stays in the
// prefix cache. Call stop after the last piece, too.
func (s *session) generate(args []js.Value) (any, error) {
	prompt, err := s.prompt(args[0], args[1])
	if err != nil {
		return nil, err
	}
	return s.begin(prompt, args[1], nil)
}

// begin begins to continue a prompt. a says how the text is taken apart, nil: not at all.
func (s *session) begin(prompt []int32, o js.Value, a *answering) (_ any, err error) {
	if s.closed { // and waits for what is under way; nobody would close this text
		return nil, llm.ErrClosed
	}
	options := generateOptions(o)
	if options.Form, err = s.form(o, a); err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	g := &generation{s: s, sequence: number(o, "sequence"), prompt: prompt, options: options, object: newObject()}
	if a != nil {
		g.options.Show = a.format.Show(len(a.parsing.Tools) > 0)
		g.parser = a.format.Parser(a.parsing)
	}
	if opening := o.Get("opening"); g.options.Keep == 0 && opening.Type() == js.TypeString {
		g.options.Keep = s.llm.Vocabulary().Begins(prompt, opening.String())
	}
	g.object.v.Set("promptTokens", len(prompt))
	g.ctx, g.cancel = context.WithCancel(s.object.ctx)
	g.object.async("next", g.step)
	g.object.ending("stop", g.close)
	s.texts[g] = true
	return g.object.v, nil
}

// prompt returns the tokens of a prompt.
func (s *session) prompt(v, o js.Value) ([]int32, error) {
	if v.Type() != js.TypeString {
		return int32s(v), nil
	}
	special := o.Get("special")
	return s.llm.Vocabulary().Prompt(v.String(), special.Type() != js.TypeBoolean || special.Bool())
}

// step computes one token.
func (g *generation) step(context.Context, []js.Value) (any, error) {
	if !g.mu.TryLock() {
		return nil, fmt.Errorf("%w: the previous token is still being computed", llm.ErrBusy)
	}
	defer g.mu.Unlock()
	if g.over {
		return nil, fmt.Errorf("%w: the text has ended", errInvalid)
	}
	if g.next == nil { // not earlier: only a promise can wait while the model is busy
		l, err := g.s.choose(g.sequence)
		if err != nil {
			return nil, err
		}
		g.next, g.stop = iter.Pull2(l.GenerateTokens(g.ctx, g.prompt, g.options))
	}
	p, err, ok := g.next()
	if g.over = err != nil || !ok || p.Result != nil; err != nil {
		return nil, err
	}
	out := map[string]any{"text": p.Text}
	if g.parser != nil {
		deltas := g.parser.Write(p.Text)
		if p.Result != nil {
			deltas = append(deltas, g.parser.End()...)
		}
		out["parts"] = partsOf(deltas)
	}
	if p.Token >= 0 {
		out["token"] = int(p.Token)
	}
	if p.Result != nil {
		ending(out, p.Result)
	}
	return out, nil
}

// form prepares the form of a text: options.schema (a JSON schema) or options.grammar (GBNF), with that of calls and thoughts
// around it; nil: it may have any. The last one is kept.
func (s *session) form(o js.Value, a *answering) (*llm.Form, error) {
	key, read := content(o)
	if a != nil {
		key += "\n" + a.key
	}
	if key == "" {
		return nil, nil
	}
	if s.formed == key {
		return s.lastForm, nil
	}
	g, err := read()
	if a != nil && err == nil {
		g, err = a.hold(g, s.llm.Vocabulary())
	}
	if err != nil {
		return nil, err
	}
	var f *llm.Form
	if g != nil {
		if f, err = s.llm.Form(g); err != nil {
			return nil, err
		}
	}
	s.formed, s.lastForm = key, f
	return f, nil
}

// content returns what the options say of the form of a text, "" if nothing, and what makes a grammar of that.
func content(o js.Value) (key string, read func() (*grammar.Grammar, error)) {
	if v := o.Get("schema"); v.Type() == js.TypeString {
		return "schema" + v.String(), func() (*grammar.Grammar, error) { return grammar.FromSchema([]byte(v.String())) }
	}
	if v := o.Get("grammar"); v.Type() == js.TypeString {
		return "grammar" + v.String(), func() (*grammar.Grammar, error) { return grammar.ParseGBNF(v.String()) }
	}
	return "", func() (*grammar.Grammar, error) { return nil, nil }
}

// ending adds to a piece how the text ended.
func ending(out map[string]any, r *llm.Result) {
	out["end"], out["stop"] = string(r.Finish), r.Stop
	if r.Finish == llm.FinishCanceled {
		out["end"] = "aborted"
	}
	s := r.Stats
	out["stats"] = map[string]any{
		"promptTokens": s.PromptTokens, "cachedTokens": s.CachedTokens, "droppedTokens": s.DroppedTokens, "generatedTokens": s.GeneratedTokens,
		"firstTokenSeconds": s.FirstToken.Seconds(), "seconds": s.Duration.Seconds(),
		"promptTokensPerSecond": s.PromptSpeed, "tokensPerSecond": s.Speed,
	}
}

// close ends the pending step and frees the session.
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
	if g.parser != nil {
		g.parser.Close()
	}
}

// generateOptions reads the options of generate.
func generateOptions(o js.Value) llm.GenerateOptions {
	g := llm.GenerateOptions{
		Sampling:  samplingOf(o),
		MaxTokens: int(float(o, "maxTokens", llm.DefaultMaxTokens)),
	}
	if v := o.Get("onOverflow"); v.Type() == js.TypeString {
		g.Overflow = llm.Overflow(v.String())
	}
	if v := o.Get("keep"); v.Type() == js.TypeNumber {
		if g.Keep = v.Int(); g.Keep == 0 {
			g.Keep = llm.NoTokens
		}
	}
	if g.MaxTokens == 0 {
		g.MaxTokens = llm.NoTokens
	}
	if told := o.Get("onRead"); told.Type() == js.TypeFunction {
		g.OnPrompt = func(done, total int) { told.Invoke(done, total) }
	}
	g.Stop = texts(o.Get("stop"))
	if stop := o.Get("stopTokens"); stop.Truthy() {
		for i := range stop.Length() {
			g.StopTokens = append(g.StopTokens, int32s(stop.Index(i)))
		}
	}
	return g
}

// samplingOf reads the options that say how tokens are chosen.
func samplingOf(o js.Value) llm.Sampling {
	real := func(name string) float32 { return float32(float(o, name, 0)) }
	return llm.Sampling{
		Temperature: real("temperature"), TopK: number(o, "topK"), TopP: new(float32(float(o, "topP", 1))), MinP: real("minP"), TypicalP: real("typicalP"),
		RepeatPenalty: real("repeatPenalty"), RepeatLast: number(o, "repeatLast"),
		PresencePenalty: real("presencePenalty"), FrequencyPenalty: real("frequencyPenalty"),
		XTCProbability: real("xtcProbability"), XTCThreshold: real("xtcThreshold"),
		DynamicRange: real("dynamicTemperatureRange"), DynamicExponent: real("dynamicTemperatureExponent"),
		DRYMultiplier: real("dryMultiplier"), DRYBase: real("dryBase"), DRYAllowedLength: number(o, "dryAllowedLength"), DRYLast: number(o, "dryLast"),
		DRYBreakers: texts(o.Get("dryBreakers")), LogitBias: biases(o.Get("logitBias")), Seed: uint64(float(o, "seed", 0)),
	}
}

// texts reads a list of strings, nil if there is none.
func texts(list js.Value) (all []string) {
	if list.Type() != js.TypeObject {
		return nil
	}
	for i := range list.Length() {
		all = append(all, list.Index(i).String())
	}
	return all
}

// biases reads pairs of a token and what is added to its logit.
func biases(pairs js.Value) map[int32]float32 {
	if pairs.Type() != js.TypeObject {
		return nil
	}
	all := map[int32]float32{}
	for i := range pairs.Length() {
		all[int32(pairs.Index(i).Index(0).Int())] = float32(pairs.Index(i).Index(1).Float())
	}
	return all
}
