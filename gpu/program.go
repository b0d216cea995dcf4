package gpu

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Program is a recorded list of dispatches and copies, to be run any number of times. Its
// zero value is empty and ready to use. One goroutine records it; the first mistake made while
// recording is returned by Err and Run.
type Program struct {
	d      *Device
	steps  []step
	groups []*BindGroup // of the dispatches, in order; nil for a copy
	copies []Range      // two for each copy: destination, source
	err    error

	checked    bool   // everything that the steps use was alive …
	generation uint64 // … at this count of releases
	replay     any    // the steps as the backend keeps them; nil after each change
	dispatches uint64
}

// Dispatch records a run of pl with g over x·y·z workgroups, each count at least 1.
func (p *Program) Dispatch(pl *Pipeline, g *BindGroup, x, y, z uint32) {
	if pl == nil || g == nil {
		p.fail(errors.New("dispatch: the pipeline or bind group is nil"))
		return
	}
	limit := pl.d.limits.MaxWorkgroupsPerDim
	switch {
	case g.p != pl:
		p.fail(fmt.Errorf("kernel %s: the bind group was made for kernel %s", pl.k.Key, g.p.k.Key))
	case min(x, y, z) == 0 || max(x, y, z) > limit:
		p.fail(fmt.Errorf("kernel %s: %d×%d×%d workgroups: want 1 to %d each", pl.k.Key, x, y, z, limit))
	case p.on(pl.d):
		p.steps = append(p.steps, step{pipeline: pl.h, group: g.h, x: x, y: y, z: z})
		p.groups = append(p.groups, g)
		p.dispatches++
		p.checked, p.replay = false, nil
	}
}

// Copy records a copy of src to dst. Offsets and sizes are multiples of 4; a size of 0 means
// the other's size, or the rest of src if both are 0. The buffers must be different.
func (p *Program) Copy(dst, src Range) {
	if dst.Buffer == nil || src.Buffer == nil {
		p.fail(errors.New("copy: no buffer"))
		return
	}
	if src.Size == 0 {
		src.Size = dst.Size
	}
	n, err := src.Buffer.d.usable(src)
	if err == nil && dst.Size != 0 && dst.Size != n {
		err = fmt.Errorf("%d bytes to %d bytes", n, dst.Size)
	}
	dst.Size, src.Size = n, n
	if err == nil {
		_, err = src.Buffer.d.usable(dst)
	}
	switch {
	case err != nil:
		p.fail(fmt.Errorf("copy: %w", err))
	case dst.Buffer == src.Buffer:
		p.fail(fmt.Errorf("copy: buffer %q cannot be copied to itself", dst.Buffer.purpose))
	case (dst.Offset|src.Offset|n)%4 != 0:
		p.fail(fmt.Errorf("copy: buffer %q: bytes %d+%d to %d: want multiples of 4", src.Buffer.purpose, src.Offset, n, dst.Offset))
	case p.on(src.Buffer.d):
		p.steps = append(p.steps, step{src: src.Buffer.h, dst: dst.Buffer.h, srcOff: src.Offset, dstOff: dst.Offset, size: n})
		p.groups = append(p.groups, nil)
		p.copies = append(p.copies, dst, src)
		p.checked, p.replay = false, nil
	}
}

func (p *Program) fail(err error) {
	if p.err == nil {
		p.err = fmt.Errorf("program step %d: %w", len(p.steps), err)
	}
}

// on ties the program to the device of its first step.
func (p *Program) on(d *Device) bool {
	if p.d == nil {
		p.d = d
	}
	if p.d != d {
		p.fail(errors.New("it belongs to another device than the steps before"))
	}
	return p.err == nil
}

// Err returns the first mistake made while recording.
func (p *Program) Err() error { return p.err }

// Len reports how many steps are recorded.
func (p *Program) Len() int { return len(p.steps) }

