//go:build js

package gpu

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"
	"time"
	"unsafe"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// web is the backend on JavaScript's WebGPU. Errors of submissions arrive late there: failure
// returns them from then on.
type web struct {
	b       js.Value // a Backend of backend.js
	adapter AdapterInfo
}

func (w *web) info() AdapterInfo { return w.adapter }

func (w *web) limits() Limits {
	limit := func(name string) uint64 { return uint64(w.b.Call("limit", name).Float()) }
	return Limits{
		MaxBufferSize:     limit("maxBufferSize"),
		MaxBinding:        limit("maxStorageBufferBindingSize") &^ 3,
		MaxUniformBinding: limit("maxUniformBufferBindingSize") &^ 3,
		MaxWorkgroupBytes: int(limit("maxComputeWorkgroupStorageSize")),
		MaxInvocations:    int(limit("maxComputeInvocationsPerWorkgroup")),
		MaxWorkgroupSize: [3]uint32{
			uint32(limit("maxComputeWorkgroupSizeX")), uint32(limit("maxComputeWorkgroupSizeY")), uint32(limit("maxComputeWorkgroupSizeZ")),
		},
		MaxWorkgroupsPerDim:    uint32(min(limit("maxComputeWorkgroupsPerDimension"), 65535)),
		StorageBuffersPerStage: int(limit("maxStorageBuffersPerShaderStage")),
		UniformBuffersPerStage: int(limit("maxUniformBuffersPerShaderStage")),
	}
}

func (w *web) features() Features {
	has := func(name string) bool { return w.b.Call("feature", name).Bool() }
	return Features{
		TimestampQuery: has("timestamp-query"), ShaderF16: has("shader-f16"), Subgroups: has("subgroups"), SubgroupSize: w.b.Call("subgroup").Int(),
		DotProduct4x8: has("packed_4x8_integer_dot_product"), SubgroupMatrix: has("chromium-experimental-subgroup-matrix"),
		Int8Matrix: has("chromium-experimental-subgroup-matrix"), // of which shapes, a trial tells
	}
}

// call calls a method and returns what it throws as an error.
func (w *web) call(method string, args ...any) (v js.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			thrown, ok := r.(js.Error)
			if !ok {
				panic(r)
			}
			err = jsError(thrown.Value)
		}
	}()
	return w.b.Call(method, args...), nil
}

// do calls an async method and waits for it.
func (w *web) do(ctx context.Context, method string, args ...any) (js.Value, error) {
	promise, err := w.call(method, args...)
	if err != nil {
		return js.Value{}, err
	}
	v, err := await(ctx, promise)
	if err != nil {
		return js.Value{}, err
	}
	return v, nil
}

func (w *web) failure() error {
	if lost := w.b.Get("lost").String(); lost != "" {
		return fmt.Errorf("%w: %s", ErrDeviceLost, lost)
	}
	if text := w.b.Get("failure").String(); text != "" {
		return errors.New(text)
	}
	return nil
}

func (w *web) close() { w.b.Call("close") }

func (w *web) newBuffer(label string, size uint64, u Usage) (handle, error) {
	v, err := w.do(context.Background(), "newBuffer", label, float64(size), bufferUsage(u))
	if err != nil {
		return 0, err
	}
	return handle(v.Int()), nil
}

func (w *web) freeBuffer(h handle) { w.b.Call("freeBuffer", int(h)) }

func (w *web) write(h handle, off uint64, data []byte) error {
	js.CopyBytesToJS(w.b.Call("buffer", len(data)), data)
	_, err := w.call("write", int(h), float64(off), len(data))
	return err
}

func (w *web) newPipeline(k kernels.Kernel) (pipeline, layout handle, err error) {
	args := []any{k.Key, k.Source, k.Entry}
	for _, b := range k.Bindings {
		args = append(args, int(b)) // in the order of backend.js's bindingTypes
	}
	v, err := w.do(context.Background(), "newPipeline", args...)
	if err != nil {
		return 0, 0, err
	}
	return handle(v.Index(0).Int()), handle(v.Index(1).Int()), nil
}

func (w *web) freePipeline(pipeline, layout handle) {
	w.b.Call("drop", int(pipeline))
	w.b.Call("drop", int(layout))
}

func (w *web) newBindGroup(label string, layout handle, entries []entry) (handle, error) {
	args := []any{label, int(layout)}
	for _, e := range entries {
		args = append(args, int(e.buffer), float64(e.offset), float64(e.size))
	}
	v, err := w.call("newBindGroup", args...)
	if err != nil {
		return 0, err
	}
	return handle(v.Int()), nil
}

func (w *web) freeBindGroup(h handle) { w.b.Call("drop", int(h)) }

var _ [72]byte = [unsafe.Sizeof(step{})]byte{} // backend.js relies on it

// record hands steps to JavaScript in their memory layout.
func (w *web) record(steps []step) (js.Value, error) {
	n := len(steps) * int(unsafe.Sizeof(step{}))
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(steps))), n)
	js.CopyBytesToJS(w.b.Call("buffer", n), b)
	return w.call("record", n)
}

func (w *web) run(programs []*Program) error {
	lists := make([]any, len(programs))
	for i, p := range programs {
		if p.replay == nil {
			v, err := w.record(p.steps)
			if err != nil {
				return err
			}
			p.replay = v
		}
		lists[i] = p.replay
	}
	_, err := w.call("run", lists...)
	return err
}

func (w *web) runTimed(ctx context.Context, steps []step) ([]Timing, error) {
	list, err := w.record(steps)
	if err != nil {
		return nil, err
	}
	v, err := w.do(ctx, "runTimed", list)
	if err != nil {
		return nil, err
	}
	times := make([]Timing, v.Length()/2)
	at := func(i int) time.Duration { return time.Duration(v.Index(i).Float()) }
	for i := range times {
		times[i] = Timing{at(2 * i), at(2*i + 1)}
	}
	return times, nil
}

func (w *web) startRead(_ context.Context, src handle, off uint64, staging handle, n uint64) (pending, error) {
	v, err := w.call("startRead", int(src), float64(off), int(staging), float64(n))
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (w *web) startMap(staging handle, n uint64) (pending, error) {
	v, err := w.call("startMap", int(staging), float64(n))
	if err != nil {
		return nil, err
	}
	return v, nil
}

// encode does nothing: send replays a recorded list by one call.
func (w *web) encode([]*Program) (handle, error) { return 0, nil }

func (w *web) portion() int { return 0 }

func (w *web) send(_ handle, programs []*Program) error { return w.run(programs) }

func (w *web) drop(handle) {}

func (w *web) finishRead(ctx context.Context, p pending, staging handle, dst []byte, skip uint64) error {
	defer w.b.Call("unmap", int(staging)) // also cancels a mapping that is still pending
	if _, err := await(ctx, p.(js.Value)); err != nil {
		return errors.Join(err, w.failure())
	}
	if err := w.failure(); err != nil {
		return err
	}
	bytes, err := w.call("mapped", int(staging), float64(skip), float64(skip+uint64(len(dst))))
	if err != nil {
		return err
	}
	js.CopyBytesToGo(dst, bytes)
	return nil
}

func (w *web) mark() (pending, error) { return w.b.Call("mark"), nil }

func (w *web) reach(ctx context.Context, p pending) error {
	if _, err := await(ctx, p.(js.Value)); err != nil {
		return errors.Join(err, w.failure())
	}
	return w.failure()
}

func (w *web) unmark(pending) {}

func (w *web) wait(ctx context.Context) error {
	if _, err := w.do(ctx, "settle"); err != nil {
		return err
	}
	return w.failure()
}
