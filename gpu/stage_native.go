//go:build cgo && !js

package gpu

/*
#include <stdlib.h>
#include "native.h"
*/
import "C"

import (
	"context"
	"errors"
	"unsafe"
)

func (n *native) newStage(label string, size uint64) (handle, []byte, error) {
	l := C.CString(label)
	defer C.free(unsafe.Pointer(l))
	h, err := n.made(C.lw_stage(n.dev, l, C.uint64_t(size)), func(h C.uintptr_t) { C.lw_buffer_free(h) })
	if err != nil {
		return 0, nil, err
	}
	mem, err := n.stageMemory(h, size)
	if err != nil {
		C.lw_buffer_free(C.uintptr_t(h))
		return 0, nil, err
	}
	return h, mem, nil
}

func (n *native) sendStage(h handle, mem []byte, copies []step, programs []*Program) (pending, error) {
	C.lw_unmap(C.uintptr_t(h))
	for i := range copies {
		copies[i].src = h
	}
	enc := C.lw_encoder(n.dev)
	pass := C.lw_encode(enc, 0, cSteps(copies), C.size_t(len(copies)))
	for _, p := range programs {
		pass = C.lw_encode(enc, pass, cSteps(p.steps), C.size_t(len(p.steps)))
	}
	C.lw_submit(n.dev, enc, pass)
	if err := n.err(); err != nil {
		return nil, err
	}
	f := C.lw_stage_map(C.uintptr_t(h), C.uint64_t(len(mem)))
	if err := n.err(); err != nil {
		if f != nil {
			C.lw_flag_drop(f)
		}
		return nil, err
	}
	return f, nil
}

// finishStage: the memory may have moved.
func (n *native) finishStage(ctx context.Context, h handle, mem []byte, p pending) ([]byte, error) {
	f := p.(*C.lw_flag)
	if err := n.poll(ctx, f); err != nil {
		return nil, err
	}
	mem, err := n.stageMemory(h, uint64(len(mem)))
	if err == nil {
		C.lw_flag_drop(f)
	}
	return mem, err
}

func (n *native) stageMemory(h handle, size uint64) ([]byte, error) {
	p := C.lw_stage_memory(C.uintptr_t(h), C.uint64_t(size))
	if p == nil {
		return nil, errors.New("the driver did not map its memory")
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// freeStage: freeing the buffer also cancels a mapping that is still pending.
func (n *native) freeStage(h handle, p pending) {
	C.lw_buffer_free(C.uintptr_t(h))
	if p != nil {
		C.lw_flag_drop(p.(*C.lw_flag))
	}
}
