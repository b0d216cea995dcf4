package gpu

import (
	"context"
)

// Fence is a point in the sequence of submissions to a device: Wait blocks until the device has reached it,
// whatever was submitted since. The zero Fence is the beginning, where there is nothing to wait for. It is for
// one goroutine.
type Fence struct {
	d *Device
	p pending
}

// Fence marks the point after everything submitted so far.
func (d *Device) Fence() (Fence, error) {
	if err := d.enter(context.Background()); err != nil {
		return Fence{}, during("fence", err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.b.mark()
	if err != nil {
		return Fence{}, during("fence", d.note(err))
	}
	return Fence{d, p}, nil
}

// Wait blocks until the device has done what was submitted before the fence, or until ctx ends. After either, the
// fence is the zero one.
func (f *Fence) Wait(ctx context.Context) error {
	if f.p == nil {
		return ctx.Err()
	}
	d, p := f.d, f.p
	*f = Fence{}
	if err := d.enter(ctx); err != nil {
		d.b.unmark(p)
		return during("fence", err)
	}
	defer d.leave()
	if err := d.b.reach(ctx, p); err != nil {
		return during("fence", d.lockedNote(err))
	}
	return nil
}

// Release forgets the fence without waiting for it.
func (f *Fence) Release() {
	if f.p != nil {
		f.d.b.unmark(f.p)
	}
	*f = Fence{}
}
