//go:build js

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

// session is a Transformer that remembers what was fed to it: of a sequence that begins with what is
// in the cache, only the rest is computed.
type session struct {
	*transformer.Transformer
	model  *model
	fed    [][]int32 // by sequence
	at     int       // the selected sequence
	busy   bool
	closed bool
	gen    *generation // under way
	object *object
}

func newSession(m *model, t *transformer.Transformer, sequences int) *session {
	s := &session{Transformer: t, model: m, fed: make([][]int32, sequences), object: newObject()}
	o := s.object
	o.async("forward", s.forward)
	o.sync("generate", s.generate)
	o.sync("reset", func([]js.Value) (any, error) {
		s.forget()
		return nil, nil
	})
	o.closing(s.close)
	return s
}

// close ends what is under way and gives the memory back.
func (s *session) close() {
	if s.closed {
		return
	}
	s.closed = true
	delete(s.model.sessions, s)
	s.object.end()
	if s.gen != nil {
		s.gen.close()
	}
	s.object.calls.Wait()
	s.Close()
	s.object.release()
}

// use lets one caller at a time have the cache.
func (s *session) use() error {
	if s.busy {
		return fmt.Errorf("%w: it is still computing", errBusy)
	}
	s.busy = true
	return nil
}

// forget empties the selected sequence.
func (s *session) forget() {
	s.fed[s.at] = nil
	s.Reset()
}

// resume goes back to where tokens differ from what the cache holds and returns those to be fed: at
// least one, whose logits are wanted.
func (s *session) resume(tokens []int32) []int32 {
	fed, n := s.fed[s.at], 0
	for n < len(fed) && n < len(tokens)-1 && fed[n] == tokens[n] {
		n++
	}
	if n < len(fed) && !s.CanRewind(n) {
		n = 0
	}
	_ = s.Rewind(n) // a position that the sequence has had
	s.fed[s.at] = fed[:n]
	return tokens[n:]
}

// forward (Int32Array, {sequence, append, from}) returns the logits of the tokens from `from` on, as
// one Float32Array after the other; from −1, or absent: of the last one.
func (s *session) forward(ctx context.Context, args []js.Value) (any, error) {
	tokens, o := int32s(args[0]), args[1]
	if err := errors.Join(checkTokens(tokens), s.choose(number(o, "sequence"))); err != nil {
		return nil, err
	}
	if err := s.use(); err != nil {
		return nil, err
	}
	defer func() { s.busy = false }()
	from := int(float(o, "from", -1))
	switch {
	case from >= len(tokens):
		return nil, fmt.Errorf("%w: logits from token %d on: there are %d tokens", errInvalid, from, len(tokens))
	case from >= 0:
		s.forget() // logits of tokens in the cache are gone
	}
	rest := tokens
	if !o.Get("append").Truthy() {
		rest = s.resume(tokens)
	}
	if from < 0 {
		from = len(rest) - 1
	}
	raw := make([]byte, 0, 4*(len(rest)-from)*s.VocabSize())
	err := s.Forward(ctx, rest, from, func(_ int, logits []float32) error {
		for _, v := range logits {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		return nil
	})
	if err != nil {
		s.forget()
		return nil, err
	}
	s.fed[s.at] = append(s.fed[s.at], rest...)
	return js.Global().Get("Float32Array").New(bytesToJS(raw).Get("buffer")), nil
}

func (s *session) choose(sequence int) error {
	if err := s.Select(sequence); err != nil {
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	s.at = sequence
	return nil
}

// turn is a session as one generation sees it: the first tokens are the whole sequence.
type turn struct {
	*session
	begun bool
}

// Top feeds tokens, at first those that the cache does not have.
func (t *turn) Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	if !t.begun {
		tokens, t.begun = t.resume(tokens), true
	}
	c, sum, err := t.Transformer.Top(ctx, tokens)
	if err != nil {
		t.forget()
		return nil, 0, err
	}
	t.fed[t.at] = append(t.fed[t.at], tokens...)
	return c, sum, nil
}

// samplerOf reads sampling options.
func samplerOf(o js.Value) (*sample.Sampler, error) {
	s, err := sample.New(sample.Options{
		Temperature: float32(float(o, "temperature", 0)), TopK: number(o, "topK"),
		TopP: float32(float(o, "topP", 0)), MinP: float32(float(o, "minP", 0)),
		RepeatPenalty: float32(float(o, "repeatPenalty", 0)), Seed: uint64(float(o, "seed", 0)),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	return s, nil
}

// ends reports whether a token ends the text.
func (m *model) ends(id int32) bool { return slices.Contains(m.bundle.Manifest.Tokenizer.EOS, int(id)) }
