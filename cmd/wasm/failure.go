//go:build js

package main

import (
	"context"
	"errors"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// errInvalid is an invalid argument of the caller.
var errInvalid = errors.New("invalid argument")

// codes are the names of errors in JavaScript: the first that fits.
var codes = []struct {
	err  error
	code string
}{
	{context.Canceled, "aborted"},
	{errInvalid, "invalid-argument"},
	{llm.ErrNoTokens, "invalid-argument"},
	{llm.ErrTooLong, "invalid-argument"},
	{llm.ErrNoTokenizer, "invalid-argument"},
	{llm.ErrBusy, "busy"},
	{bundle.ErrVersion, "unsupported-version"},
	{bundle.ErrCorrupt, "corrupt"},
	{gpu.ErrOutOfMemory, "out-of-memory"}, // before too-large, which wraps it to say how much memory is needed
	{transformer.ErrTooLarge, "too-large"},
	{gpu.ErrDeviceLost, "device-lost"},
	{gpu.ErrNoAdapter, "no-adapter"},
	{llm.ErrClosed, "disposed"},
	{gpu.ErrClosed, "disposed"},
	{gpu.ErrReleased, "disposed"},
}

// thrown is what a JavaScript function has thrown.
type thrown struct{ v js.Value }

func (t *thrown) Error() string {
	if t.v.Type() == js.TypeObject {
		return t.v.Get("message").String()
	}
	return t.v.String()
}

// failure returns an error for JavaScript: {code, message}, or what JavaScript itself has thrown.
func failure(err error) js.Value {
	var t *thrown
	if errors.As(err, &t) {
		return t.v
	}
	f := map[string]any{"code": "runtime", "message": err.Error()}
	if o := new(llm.OptionError); errors.As(err, &o) {
		f["code"] = "invalid-argument"
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			f["code"] = c.code
			break
		}
	}
	return js.ValueOf(f)
}
