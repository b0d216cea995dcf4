package gpu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Device is an open adapter. Its methods may be called from several goroutines.
type Device struct {
	b        backend
	recorder recorder // the backend as one, or nil
	adapter  AdapterInfo
	limits   Limits
	features Features
	log      Logger

	life       sync.RWMutex  // held for reading during every call, for writing by Close
	generation atomic.Uint64 // counts releases: a program checked since the last one is still good

	recording sync.RWMutex // held for reading while a recorder's commands are recorded, for writing while something is freed

	mu        sync.Mutex // guards the backend and what follows; taken before recording
	closed    bool
	broken    error // the first error that leaves the device's contents in doubt
	unsent    uint64
	buffers   map[*Buffer]struct{}
	groups    map[*BindGroup]struct{}
	stages    map[*Stage]struct{}
	pipelines map[string]*Pipeline
	compiling map[string]chan struct{} // closed when the kernel of this key has been compiled, or has failed

	compileSince time.Time // when compiling the first of these began
	free         []*Buffer // staging buffers that are not in use
	stats        Stats

	books  sync.Mutex        // guards what follows; held for a moment only, while mu may be held until the device answers
	memory map[string]uint64 // bytes by purpose
}

// Open opens the adapter that o chooses. Close it after use.
func Open(ctx context.Context, o Options) (*Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = silent{}
	}
	b, err := openBackend(ctx, o)
	if err != nil {
		return nil, err
	}
	return newDevice(b, o), nil
}

func newDevice(b backend, o Options) *Device {
	d := &Device{
		b: b, adapter: b.info(), limits: b.limits(), features: b.features(), log: o.Log,
		memory:    map[string]uint64{},
		buffers:   map[*Buffer]struct{}{},
		groups:    map[*BindGroup]struct{}{},
		stages:    map[*Stage]struct{}{},
		pipelines: map[string]*Pipeline{},
		compiling: map[string]chan struct{}{},
	}
	if r, ok := b.(recorder); ok && r.parallel() {
		d.recorder = r
	}
	if o.MaxBinding > 0 {
		d.limits.MaxBinding = min(d.limits.MaxBinding, o.MaxBinding)
	}
	o.Log.Debug("GPU device opened", "adapter", d.adapter.String(), "limits", d.limits, "features", d.features)
	return d
}

// Info describes the device's adapter.
func (d *Device) Info() AdapterInfo { return d.adapter }

// OnCPU reports whether the device is software: what is fast on a GPU is slow there, and vice versa.
func (d *Device) OnCPU() bool { return d.adapter.OnCPU() }

// OnCPU reports whether the adapter is software.
func (a AdapterInfo) OnCPU() bool { return a.Type == "cpu" }

// Limits reports the device's limits.
func (d *Device) Limits() Limits { return d.limits }

// Features reports the device's optional abilities.
func (d *Device) Features() Features { return d.features }

// Stats reports what the device has done so far.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	stats := d.stats
	if c, ok := d.b.(cacheCounter); ok {
		stats.CacheHits, stats.CacheMisses = c.cacheCounts()
	}
	return stats
}

// cacheCounter is a backend that keeps compiled kernels.
type cacheCounter interface {
	cacheCounts() (hits, misses int)
}

// Close waits for the device to finish and releases all that was made on it.
// Closing twice does nothing.
func (d *Device) Close() {
	d.life.Lock()
	defer d.life.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if d.broken == nil {
		_ = d.b.wait(context.Background()) // nobody is left to return the error to
	}
	for g := range d.groups {
		d.freeBindGroup(g)
	}
	for s := range d.stages {
		d.freeStage(s)
	}
	for b := range d.buffers {
		d.freeBuffer(b)
	}
	for _, p := range d.pipelines {
		d.b.freePipeline(p.h, p.layout)
	}
	d.closed = true
	d.pipelines, d.free = nil, nil
	d.b.close()
}

// Failed returns why the device can no longer be used, once it was lost or its engine has failed: all calls return that
// error then, and only a new device helps. It is nil after Close alone.
func (d *Device) Failed() error {
	d.life.RLock()
	defer d.life.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.broken
	}
	return d.failed()
}

// failed looks for a failure of the engine that nobody has noticed yet. It needs d.mu, and an open device.
func (d *Device) failed() error {
	if d.broken == nil {
		if err := d.b.failure(); err != nil {
			d.broken = fmt.Errorf("the device has failed before: %w", err)
		}
	}
	return d.broken
}

