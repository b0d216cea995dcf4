//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import "unsafe"

// Encoder records dispatches and copies. Finish ends it.
type Encoder struct {
	l        *Library
	h        uintptr
	pass     uintptr    // 0: none is open
	pipeline uintptr    // of the pass
	args     [5]uintptr // of a call, so that a dispatch allocates nothing
}

// NewEncoder begins to record.
func (d *Device) NewEncoder() *Encoder {
	return &Encoder{l: d.l, h: d.l.call(deviceCreateCommandEncoder, d.h, 0)}
}

// Begin opens a pass, unless one is open.
func (e *Encoder) Begin() {
	if e.pass == 0 {
		e.pass, e.pipeline = e.l.call(commandEncoderBeginComputePass, e.h, 0), 0
	}
}

// Dispatch records a run over x·y·z workgroups.
func (e *Encoder) Dispatch(pipeline, group uintptr, x, y, z uint32) {
	e.Begin()
	if pipeline != e.pipeline {
		e.pipeline = pipeline
		e.args = [5]uintptr{e.pass, pipeline}
		e.l.do(computePassEncoderSetPipeline, e.args[:2])
	}
	e.args = [5]uintptr{e.pass, 0, group}
	e.l.do(computePassEncoderSetBindGroup, e.args[:])
	e.args = [5]uintptr{e.pass, uintptr(x), uintptr(y), uintptr(z)}
	e.l.do(computePassEncoderDispatchWorkgroups, e.args[:4])
}

// Timed records a pass between two timestamps, number at and the next; dispatch records what is timed.
func (e *Encoder) Timed(queries uintptr, at int, dispatch func()) {
	e.end()
	desc := &passDescriptor{writes: &timestampWrites{queries: queries, begin: uint32(at), end: uint32(at + 1)}}
	e.pass, e.pipeline = e.l.call(commandEncoderBeginComputePass, e.h, uintptr(unsafe.Pointer(desc))), 0
	dispatch()
	e.end()
}

func (e *Encoder) end() {
	if e.pass != 0 {
		e.l.call(computePassEncoderEnd, e.pass)
		e.l.call(computePassEncoderRelease, e.pass)
		e.pass = 0
	}
}

// Copy records a copy of size bytes between two buffers.
func (e *Encoder) Copy(src uintptr, srcOff uint64, dst uintptr, dstOff, size uint64) {
	e.end()
	e.l.call(commandEncoderCopyBufferToBuffer, e.h, src, uintptr(srcOff), dst, uintptr(dstOff), uintptr(size))
}

// Resolve records a copy of the first n timestamps to a buffer, 8 bytes each.
func (e *Encoder) Resolve(queries uintptr, n int, dst uintptr) {
	e.end()
	e.l.call(commandEncoderResolveQuerySet, e.h, queries, 0, uintptr(n), dst, 0)
}

// Finish returns the commands, to be submitted or freed.
func (e *Encoder) Finish() (commands uintptr) {
	e.end()
	commands = e.l.call(commandEncoderFinish, e.h, 0)
	e.l.call(commandEncoderRelease, e.h)
	return commands
}

// Submit sends commands on their way, and frees them. With 0 it sends what was written.
func (d *Device) Submit(commands uintptr) {
	if commands == 0 {
		d.l.call(queueSubmit, d.queue, 0, 0)
		return
	}
	c := &commands
	d.l.call(queueSubmit, d.queue, 1, uintptr(unsafe.Pointer(c)))
	d.FreeCommands(commands)
}

// FreeCommands gives commands back that are not to be submitted.
func (d *Device) FreeCommands(commands uintptr) { d.l.call(commandBufferRelease, commands) }
