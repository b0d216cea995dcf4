//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/internal/dawn"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// dawnBackend is the backend on a Dawn library.
type dawnBackend struct {
	instance *dawn.Instance
	dev      *dawn.Device
	adapter  AdapterInfo
	max      Limits
	can      Features
	patience patience
}

func (n *dawnBackend) info() AdapterInfo  { return n.adapter }
func (n *dawnBackend) limits() Limits     { return n.max }
func (n *dawnBackend) features() Features { return n.can }

// cacheCounts implements cacheCounter.
func (n *dawnBackend) cacheCounts() (hits, misses int) { return n.dev.CacheCounts() }

// err takes the error that the calls since the last err have met.
func (n *dawnBackend) err() error {
	if f := n.dev.Failure(); f != nil {
		text := strings.TrimSpace(f.Message)
		if f.Kind == dawn.ErrorOutOfMemory {
			return fmt.Errorf("%w: %s", ErrOutOfMemory, text)
		}
		if err := n.failure(); err != nil {
			return err
		}
		return errors.New(text)
	}
	return n.failure()
}

func (n *dawnBackend) failure() error {
	if why, lost := n.dev.Lost(); lost {
		return fmt.Errorf("%w: %s", ErrDeviceLost, strings.TrimSpace(why))
	}
	return nil
}

func (n *dawnBackend) close() {
	n.dev.Close()
	n.instance.Release()
}

// made checks the object that a call has made; free releases one that is not good.
func (n *dawnBackend) made(h uintptr, free func(uintptr)) (handle, error) {
	return made(handle(h), n.err(), func() { free(h) })
}

func (n *dawnBackend) newBuffer(label string, size uint64, u Usage) (handle, error) {
	return n.made(n.dev.NewBuffer(label, size, bufferUsage(u), false), n.dev.FreeBuffer)
}

func (n *dawnBackend) freeBuffer(h handle) { n.dev.FreeBuffer(uintptr(h)) }

func (n *dawnBackend) write(h handle, off uint64, data []byte) error {
	n.dev.Write(uintptr(h), off, data)
	return n.err()
}

// dawnBindings are the kinds of bindings as Dawn knows them.
var dawnBindings = map[kernels.Binding]uint32{
	kernels.Uniform: dawn.BindUniform, kernels.Storage: dawn.BindStorage, kernels.ReadStorage: dawn.BindReadStorage,
}

func (n *dawnBackend) newPipeline(k kernels.Kernel) (pipeline, layout handle, err error) {
	kinds := make([]uint32, len(k.Bindings))
	for i, b := range k.Bindings {
		kinds[i] = dawnBindings[b]
	}
	p, l, err := n.dev.NewPipeline(k.Key, k.Source, k.Entry, kinds)
	if err != nil {
		if lost := n.failure(); lost != nil {
			err = lost
		}
		return 0, 0, err
	}
	return handle(p), handle(l), nil
}

func (n *dawnBackend) freePipeline(pipeline, layout handle) {
	n.dev.FreePipeline(uintptr(pipeline))
	n.dev.FreeLayout(uintptr(layout))
}

func (n *dawnBackend) newBindGroup(label string, layout handle, entries []entry) (handle, error) {
	bindings := make([]dawn.Binding, len(entries))
	for i, e := range entries {
		bindings[i] = dawn.Binding{Buffer: uintptr(e.buffer), Offset: e.offset, Size: e.size}
	}
	return n.made(n.dev.NewBindGroup(label, uintptr(layout), bindings), n.dev.FreeBindGroup)
}

func (n *dawnBackend) freeBindGroup(h handle) { n.dev.FreeBindGroup(uintptr(h)) }

func (n *dawnBackend) run(programs []*Program) error {
	if len(programs) == 0 {
		n.dev.Submit(0)
		return n.err()
	}
	h, err := n.encode(programs)
	if err != nil {
		return err
	}
	return n.send(h, programs)
}

func (n *dawnBackend) encode(programs []*Program) (handle, error) {
	r := dawnRecording{n, n.dev.NewEncoder()}
	r.steps(programs)
	return r.finish()
}

