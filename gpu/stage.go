package gpu

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Stage is memory that the CPU fills and the device copies from: data on its way to buffers. Natively
// it avoids the copy and the allocation of Buffer.Write, and several goroutines can each
// fill a Stage of their own. A Stage is for one goroutine at a time.
type Stage struct {
	d        *Device
	purpose  string
	h        handle
	size     uint64 // bytes
	mem      []byte
	pending  pending // the device owns the memory until this is done; nil: the CPU owns it
	copies   []step
	released bool // guarded by d.mu
}

// StageCopy copies Dst.Size bytes of a Stage, from byte From on, to a range of a buffer.
// Both offsets and the size are multiples of 4.
type StageCopy struct {
	Dst  Range
	From uint64 // bytes
}

// NewStage allocates a Stage of size bytes, rounded up to a multiple of 4 and counted in Memory under purpose.
func (d *Device) NewStage(purpose string, size uint64) (*Stage, error) {
	if err := d.enter(context.Background()); err != nil {
		return nil, about("stage", purpose, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	size = (size + 3) &^ 3
	if size == 0 || size > d.limits.MaxBufferSize {
		return nil, fmt.Errorf("stage %q: %d bytes: want 1 to %d", purpose, size, d.limits.MaxBufferSize)
	}
	h, mem, err := d.b.newStage(strings.ToValidUTF8(purpose, "?"), size)
	if err != nil {
		return nil, about("stage", purpose, d.note(err))
	}
	s := &Stage{d: d, purpose: purpose, h: h, size: size, mem: mem}
	d.stages[s] = struct{}{}
	d.book(purpose, size)
	return s, nil
}

// Bytes waits until the device has copied what was sent last, and returns the memory, to be filled. It may
// be used until the next call of Send or Release; reading from it can be slow.
func (s *Stage) Bytes(ctx context.Context) ([]byte, error) {
	d := s.d
	if err := d.enter(ctx); err != nil {
		return nil, about("stage", s.purpose, err)
	}
	defer d.leave()
	if s.released {
		return nil, about("stage", s.purpose, ErrReleased)
	}
	if s.pending == nil {
		return s.mem, nil
	}
	mem, err := d.b.finishStage(ctx, s.h, s.mem, s.pending)
	if err != nil { // the memory is still the device's: the next call waits for it again
		return nil, about("stage", s.purpose, d.lockedNote(err))
	}
	s.mem, s.pending = mem, nil
	return mem, nil
}

// Send submits copies from the Stage and then the programs, and does not wait for them. Earlier
// writes come first.
func (s *Stage) Send(copies []StageCopy, programs ...*Program) error {
	d := s.d
	if err := d.enter(context.Background()); err != nil {
		return about("stage", s.purpose, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := s.check(copies)
	if err != nil {
		return about("stage", s.purpose, err)
	}
	if err := d.check(programs); err != nil {
		return about("stage", s.purpose, err)
	}
	if s.pending, err = d.b.sendStage(s.h, s.mem, s.copies, programs); err != nil {
		return d.spoil(err)
	}
	d.count(programs...)
	d.stats.BytesWritten += n
	return nil
}

// check fills in s.copies and returns their total bytes. It needs d.mu.
func (s *Stage) check(copies []StageCopy) (total uint64, err error) {
	if s.released {
		return 0, ErrReleased
	}
	if s.pending != nil {
		return 0, errors.New("sent again before Bytes was called")
	}
	s.copies = s.copies[:0]
	for _, c := range copies {
		n, err := s.d.usable(c.Dst)
		switch {
		case err != nil:
			return 0, err
		case (c.From|c.Dst.Offset|n)%4 != 0:
			return 0, fmt.Errorf("copy to buffer %q: bytes %d+%d to %d: want multiples of 4", c.Dst.Buffer.purpose, c.From, n, c.Dst.Offset)
		case c.From > s.size || n > s.size-c.From:
			return 0, fmt.Errorf("copy of bytes %d+%d is out of range: it has %d", c.From, n, s.size)
		}
		s.copies = append(s.copies, step{dst: c.Dst.Buffer.h, srcOff: c.From, dstOff: c.Dst.Offset, size: n})
		total += n
	}
	return total, nil
}

// Release frees the memory. Releasing twice, or after the device is closed, does nothing.
func (s *Stage) Release() {
	if s != nil {
		s.d.release(func() { s.d.freeStage(s) })
	}
}

// freeStage needs d.mu.
func (d *Device) freeStage(s *Stage) {
	if s.released {
		return
	}
	s.released = true
	d.b.freeStage(s.h, s.pending)
	s.mem, s.pending = nil, nil
	delete(d.stages, s)
	d.unbook(s.purpose, s.size)
}
