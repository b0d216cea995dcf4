//go:build js

// Command wasm exports the runtime to JavaScript: a model's weights on a GPUDevice, its tokenizer, and sessions of package
// llm. It fetches nothing and caches nothing: bytes come from functions that JavaScript passes in. It is the Go half of the
// npm package in web/; web/src/runtime.ts declares what passes between the two.
//
// One instance serves one GPUDevice.
package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

func main() {
	quit := make(chan struct{})
	end := sync.OnceFunc(func() { close(quit) })
	a := &app{object: newObject(), models: map[*model]bool{}, kernels: map[string]*tune.Variants{}}
	a.object.sync("open", a.open)
	a.object.async("load", a.load)
	a.object.async("tune", a.tune)
	a.object.sync("memory", a.memory)
	a.object.async("stats", a.stats)
	a.object.closing(func() {
		a.close()
		end()
	})
	giveUp = sync.OnceFunc(func() {
		a.close()
		end()
	})
	js.Global().Call("ready", a.object.v)
	<-quit
}

// giveUp releases all that there is and ends the program. JavaScript starts another one for the next model.
var giveUp func()

// broken is the panic after which the program gives up, nil: there was none.
var broken error

// caught is to be deferred in what JavaScript calls: a panic becomes an error, after which nothing here is to be trusted.
func caught(err *error) {
	if p := recover(); p != nil {
		broken = fmt.Errorf("internal error: %v", p)
		*err = broken
		go giveUp()
	}
}

// app is the state of an instance.
type app struct {
	dev     *gpu.Device
	models  map[*model]bool           // the open ones
	kernels map[string]*tune.Variants // chosen, by the request
	object  *object
}

// kernelsFor returns the choice of kernels, which is made once per device.
func (a *app) kernelsFor(want string) (*tune.Variants, error) {
	if k := a.kernels[want]; k != nil {
		return k, nil
	}
	k, err := tune.NewVariants(a.dev, want)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	a.kernels[want] = k
	return k, nil
}

func (a *app) close() {
	for m := range a.models {
		m.close()
	}
	a.object.end()
	a.object.calls.Wait()
	if a.dev != nil {
		a.dev.Close()
	}
}

// open (GPUDevice) sets the device of the instance, and describes it.
func (a *app) open(args []js.Value) (any, error) {
	dev, err := gpu.OpenDevice(args[0], gpu.Options{})
	if err != nil {
		return nil, err
	}
	a.dev = dev
	info, l, f := dev.Info(), dev.Limits(), dev.Features()
	return map[string]any{
		"adapter": info.Name, "type": info.Type,
		"maxBufferSize": float64(l.MaxBufferSize), "maxBinding": float64(l.MaxBinding),
		"shaderF16": f.ShaderF16, "subgroups": f.Subgroups, "timestamps": f.TimestampQuery, "dotProduct": f.DotProduct4x8,
	}, nil
}

// memory () returns the bytes on the device by purpose.
func (a *app) memory([]js.Value) (any, error) {
	purposes := map[string]any{}
	for purpose, n := range a.dev.Memory() {
		purposes[purpose] = float64(n)
	}
	return purposes, nil
}

// stats () returns the size of the heap, and counters. It may have to wait for the device.
func (a *app) stats(context.Context, []js.Value) (any, error) {
	s := a.dev.Stats()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return map[string]any{
		"heapBytes": float64(m.HeapAlloc), "pipelines": s.Pipelines, "compileSeconds": s.CompileTime.Seconds(),
		"bytesRead": float64(s.BytesRead), "submits": float64(s.Submits), "dispatches": float64(s.Dispatches),
	}, nil
}

// object is a JavaScript object with methods in Go.
type object struct {
	v     js.Value
	funcs []method
	calls sync.WaitGroup // the pending ones
	ctx   context.Context
	end   context.CancelFunc
}

// method is one of an object's.
type method struct {
	name string
	f    js.Func
	gone *js.Func // takes its place when it is released
}

// What takes the place of methods that are released: callers may have got hold of the object before, and call it afterward. They are
// never released themselves.
var (
	goneSync = js.FuncOf(func(js.Value, []js.Value) any { return map[string]any{"failure": failure(whyGone())} })
	gone     = js.FuncOf(func(js.Value, []js.Value) any { return promise(func() (any, error) { return nil, whyGone() }) })
	ended    = js.FuncOf(func(js.Value, []js.Value) any { return promise(func() (any, error) { return nil, nil }) })
)

// whyGone is the error of a method that is called after its object was released.
func whyGone() error { return cmp.Or(broken, llm.ErrClosed) }

func newObject() *object {
	o := &object{v: js.Global().Get("Object").New()}
	o.ctx, o.end = context.WithCancel(context.Background())
	return o
}

// add adds a method, and what takes its place when it is released.
func (o *object) add(name string, gone *js.Func, f func(args []js.Value) any) {
	fn := js.FuncOf(func(_ js.Value, args []js.Value) any { return f(args) })
	o.funcs = append(o.funcs, method{name, fn, gone})
	o.v.Set(name, fn)
}

// sync adds a method that never waits, not even for a lock that somebody holds who does: it would stop the event loop, and
// with it the program. It returns errors as {failure}: a Go function cannot throw.
func (o *object) sync(name string, f func(args []js.Value) (any, error)) {
	o.add(name, &goneSync, func(args []js.Value) any {
		v, err := safely(func() (any, error) { return f(args) })
		if err != nil {
			return map[string]any{"failure": failure(err)}
		}
		return v
	})
}

// safely calls f, whose panic becomes an error.
func safely(f func() (any, error)) (v any, err error) {
	defer caught(&err)
	return f()
}

// async adds a method that returns a promise. It runs in its own goroutine, so that it does not block the event loop.
func (o *object) async(name string, f func(ctx context.Context, args []js.Value) (any, error)) {
	o.add(name, &gone, func(args []js.Value) any {
		o.calls.Add(1)
		return promise(func() (any, error) {
			defer o.calls.Done()
			return f(o.ctx, args)
		})
	})
}

// cancelable returns a context that JavaScript can cancel: in.onStart is called with the function that does so. The caller
// is to end it with the function returned.
func cancelable(ctx context.Context, in js.Value) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	f := js.FuncOf(func(js.Value, []js.Value) any {
		cancel()
		return nil
	})
	in.Call("onStart", f)
	return ctx, func() {
		cancel()
		f.Release()
	}
}

// closing adds the method close, which returns a promise.
func (o *object) closing(f func()) {
	o.ending("close", f)
}

// ending adds a method that may be called several times, and ends something.
func (o *object) ending(name string, f func()) {
	o.add(name, &ended, func([]js.Value) any {
		return promise(func() (any, error) {
			f()
			return nil, nil
		})
	})
}

// release cancels pending calls, waits for them, and releases the functions. A method of o that is waited for must not
// call it.
func (o *object) release() {
	o.end()
	o.calls.Wait()
	for _, m := range o.funcs {
		o.v.Set(m.name, *m.gone)
		m.f.Release()
	}
	o.funcs = nil
}

// promise returns a Promise of what f returns.
func promise(f func() (any, error)) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, args []js.Value) any {
		resolve, reject := args[0], args[1]
		go func() {
			v, err := safely(f)
			if err != nil {
				reject.Invoke(failure(err))
				return
			}
			resolve.Invoke(v)
		}()
		return nil
	})
	defer executor.Release()
	return js.Global().Get("Promise").New(executor)
}