// dawnRecording is an encoder, which locks its device only to begin and to end passes.
type dawnRecording struct {
	n *dawnBackend
	e *dawn.Encoder
}

// parallel implements recorder: a device that locks itself lets several threads record.
func (n *dawnBackend) parallel() bool { return n.dev.Synchronized() }

// record implements recorder. The pass is open when it returns, for opening it would wait for what is being submitted.
func (n *dawnBackend) record() recording {
	e := n.dev.NewEncoder()
	e.Begin()
	return dawnRecording{n, e}
}

func (r dawnRecording) steps(programs []*Program) {
	for _, p := range programs {
		record(r.e, p.steps)
	}
}

func (r dawnRecording) finish() (handle, error) { return r.n.finish(r.e) }

// portion implements backend: the library translates commands for the driver when they are submitted, which takes it
// about a microsecond or two a dispatch.
func (n *dawnBackend) portion() int { return 12 }

// record records steps; a copy ends the pass of the dispatches before it.
func record(e *dawn.Encoder, steps []step) {
	for i := range steps {
		s := &steps[i]
		if s.pipeline == 0 {
			e.Copy(uintptr(s.src), s.srcOff, uintptr(s.dst), s.dstOff, s.size)
			continue
		}
		e.Dispatch(uintptr(s.pipeline), uintptr(s.group), s.x, s.y, s.z)
	}
}

func (n *dawnBackend) finish(e *dawn.Encoder) (handle, error) {
	return n.made(e.Finish(), n.dev.FreeCommands)
}

func (n *dawnBackend) send(h handle, _ []*Program) error {
	n.dev.Submit(uintptr(h))
	return n.err()
}

func (n *dawnBackend) drop(h handle) {
	if h != 0 {
		n.dev.FreeCommands(uintptr(h))
	}
}

// submit finishes and submits what e has recorded.
func (n *dawnBackend) submit(e *dawn.Encoder) error {
	h, err := n.finish(e)
	if err != nil {
		return err
	}
	return n.send(h, nil)
}

