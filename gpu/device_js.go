//go:build js

package gpu

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall/js"
)

//go:embed backend.js
var backendSource string

// helper returns the JavaScript half.
var helper = sync.OnceValue(func() js.Value {
	if h := js.Global().Get("llamaWebGPUBackend"); h.Truthy() {
		return h
	}
	return js.Global().Get("Function").New("return " + backendSource[strings.Index(backendSource, "(() =>"):]).Invoke()
})

// Adapters lists the one adapter that WebGPU offers.
func Adapters(Select) ([]AdapterInfo, error) {
	a, err := await(context.Background(), helper().Call("describe"))
	if err != nil {
		return nil, err
	}
	if !a.Truthy() {
		return nil, noAdapter()
	}
	return []AdapterInfo{adapterInfo(a)}, nil
}

func adapterInfo(a js.Value) AdapterInfo {
	info := AdapterInfo{Name: a.Get("name").String(), Driver: a.Get("vendor").String(), Backend: "WebGPU", Type: "unknown"}
	if a.Get("fallback").Bool() {
		info.Type = "cpu"
	}
	return info
}

func noAdapter() error {
	if !js.Global().Get("navigator").Truthy() || !js.Global().Get("navigator").Get("gpu").Truthy() {
		return fmt.Errorf("%w: WebGPU is not available (navigator.gpu)", ErrNoAdapter)
	}
	return fmt.Errorf("%w: WebGPU offers none", ErrNoAdapter)
}

func openBackend(ctx context.Context, o Options) (backend, error) {
	b, err := await(ctx, helper().Call("open"))
	if err != nil {
		return nil, fmt.Errorf("no device: %w", err)
	}
	if !b.Truthy() {
		return nil, noAdapter()
	}
	w := &web{b: b, adapter: adapterInfo(b.Get("adapter"))}
	if _, err := choose([]AdapterInfo{w.adapter}, o.Adapter); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// OpenDevice opens a GPUDevice created by JavaScript. It is borrowed: Close releases what was created on
// it, but does not destroy it.
func OpenDevice(device js.Value, o Options) (*Device, error) {
	if device.Type() != js.TypeObject || device.Get("createComputePipeline").Type() != js.TypeFunction {
		return nil, errors.New("no device: the argument is not a GPUDevice")
	}
	if o.Log == nil {
		o.Log = silent{}
	}
	b := helper().Call("lend", device)
	return newDevice(&web{b: b, adapter: adapterInfo(b.Get("adapter"))}, o), nil
}

// await waits for a promise, or until ctx ends.
func await(ctx context.Context, promise js.Value) (js.Value, error) {
	type result struct {
		v   js.Value
		err error
	}
	ch := make(chan result, 1)
	var resolve, reject js.Func
	release := func() {
		resolve.Release()
		reject.Release()
	}
	resolve = js.FuncOf(func(_ js.Value, args []js.Value) any {
		release()
		ch <- result{v: args[0]}
		return nil
	})
	reject = js.FuncOf(func(_ js.Value, args []js.Value) any {
		release()
		ch <- result{err: jsError(args[0])}
		return nil
	})
	promise.Call("then", resolve, reject)
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		return js.Value{}, ctx.Err()
	}
}

// jsError turns what JavaScript threw into an error.
func jsError(v js.Value) error {
	if v.Type() != js.TypeObject {
		return errors.New(v.String())
	}
	text := v.Get("message").String()
	if kind := v.Get("kind"); kind.Type() == js.TypeString && kind.String() == "out-of-memory" {
		return fmt.Errorf("%w: %s", ErrOutOfMemory, text)
	}
	return errors.New(text)
}
