package gpu

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Stage is memory that the CPU fills and the device copies from: data on its way to buffers. Natively
// it costs neither the copy nor the allocation that Buffer.Write costs, and several goroutines can each
// fill one of their own. One goroutine at a time uses a Stage.
type Stage struct {
	d        *Device
	purpose  string
	h        handle
	size     uint64 // bytes
	mem      []byte
	pending  pending // the memory is the device's until this is done; nil: it is the CPU's
	copies   []step
	released bool // guarded by d.mu
}

// StageCopy says that the bytes of a Stage from From on go to a range of a buffer, Dst.Size of them.
// Both offsets and the size are multiples of 4.
type StageCopy struct {
	Dst  Range
	From uint64 // bytes
}

// NewStage makes a Stage of size bytes, rounded up to a multiple of 4 and counted in Memory under purpose.
func (d *Device) NewStage(purpose string, size uint64) (*Stage, error) {
	if err := d.enter(context.Background()); err != nil {
		return nil, fmt.Errorf("stage %q: %w", purpose, err)
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
		return nil, fmt.Errorf("stage %q: %w", purpose, d.note(err))
	}
	s := &Stage{d: d, purpose: purpose, h: h, size: size, mem: mem}
	d.stages[s] = struct{}{}
	d.memory[purpose] += size
	return s, nil
}

// Bytes waits until the device has taken what was sent last, and returns the memory, to be filled. It may
// be used until the next call of Send or Release; reading it can be slow.
func (s *Stage) Bytes(ctx context.Context) ([]byte, error) {
	d := s.d
	if err := d.enter(ctx); err != nil {
		return nil, fmt.Errorf("stage %q: %w", s.purpose, err)
	}
	defer d.leave()
	if s.released {
		return nil, fmt.Errorf("stage %q: %w", s.purpose, ErrReleased)
	}
	if s.pending == nil {
		return s.mem, nil
	}
	p := s.pending
	s.pending = nil
	mem, err := d.b.finishStage(ctx, s.h, s.mem, p)
	if err != nil {
		return nil, fmt.Errorf("stage %q: %w", s.purpose, d.lockedNote(err))
	}
	s.mem = mem
	return mem, nil
}

// Send submits copies from the Stage and then the programs, and does not wait for them. Writes made
// before come first.
func (s *Stage) Send(copies []StageCopy, programs ...*Program) error {
	d := s.d
	if err := d.enter(context.Background()); err != nil {
		return fmt.Errorf("stage %q: %w", s.purpose, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := s.check(copies)
	if err != nil {
		return fmt.Errorf("stage %q: %w", s.purpose, err)
	}
	for _, p := range programs {
		if err := p.check(d); err != nil {
			return fmt.Errorf("stage %q: %w", s.purpose, err)
		}
	}
	if s.pending, err = d.b.sendStage(s.h, s.mem, s.copies, programs); err != nil {
		return d.spoil(err)
	}
	d.count(programs...)
	d.stats.BytesWritten += n
	return nil
}

// check fills in s.copies and returns how many bytes they are. It needs d.mu.
func (s *Stage) check(copies []StageCopy) (total uint64, err error) {
	if s.released {
		return 0, ErrReleased
	}
	if s.pending != nil {
		return 0, errors.New("sent again before its memory was asked for")
	}
	s.copies = s.copies[:0]
	for _, c := range copies {
		n, err := s.d.usable(c.Dst)
		switch {
		case err != nil:
			return 0, err
		case (c.From|c.Dst.Offset|n)%4 != 0:
			return 0, fmt.Errorf("copy to buffer %q: bytes %d+%d to %d: not in multiples of 4", c.Dst.Buffer.purpose, c.From, n, c.Dst.Offset)
		case c.From > s.size || n > s.size-c.From:
			return 0, fmt.Errorf("copy of bytes %d+%d: it has %d", c.From, n, s.size)
		}
		s.copies = append(s.copies, step{dst: c.Dst.Buffer.h, srcOff: c.From, dstOff: c.Dst.Offset, size: n})
		total += n
	}
	return total, nil
}

// Release gives the memory back. Releasing twice, or after the device is closed, does nothing.
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
	if d.memory[s.purpose] -= s.size; d.memory[s.purpose] == 0 {
		delete(d.memory, s.purpose)
	}
}