// await waits for a future, and looks at the context between.
func (n *dawnBackend) await(ctx context.Context, f dawn.Future) error {
	begun := time.Now()
	defer func() { n.patience.ended(time.Since(begun)) }()
	w := n.instance.Await(f)
	for {
		timeout := n.patience.timeout(time.Since(begun))
		if timeout == 0 {
			runtime.Gosched() // other goroutines go first
		}
		done, err := w.Wait(timeout)
		if lost := n.failure(); lost != nil {
			return lost
		}
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (n *dawnBackend) wait(ctx context.Context) error { return n.await(ctx, n.dev.Done()) }

func (n *dawnBackend) mark() (pending, error) { return n.dev.Done(), n.err() }

func (n *dawnBackend) reach(ctx context.Context, p pending) error {
	return n.await(ctx, p.(dawn.Future))
}

func (n *dawnBackend) unmark(pending) {} // a future that nobody waits for costs nothing

func (n *dawnBackend) startRead(_ context.Context, src handle, off uint64, staging handle, size uint64) (pending, error) {
	e := n.dev.NewEncoder()
	e.Copy(uintptr(src), off, uintptr(staging), 0, size)
	if err := n.submit(e); err != nil {
		return nil, err
	}
	return n.startMap(staging, size)
}

func (n *dawnBackend) startMap(staging handle, size uint64) (pending, error) {
	f := n.dev.Map(uintptr(staging), dawn.MapRead, size)
	if err := n.err(); err != nil {
		return nil, err
	}
	return f, nil
}

func (n *dawnBackend) finishRead(ctx context.Context, p pending, staging handle, dst []byte, skip uint64) error {
	defer n.dev.Unmap(uintptr(staging)) // also takes back a mapping that has not come yet
	if err := n.await(ctx, p.(dawn.Future)); err != nil {
		return err
	}
	mem := n.dev.Mapped(uintptr(staging), dawn.MapRead, (skip+uint64(len(dst))+3)&^3)
	if mem == nil {
		return errors.Join(errors.New("the staging buffer is not mapped"), n.err())
	}
	copy(dst, mem[skip:])
	return nil
}

func (n *dawnBackend) newStage(label string, size uint64) (handle, []byte, error) {
	h, err := n.made(n.dev.NewBuffer(label, size, usageMapWrite|usageCopySrc, true), n.dev.FreeBuffer)
	if err != nil {
		return 0, nil, err
	}
	mem, err := n.stageMemory(h, size)
	if err != nil {
		n.freeBuffer(h)
		return 0, nil, err
	}
	return h, mem, nil
}

func (n *dawnBackend) stageMemory(h handle, size uint64) ([]byte, error) {
	mem := n.dev.Mapped(uintptr(h), dawn.MapWrite, size)
	if mem == nil {
		return nil, errors.Join(errors.New("the driver did not map its memory"), n.err())
	}
	return mem, nil
}

func (n *dawnBackend) sendStage(h handle, mem []byte, copies []step, programs []*Program) (pending, error) {
	n.dev.Unmap(uintptr(h))
	for i := range copies {
		copies[i].src = h
	}
	e := n.dev.NewEncoder()
	record(e, copies)
	for _, p := range programs {
		record(e, p.steps)
	}
	if err := n.submit(e); err != nil {
		return nil, err
	}
	f := n.dev.Map(uintptr(h), dawn.MapWrite, uint64(len(mem)))
	if err := n.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// finishStage: the memory need not be where it was before.
func (n *dawnBackend) finishStage(ctx context.Context, h handle, mem []byte, p pending) ([]byte, error) {
	if err := n.await(ctx, p.(dawn.Future)); err != nil {
		return nil, err
	}
	return n.stageMemory(h, uint64(len(mem)))
}

func (n *dawnBackend) freeStage(h handle, p pending) {
	if p != nil {
		n.dev.Unmap(uintptr(h)) // also takes back a mapping that has not come yet
	}
	n.freeBuffer(h)
}

// runTimed: Dawn turns timestamps into nanoseconds itself. A query set holds 4096 of them.
func (n *dawnBackend) runTimed(ctx context.Context, steps []step) ([]Timing, error) {
	const most = 2048
	var ticks []uint64
	for part := range slices.Chunk(steps, most) {
		more, err := n.timed(ctx, part)
		if err != nil {
			return nil, err
		}
		ticks = append(ticks, more...)
	}
	times := make([]Timing, len(ticks)/2)
	for i := range times {
		at := func(k int) time.Duration { return time.Duration(ticks[k] - ticks[0]) }
		times[i] = Timing{at(2 * i), at(2*i + 1)}
	}
	return times, nil
}

// timed runs steps and returns the timestamps before and after each dispatch, in nanoseconds.
func (n *dawnBackend) timed(ctx context.Context, steps []step) ([]uint64, error) {
	count := dispatches(steps)
	if count == 0 {
		e := n.dev.NewEncoder()
		record(e, steps)
		return nil, n.submit(e)
	}
	size := uint64(count) * 16 // bytes: two timestamps of 8
	resolved, st, free, err := queryBuffers(n, size)
	if err != nil {
		return nil, err
	}
	defer free()
	qs, err := n.made(n.dev.NewQueries(2*count), n.dev.FreeQueries)
	if err != nil {
		return nil, err
	}
	defer n.dev.FreeQueries(uintptr(qs))
	if err := n.submit(n.recordTimed(steps, uintptr(qs), uintptr(resolved))); err != nil {
		return nil, err
	}
	p, err := n.startRead(ctx, resolved, 0, st, size)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, size)
	if err := n.finishRead(ctx, p, st, raw, 0); err != nil {
		return nil, err
	}
	return littleEndian(raw), nil
}

// recordTimed records each dispatch between two timestamps, which it resolves.
func (n *dawnBackend) recordTimed(steps []step, qs, resolved uintptr) *dawn.Encoder {
	e, at := n.dev.NewEncoder(), 0
	for i := range steps {
		if steps[i].pipeline == 0 {
			record(e, steps[i:i+1])
			continue
		}
		e.Timed(qs, at, func() { record(e, steps[i:i+1]) })
		at += 2
	}
	e.Resolve(qs, at, resolved)
	return e
}