// enter begins a call, which leave ends unless enter has failed.
func (d *Device) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.life.RLock()
	d.mu.Lock()
	err := ErrClosed
	if !d.closed {
		err = d.failed()
	}
	d.mu.Unlock()
	if err != nil {
		d.life.RUnlock()
	}
	return err
}

func (d *Device) leave() { d.life.RUnlock() }

// release calls free with d.mu held, unless the device is closed, or Close is about to release everything itself.
func (d *Device) release(free func()) {
	if !d.life.TryRLock() {
		return
	}
	defer d.life.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.recording.Lock()
		defer d.recording.Unlock()
		free()
	}
}

// note remembers an error after which the device cannot be used. It needs d.mu.
func (d *Device) note(err error) error {
	if errors.Is(err, ErrDeviceLost) && d.broken == nil {
		d.broken = err
		d.log.Error("GPU device lost", "error", err)
	}
	return err
}

// Wait blocks until all submitted work is done, or ctx is.
func (d *Device) Wait(ctx context.Context) error {
	if err := d.enter(ctx); err != nil {
		return during("wait", err)
	}
	defer d.leave()
	if err := d.send(); err != nil {
		return during("wait", err)
	}
	if err := d.b.wait(ctx); err != nil {
		return during("wait", d.lockedNote(err))
	}
	return nil
}

// send submits pending writes.
func (d *Device) send() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unsent == 0 {
		return nil
	}
	d.unsent = 0
	return d.note(d.b.run(nil))
}

func (d *Device) lockedNote(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.note(err)
}

// readChunk is how much is read at once at most, in bytes, to keep staging memory small.
const readChunk = 16 << 20

// Read copies len(dst) bytes of b, from byte off on, to dst, after all work submitted
// before. If ctx ends first, the contents of dst are undefined.
func (d *Device) Read(ctx context.Context, b *Buffer, off uint64, dst []byte) error {
	if err := d.enter(ctx); err != nil {
		return during("read", err)
	}
	defer d.leave()
	if len(dst) == 0 {
		return nil
	}
	if _, err := d.usable(Range{Buffer: b, Offset: off, Size: uint64(len(dst))}); err != nil {
		return during("read", err)
	}
	for len(dst) > 0 {
		chunk := dst[:min(len(dst), readChunk)]
		if err := d.read(ctx, b, off, chunk); err != nil {
			return fmt.Errorf("read: buffer %q: %w", b.purpose, err)
		}
		dst, off = dst[len(chunk):], off+uint64(len(chunk))
	}
	return nil
}

// read reads one chunk through a staging buffer, whole words of 4 bytes at a time.
func (d *Device) read(ctx context.Context, b *Buffer, off uint64, dst []byte) error {
	skip := off % 4
	n := (skip + uint64(len(dst)) + 3) &^ 3
	st, err := d.takeStaging(n)
	if err != nil {
		return err
	}
	d.mu.Lock()
	if b.released.Load() {
		err = ErrReleased
	}
	var p pending
	if err == nil {
		d.unsent = 0
		p, err = d.b.startRead(ctx, b.h, off-skip, st.h, n)
	}
	d.mu.Unlock()
	if err == nil {
		err = d.b.finishRead(ctx, p, st.h, dst, skip)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.freeBuffer(st) // its state is uncertain
		return d.note(err)
	}
	d.stats.BytesRead += uint64(len(dst))
	d.stats.Submits++
	d.free = append(d.free, st)
	return nil
}

// stagingSize is the least size of a staging buffer, in bytes.
const stagingSize = 64 << 10

// takeStaging returns a staging buffer of at least n bytes that nobody else uses. Free ones
// that are too small are released: reads tend to be of one size.
func (d *Device) takeStaging(n uint64) (*Buffer, error) {
	d.mu.Lock()
	for len(d.free) > 0 {
		st := d.free[len(d.free)-1]
		d.free = d.free[:len(d.free)-1]
		if st.alloc >= n {
			d.mu.Unlock()
			return st, nil
		}
		d.freeBuffer(st)
	}
	d.mu.Unlock()
	size := uint64(stagingSize)
	for size < n {
		size *= 2
	}
	return d.newStaging(size)
}

func (d *Device) newStaging(size uint64) (*Buffer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.alloc("staging", size, staging)
}

// during says what was being done when an error was met.
func during(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }

// about says which buffer or stage an error is about.
func about(kind, name string, err error) error { return fmt.Errorf("%s %q: %w", kind, name, err) }

// inKernel says which kernel an error is about.
func inKernel(key string, err error) error { return fmt.Errorf("kernel %s: %w", key, err) }
