//go:build cgo && !js

package gpu

/*
#include <stdlib.h>
#include "native.h"

// These keep no pointer and call no Go code: their arguments may stay on the stack.
#cgo noescape lw_error
#cgo nocallback lw_error
#cgo noescape lw_lost
#cgo nocallback lw_lost
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// native is the backend on wgpu-native.
type native struct {
	instance *instance
	dev      *C.lw_device
	adapter  AdapterInfo
	desc     C.lw_adapter_info
	period   float64 // nanoseconds per timestamp tick; 0: not measured yet
}

func (n *native) info() AdapterInfo { return n.adapter }

func (n *native) limits() Limits {
	return Limits{
		MaxBufferSize:          uint64(n.desc.max_buffer),
		MaxBinding:             uint64(n.desc.max_storage) &^ 3,
		MaxUniformBinding:      uint64(n.desc.max_uniform) &^ 3,
		MaxWorkgroupBytes:      int(n.desc.max_workgroup_bytes),
		MaxInvocations:         int(n.desc.max_invocations),
		MaxWorkgroupSize:       [3]uint32{uint32(n.desc.max_size[0]), uint32(n.desc.max_size[1]), uint32(n.desc.max_size[2])},
		MaxWorkgroupsPerDim:    min(uint32(n.desc.max_workgroups), 65535),
		StorageBuffersPerStage: int(n.desc.max_storage_buffers),
		UniformBuffersPerStage: int(n.desc.max_uniform_buffers),
	}
}

// features: the WGSL front end of wgpu-native knows neither f16 nor subgroups nor dot products.
func (n *native) features() Features { return Features{TimestampQuery: n.desc.timestamps != 0} }

// err returns the first error since err was last called.
func (n *native) err() error {
	var message *C.char
	kind := C.lw_error(n.dev, &message)
	if text := takeString(message); kind != C.LW_OK {
		return errorOf(kind, text)
	}
	return n.failure()
}

// errorOf turns an error that the library reported into Go's.
func errorOf(kind C.int, text string) error {
	// The library calls these two validation errors.
	switch {
	case kind == C.LW_OUT_OF_MEMORY || strings.Contains(text, "Not enough memory left"):
		return fmt.Errorf("%w: %s", ErrOutOfMemory, text)
	case kind == C.LW_LOST || strings.Contains(text, "Parent device is lost"):
		return fmt.Errorf("%w: %s", ErrDeviceLost, text)
	}
	return errors.New(text)
}

func (n *native) failure() error {
	var message *C.char
	if C.lw_lost(n.dev, &message) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDeviceLost, takeString(message))
}

func (n *native) close() {
	C.lw_close(n.dev)
	n.instance.release()
}

// made checks the object that a call has created; free releases one that cannot be used.
func (n *native) made(h C.uintptr_t, free func(C.uintptr_t)) (handle, error) {
	return made(handle(h), n.err(), func() { free(h) })
}

func (n *native) newBuffer(label string, size uint64, u Usage) (handle, error) {
	l := C.CString(label)
	defer C.free(unsafe.Pointer(l))
	h := C.lw_buffer(n.dev, l, C.uint64_t(size), C.uint32_t(bufferUsage(u)))
	return n.made(h, func(h C.uintptr_t) { C.lw_buffer_free(h) })
}

func (n *native) freeBuffer(h handle) { C.lw_buffer_free(C.uintptr_t(h)) }

func (n *native) write(h handle, off uint64, data []byte) error {
	C.lw_write(n.dev, C.uintptr_t(h), C.uint64_t(off), unsafe.Pointer(&data[0]), C.size_t(len(data)))
	return n.err()
}

// The binding types of webgpu.h.
var bindingTypes = map[kernels.Binding]C.uint32_t{kernels.Uniform: 1, kernels.Storage: 2, kernels.ReadStorage: 3}

func (n *native) newPipeline(k kernels.Kernel) (pipeline, layout handle, err error) {
	label, code, entry := C.CString(k.Key), C.CString(k.Source), C.CString(k.Entry)
	defer C.free(unsafe.Pointer(label))
	defer C.free(unsafe.Pointer(code))
	defer C.free(unsafe.Pointer(entry))
	types := make([]C.uint32_t, len(k.Bindings), len(k.Bindings)+1)
	for i, b := range k.Bindings {
		types[i] = bindingTypes[b]
	}
	c := C.lw_compile(n.dev, label, code, entry, unsafe.SliceData(types), C.size_t(len(types)))
	if text := takeString(c.message); c.error != C.LW_OK {
		return 0, 0, errorOf(c.error, text)
	}
	if c.pipeline == 0 {
		if err := n.failure(); err != nil {
			return 0, 0, err
		}
		return 0, 0, errUnexplained
	}
	return handle(c.pipeline), handle(c.layout), nil
}

func (n *native) freePipeline(pipeline, layout handle) {
	C.lw_pipeline_free(C.uintptr_t(pipeline))
	C.lw_layout_free(C.uintptr_t(layout))
}

func (n *native) newBindGroup(label string, layout handle, entries []entry) (handle, error) {
	l := C.CString(label)
	defer C.free(unsafe.Pointer(l))
	e := (*C.lw_entry)(unsafe.Pointer(unsafe.SliceData(entries)))
	h := C.lw_group(n.dev, l, C.uintptr_t(layout), e, C.size_t(len(entries)))
	return n.made(h, func(h C.uintptr_t) { C.lw_group_free(h) })
}

func (n *native) freeBindGroup(h handle) { C.lw_group_free(C.uintptr_t(h)) }

func (n *native) run(programs []*Program) error {
	if len(programs) == 0 {
		C.lw_flush(n.dev)
		return n.err()
	}
	h, err := n.encode(programs)
	if err != nil {
		return err
	}
	return n.send(h, programs)
}

func (n *native) encode(programs []*Program) (handle, error) {
	enc := C.lw_encoder(n.dev)
	var pass C.uintptr_t
	for _, p := range programs {
		pass = C.lw_encode(enc, pass, cSteps(p.steps), C.size_t(len(p.steps)))
	}
	return n.made(C.lw_finish(n.dev, enc, pass), func(h C.uintptr_t) { C.lw_drop(h) })
}

func (n *native) portion() int { return 0 }

func (n *native) send(h handle, _ []*Program) error {
	C.lw_send(n.dev, C.uintptr_t(h))
	return n.err()
}

func (n *native) drop(h handle) { C.lw_drop(C.uintptr_t(h)) }

// The structs of Go and C have the same layout.
var (
	_ [unsafe.Sizeof(step{})]byte           = [C.sizeof_lw_step]byte{}
	_ [unsafe.Offsetof(step{}.group)]byte   = [unsafe.Offsetof(C.lw_step{}.group)]byte{}
	_ [unsafe.Offsetof(step{}.x)]byte       = [unsafe.Offsetof(C.lw_step{}.x)]byte{}
	_ [unsafe.Offsetof(step{}.z)]byte       = [unsafe.Offsetof(C.lw_step{}.z)]byte{}
	_ [unsafe.Offsetof(step{}.src)]byte     = [unsafe.Offsetof(C.lw_step{}.src)]byte{}
	_ [unsafe.Offsetof(step{}.dst)]byte     = [unsafe.Offsetof(C.lw_step{}.dst)]byte{}
	_ [unsafe.Offsetof(step{}.srcOff)]byte  = [unsafe.Offsetof(C.lw_step{}.src_off)]byte{}
	_ [unsafe.Offsetof(step{}.dstOff)]byte  = [unsafe.Offsetof(C.lw_step{}.dst_off)]byte{}
	_ [unsafe.Offsetof(step{}.size)]byte    = [unsafe.Offsetof(C.lw_step{}.size)]byte{}
	_ [unsafe.Sizeof(entry{})]byte          = [C.sizeof_lw_entry]byte{}
	_ [unsafe.Offsetof(entry{}.offset)]byte = [unsafe.Offsetof(C.lw_entry{}.offset)]byte{}
	_ [unsafe.Offsetof(entry{}.size)]byte   = [unsafe.Offsetof(C.lw_entry{}.size)]byte{}
)

func cSteps(s []step) *C.lw_step { return (*C.lw_step)(unsafe.Pointer(unsafe.SliceData(s))) }

// pollMicros is how long one call into C polls before the context is checked, in microseconds.
// spinTime is how long it polls without sleeping: a step of a GPU is shorter than what the system adds
// to a sleep. Software devices need the CPU themselves, so there it sleeps at once.
const pollMicros, spinTime = 2000, 6000

// finish polls until the callback was called, and drops the flag.
func (n *native) finish(ctx context.Context, f *C.lw_flag) error {
	defer C.lw_flag_drop(f)
	return n.poll(ctx, f)
}

// poll polls until the callback was called.
func (n *native) poll(ctx context.Context, f *C.lw_flag) error {
	if f == nil {
		return fmt.Errorf("%w: no memory for a callback", ErrOutOfMemory)
	}
	spin := C.uint64_t(spinTime)
	if n.adapter.Type == "cpu" {
		spin = 0
	}
	for C.lw_poll(n.dev, f, pollMicros, spin) == 0 {
		spin -= min(spin, pollMicros)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := n.failure(); err != nil {
			return err
		}
	}
	if f.status != 0 {
		return fmt.Errorf("the device reported status %d", f.status)
	}
	return n.failure()
}

func (n *native) wait(ctx context.Context) error { return n.finish(ctx, C.lw_on_done(n.dev)) }

func (n *native) mark() (pending, error) {
	f := C.lw_on_done(n.dev)
	if f == nil {
		return nil, fmt.Errorf("%w: no memory for a callback", ErrOutOfMemory)
	}
	return f, nil
}

func (n *native) reach(ctx context.Context, p pending) error { return n.finish(ctx, p.(*C.lw_flag)) }

func (n *native) unmark(p pending) { C.lw_flag_drop(p.(*C.lw_flag)) }

func (n *native) startRead(ctx context.Context, src handle, off uint64, staging handle, size uint64) (pending, error) {
	if n.adapter.Type == "cpu" {
		// A software driver blocks in the next submission until this one is done, ignoring ctx.
		if err := n.wait(ctx); err != nil {
			return nil, err
		}
	}
	enc := C.lw_encoder(n.dev)
	C.lw_encode_copy(enc, C.uintptr_t(src), C.uint64_t(off), C.uintptr_t(staging), C.uint64_t(size))
	C.lw_submit(n.dev, enc, 0)
	if err := n.err(); err != nil {
		return nil, err
	}
	return n.startMap(staging, size)
}

func (n *native) startMap(staging handle, size uint64) (pending, error) {
	f := C.lw_map(C.uintptr_t(staging), C.uint64_t(size))
	if err := n.err(); err != nil {
		C.lw_cancel(n.dev, C.uintptr_t(staging), f)
		C.lw_flag_drop(f)
		return nil, err
	}
	return f, nil
}

func (n *native) finishRead(ctx context.Context, p pending, staging handle, dst []byte, skip uint64) error {
	f := p.(*C.lw_flag)
	defer C.lw_flag_drop(f)
	if err := n.poll(ctx, f); err != nil {
		C.lw_cancel(n.dev, C.uintptr_t(staging), f)
		return err
	}
	defer C.lw_unmap(C.uintptr_t(staging))
	size := (skip + uint64(len(dst)) + 3) &^ 3
	if C.lw_mapped(C.uintptr_t(staging), C.uint64_t(skip), unsafe.Pointer(&dst[0]), C.size_t(len(dst)), C.uint64_t(size)) == 0 {
		return errors.New("the staging buffer is not mapped")
	}
	return nil
}
