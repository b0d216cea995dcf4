package gpu

import (
	"context"
	"errors"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// handle names an object of the backend; 0 names none.
type handle uintptr

// A step is a dispatch (pipeline ≠ 0) or a copy. Native code reads it as a C struct of the
// same layout: words of 8 bytes, no Go pointers.
type step struct {
	pipeline, group handle
	x, y, z, _      uint32 // workgroups
	src, dst        handle
	srcOff, dstOff  uint64 // bytes
	size            uint64 // bytes
}

// entry is one checked binding.
type entry struct {
	buffer       handle
	offset, size uint64 // bytes
}

// backend is an open device of an engine, and the only way to it. Device checks every argument before
// calling it and holds its lock around every call except those that wait, compile or record, so that an error
// belongs to the call that returns it.
type backend interface {
	info() AdapterInfo
	limits() Limits
	features() Features

	newBuffer(label string, size uint64, u Usage) (handle, error)
	freeBuffer(h handle) // also returns the memory
	write(h handle, off uint64, data []byte) error

	// newPipeline compiles a kernel; layout is that of its bind group. It may be called by several
	// goroutines at once, without the lock.
	newPipeline(k kernels.Kernel) (pipeline, layout handle, err error)
	freePipeline(pipeline, layout handle)
	newBindGroup(label string, layout handle, entries []entry) (handle, error)
	freeBindGroup(h handle)

	// run submits the steps in order; with none it only sends the pending writes on their way.
	run(programs []*Program) error
	// encode does what run does except for submitting; send submits the result, drop frees it if it is not sent. Where
	// nothing can be done ahead, encode returns 0 and send runs the programs.
	encode(programs []*Program) (handle, error)
	send(h handle, programs []*Program) error
	// portion reports how many dispatches, about, the first of several submissions should have, where submitting takes
	// long; 0 where one is as good.
	portion() int
	drop(h handle)
	// runTimed submits steps with each dispatch in a pass of its own, and returns when each
	// began and ended on the device, by a clock with an arbitrary start.
	runTimed(ctx context.Context, steps []step) ([]Timing, error)

	// startRead submits a copy of n bytes to a staging buffer and asks for it to be mapped;
	// startMap only does the latter. finishRead waits for that, copies to dst and unmaps.
	startRead(ctx context.Context, src handle, off uint64, staging handle, n uint64) (pending, error)
	startMap(staging handle, n uint64) (pending, error)
	finishRead(ctx context.Context, p pending, staging handle, dst []byte, skip uint64) error
	// newStage allocates n bytes of memory that the device can copy from, mapped for the CPU.
	newStage(label string, n uint64) (h handle, mem []byte, err error)
	// sendStage unmaps the memory, submits the copies from it (their src is not set) and then the
	// programs, and asks for the memory to be mapped again; finishStage waits for that, without the lock, and can be
	// called again after an error.
	sendStage(h handle, mem []byte, copies []step, programs []*Program) (pending, error)
	finishStage(ctx context.Context, h handle, mem []byte, p pending) ([]byte, error)
	freeStage(h handle, p pending) // p is nil unless the memory is the device's

	// wait blocks until all submitted work is done.
	wait(ctx context.Context) error
	// mark asks to be told when what is submitted so far is done; reach waits for that, without the lock. A mark
	// that nobody waits for is given back by unmark, which needs neither the lock nor an open device.
	mark() (pending, error)
	reach(ctx context.Context, p pending) error
	unmark(p pending)

	// failure returns an error that belongs to no call: the loss of the device.
	failure() error
	close()
}

// recorder is a backend that may record commands beside other calls, and does if parallel says so: steps needs no lock, record and
// finish do. What steps uses must be alive until it returns.
type recorder interface {
	parallel() bool
	record() recording
}

// recording is a list of commands. It must be finished.
type recording interface {
	steps(programs []*Program)
	finish() (handle, error)
}

var errUnexplained = errors.New("the driver returned none and did not say why")

// made checks the object that a call has created, and the error that it met; free releases an object that cannot be used.
func made(h handle, err error, free func()) (handle, error) {
	if err == nil && h == 0 {
		err = errUnexplained
	}
	if err != nil {
		if h != 0 {
			free()
		}
		return 0, err
	}
	return h, nil
}

// pending is a mapping in progress, in the backend's own form.
type pending any

// The buffer usages of WebGPU, the same everywhere.
const (
	usageMapRead      = 0x001
	usageMapWrite     = 0x002
	usageCopySrc      = 0x004
	usageCopyDst      = 0x008
	usageUniform      = 0x040
	usageStorage      = 0x080
	usageQueryResolve = 0x200
)

func bufferUsage(u Usage) uint32 {
	switch u {
	case staging:
		return usageMapRead | usageCopyDst
	case queries:
		return usageQueryResolve | usageCopySrc
	}
	flags := uint32(usageCopySrc | usageCopyDst)
	if u&Storage != 0 {
		flags |= usageStorage
	}
	if u&Uniform != 0 {
		flags |= usageUniform
	}
	return flags
}