// Keys returns the kernel of each dispatch, in the order of RunTimed's timings.
func (p *Program) Keys() []string {
	var keys []string
	for _, g := range p.groups {
		if g != nil {
			keys = append(keys, g.p.k.Key)
		}
	}
	return keys
}

// Release releases the program's bind groups and empties it.
func (p *Program) Release() {
	for _, g := range p.groups {
		g.Release()
	}
	*p = Program{}
}

// check makes sure that everything the programs use is alive; it needs d.mu.
func (d *Device) check(programs []*Program) error {
	for _, p := range programs {
		if err := p.check(d); err != nil {
			return err
		}
	}
	return nil
}

// check makes sure that everything the program uses is alive; it needs d.mu.
func (p *Program) check(d *Device) error {
	if p.err != nil {
		return p.err
	}
	if p.d != nil && p.d != d {
		return errors.New("the program belongs to another device")
	}
	generation := d.generation.Load()
	if p.checked && p.generation == generation {
		return nil
	}
	copies := p.copies
	for i, g := range p.groups {
		var err error
		if g != nil {
			err = g.alive()
		} else {
			err = errors.Join(alive(copies[0].Buffer), alive(copies[1].Buffer))
			copies = copies[2:]
		}
		if err != nil {
			return fmt.Errorf("program step %d: %w", i, err)
		}
	}
	p.checked, p.generation = true, generation
	return nil
}

func (g *BindGroup) alive() error {
	if g.released {
		return fmt.Errorf("kernel %s: bind group: %w", g.p.k.Key, ErrReleased)
	}
	for _, r := range g.ranges {
		if err := alive(r.Buffer); err != nil {
			return inKernel(g.p.k.Key, err)
		}
	}
	return nil
}

func alive(b *Buffer) error {
	if b.released.Load() {
		return about("buffer", b.purpose, ErrReleased)
	}
	return nil
}

// Run submits the programs, in order, in one submission, and does not wait for it.
// Earlier writes come first. After an error in the submission itself the device cannot be
// used any more, and every later call returns that error.
func (d *Device) Run(programs ...*Program) error {
	if err := d.enter(context.Background()); err != nil {
		return during("run", err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(programs); err != nil {
		return during("run", err)
	}
	if err := d.b.run(programs); err != nil {
		return d.spoil(err)
	}
	d.count(programs...)
	return nil
}

// spoil marks the device as unusable; it needs d.mu.
func (d *Device) spoil(err error) error {
	if d.broken == nil {
		d.broken = fmt.Errorf("the device has failed before: %w", err)
	}
	return during("run", err)
}

func (d *Device) count(programs ...*Program) {
	d.unsent = 0
	d.stats.Submits++
	for _, p := range programs {
		d.stats.Dispatches += p.dispatches
		d.stats.Copies += uint64(len(p.steps)) - p.dispatches
	}
}

// Timing is when a dispatch began and ended on the device, relative to the beginning of the first one.
type Timing struct{ Begin, End time.Duration }

// Time reports how long the dispatch took.
func (t Timing) Time() time.Duration { return t.End - t.Begin }

// RunTimed runs programs, in order, with every dispatch in its own pass, and returns when
// each of them ran. The device must have Features.TimestampQuery.
func (d *Device) RunTimed(programs ...*Program) ([]Timing, error) {
	if err := d.enter(context.Background()); err != nil {
		return nil, during("run", err)
	}
	defer d.leave()
	if !d.features.TimestampQuery {
		return nil, fmt.Errorf("run: %s has no timestamp queries", d.adapter.Name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(programs); err != nil {
		return nil, during("run", err)
	}
	var steps []step
	for _, p := range programs {
		steps = append(steps, p.steps...)
	}
	times, err := d.b.runTimed(context.Background(), steps)
	if err != nil {
		return nil, d.spoil(err)
	}
	if len(times) > 0 {
		for i, first := len(times)-1, times[0].Begin; i >= 0; i-- {
			times[i].Begin, times[i].End = times[i].Begin-first, times[i].End-first
		}
	}
	d.count(programs...)
	return times, nil
}
