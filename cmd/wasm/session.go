//go:build js

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// session is a transformer and its sequences, each of them a session of package llm, which computes only what its prefix
// cache does not have.
type session struct {
	model     *model
	llm       *llm.Model
	sequences []*llm.Session // nil: not used yet
	at        int            // the sequence that was used last
	texts     map[*generation]bool
	formed    string // the last form: what it was made from
	lastForm  *llm.Form
	closed    bool
	object    *object
}

func newSession(m *model, t *transformer.Transformer) *session {
	s := &session{
		model: m, llm: llm.New(llm.Parts{Engine: t, Vocabulary: m.vocabulary(), Close: func() error { t.Close(); return nil }}),
		sequences: make([]*llm.Session, t.Sequences()), texts: map[*generation]bool{}, object: newObject(),
	}
	o := s.object
	o.v.Set("context", s.llm.Context())
	o.async("forward", s.forward)
	o.sync("generate", s.generate)
	o.sync("answer", s.answer)
	o.async("reset", func(context.Context, []js.Value) (any, error) {
		if l := s.sequences[s.at]; l != nil {
			l.Reset()
		}
		return nil, nil
	})
	o.closing(s.close)
	return s
}

// close ends pending calls and releases the memory.
func (s *session) close() {
	if s.closed {
		return
	}
	s.closed = true
	delete(s.model.sessions, s)
	s.object.end()
	for g := range s.texts {
		g.close()
	}
	s.object.calls.Wait()
	_ = s.llm.Close() // it cannot fail
	s.object.release()
}

// choose returns the session of a sequence.
func (s *session) choose(sequence int) (*llm.Session, error) {
	if sequence < 0 || sequence >= len(s.sequences) {
		return nil, fmt.Errorf("%w: sequence %d: there are %d", errInvalid, sequence, len(s.sequences))
	}
	s.at = sequence
	for i := range sequence + 1 { // llm hands sequences out in order
		if s.sequences[i] == nil {
			var err error
			if s.sequences[i], err = s.llm.NewSession(); err != nil {
				return nil, err
			}
		}
	}
	return s.sequences[sequence], nil
}

// forward (Int32Array, {sequence, append, from, logits}) fills the Float32Array logits with those of the tokens from `from`
// on, one after the other; without from, or with −1: of the last one. The tokens are the whole sequence, or with append what
// follows those in the cache: from counts what is given, so that 0 is the first new one. What the cache has is not
// computed again, unless its logits are asked for.
func (s *session) forward(ctx context.Context, args []js.Value) (any, error) {
	tokens, o := int32s(args[0]), args[1]
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	l, err := s.choose(number(o, "sequence"))
	if err != nil {
		return nil, err
	}
	from := int(float(o, "from", -1))
	if from < 0 {
		from = len(tokens) - 1
	}
	if from >= len(tokens) {
		return nil, fmt.Errorf("%w: logits from token %d on: there are %d tokens", errInvalid, from, len(tokens))
	}
	if o.Get("append").Truthy() {
		before := l.Tokens()
		tokens, from = append(before, tokens...), len(before)+from
	}
	out := bytesOf(o.Get("logits"))
	size := 4 * s.llm.VocabSize()
	if n := (len(tokens) - from) * size; out.Length() != n {
		return nil, fmt.Errorf("%w: %d bytes for logits, want %d", errInvalid, out.Length(), n)
	}
	raw := make([]byte, 0, size)
	return nil, l.Logits(ctx, tokens, from, func(i int, logits []float32) error {
		raw = raw[:0]
		for _, v := range logits {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		at := (i - from) * size
		js.CopyBytesToJS(out.Call("subarray", at, at+size), raw)
		return nil
	})
}
