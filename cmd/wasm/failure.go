//go:build js

package main

import (
	"context"
	"errors"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

// What only this half can say: the caller gave something that makes no sense, or did not wait.
var (
	errInvalid = errors.New("invalid argument")
	errBusy    = errors.New("busy")
)

// codes are what errors are called in JavaScript, the first that fits.
var codes = []struct {
	err  error
	code string
}{
	{context.Canceled, "aborted"},
	{errInvalid, "invalid-argument"},
	{errBusy, "busy"},
	{bundle.ErrVersion, "unsupported-version"},
	{bundle.ErrCorrupt, "corrupt"},
	{gpu.ErrOutOfMemory, "out-of-memory"}, // before too-large, which then says what would have been needed
	{transformer.ErrTooLarge, "too-large"},
	{gpu.ErrDeviceLost, "device-lost"},
	{gpu.ErrNoAdapter, "no-adapter"},
	{gpu.ErrClosed, "disposed"},
	{gpu.ErrReleased, "disposed"},
}

// thrown is what a function of JavaScript has failed with.
type thrown struct{ v js.Value }

func (t *thrown) Error() string {
	if t.v.Type() == js.TypeObject {
		return t.v.Get("message").String()
	}
	return t.v.String()
}

// failure is an error for JavaScript: {code, message}, or what JavaScript itself has thrown.
func failure(err error) js.Value {
	var t *thrown
	if errors.As(err, &t) {
		return t.v
	}
	f := map[string]any{"code": "runtime", "message": err.Error()}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			f["code"] = c.code
			break
		}
	}
	return js.ValueOf(f)
}
