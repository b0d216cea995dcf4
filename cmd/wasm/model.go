//go:build js

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// methods sets the properties and methods of the model's object.
func (m *model) methods() {
	o, man := m.object, m.bundle.Manifest
	var eos []any
	for _, id := range man.Tokenizer.EOS {
		eos = append(eos, id)
	}
	o.v.Set("vocab", man.Spec.Vocab)
	o.v.Set("bos", man.Tokenizer.BOS)
	o.v.Set("eos", eos)
	o.v.Set("trained", man.Spec.MaxPositions)
	o.v.Set("hasTokenizer", m.tok != nil)
	if m.tok != nil {
		o.sync("encode", m.encode)
		o.sync("decode", m.decode)
		o.sync("token", m.token)
	}
	o.async("transformer", m.transformer)
	o.sync("kernels", m.trials)
	o.closing(m.close)
}

// close ends what uses the model, and releases its weights.
func (m *model) close() {
	if m.closed {
		return
	}
	m.closed = true
	delete(m.app.models, m)
	m.object.end()
	m.object.calls.Wait()
	for s := range m.sessions {
		s.close()
	}
	m.weights.Close()
	m.object.release()
	runtime.GC() // so that the next model can use the memory: that of WebAssembly never shrinks
}

// vocabulary returns the vocabulary, without a chat template: JavaScript renders those.
func (m *model) vocabulary() llm.Vocabulary {
	t := m.bundle.Manifest.Tokenizer
	return llm.Vocabulary{Tokenizer: m.tok, BOS: t.BOS, EOS: t.EOS}
}

// encode (text, special) returns an Int32Array; with special, the tokenizer puts in front what belongs before a text,
// such as BOS.
func (m *model) encode(args []js.Value) (any, error) {
	ids, err := m.tok.Encode(args[0].String(), args[1].Bool())
	if err != nil {
		return nil, err
	}
	return int32Array(ids), nil
}

// decode (Int32Array, skipSpecial) returns a text.
func (m *model) decode(args []js.Value) (any, error) {
	return m.tok.Decode(int32s(args[0]), args[1].Bool()), nil
}

// trials () returns the results of the kernel trials on the device, by packing of weights.
func (m *model) trials([]js.Value) (any, error) {
	list := []any{}
	for _, t := range m.kernels.Results() {
		list = append(list, map[string]any{
			"kernel": t.Kernel, "packing": t.Packing, "relativeRMS": t.RelativeRMS, "speed": t.Speed, "chosen": t.Chosen, "error": t.Err,
		})
	}
	return list, nil
}

// token (id) returns the token as spelled in the vocabulary, or null.
func (m *model) token(args []js.Value) (any, error) {
	if t, ok := m.tok.Token(int32(args[0].Int())); ok {
		return t, nil
	}
	return nil, nil
}

// transformer ({maxSeqLen, maxBatch, kvBits, chunk, onStart}) allocates a transformer. onStart is called with a function
// that cancels that.
func (m *model) transformer(ctx context.Context, args []js.Value) (any, error) {
	if m.closed {
		return nil, llm.ErrClosed
	}
	in := args[0]
	ctx, end := cancelable(ctx, in)
	defer end()
	o := transformer.Options{
		MaxSeqLen: number(in, "maxSeqLen"), MaxBatch: number(in, "maxBatch"), KVBits: number(in, "kvBits"), Chunk: number(in, "chunk"),
		Warm: []int{longPrompt, 1},
	}
	t, err := m.weights.New(ctx, o)
	if err != nil {
		return nil, err
	}
	s := newSession(m, t)
	m.sessions[s] = true
	return s.object.v, nil
}

// longPrompt is a pass of many tokens: the kernels for it and for a single token are compiled before the first text.
const longPrompt = 256

// number reads an integer property, 0 if it is absent.
func number(o js.Value, name string) int {
	if v := o.Get(name); v.Type() == js.TypeNumber {
		return v.Int()
	}
	return 0
}

// float reads a number property, or returns absent.
func float(o js.Value, name string, absent float64) float64 {
	if v := o.Get(name); v.Type() == js.TypeNumber {
		return v.Float()
	}
	return absent
}

// int32s copies an Int32Array.
func int32s(v js.Value) []int32 {
	raw := make([]byte, 4*v.Length())
	js.CopyBytesToGo(raw, bytesOf(v))
	ids := make([]int32, len(raw)/4)
	for i := range ids {
		ids[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return ids
}

// bytesOf returns a Uint8Array that shares the memory of a typed array.
func bytesOf(v js.Value) js.Value {
	return js.Global().Get("Uint8Array").New(v.Get("buffer"), v.Get("byteOffset"), v.Get("byteLength"))
}

// int32Array makes an Int32Array.
func int32Array(ids []int32) js.Value {
	raw := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
	}
	return js.Global().Get("Int32Array").New(bytesToJS(raw).Get("buffer"))
}

// bytesToJS makes a Uint8Array.
func bytesToJS(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}

// checkTokens reports an empty list of tokens.
func checkTokens(ids []int32) error {
	if len(ids) == 0 {
		return fmt.Errorf("%w: no tokens", errInvalid)
	}
	return nil
}
