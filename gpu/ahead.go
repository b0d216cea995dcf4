package gpu

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Submission is a list of programs that is encoded and ready to be sent to the device, so that sending costs the CPU
// little. It is for one goroutine, and for one Send after each Encode.
type Submission struct {
	d          *Device
	programs   []*Program
	parts      []part
	generation uint64 // of the device, when everything used was alive
	ready      bool
}

// part is what goes to the driver at once.
type part struct {
	h        handle
	programs []*Program
}

// Encode encodes the programs, in order, to be run by one Send. s must be zero, sent or released. busy says that the device will
// have something else to do when they are sent.
func (d *Device) Encode(s *Submission, programs []*Program, busy bool) error {
	if s.ready {
		return errors.New("encode: the submission has not been sent yet")
	}
	if err := d.enter(context.Background()); err != nil {
		return during("encode", err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(programs); err != nil {
		return during("encode", err)
	}
	*s = Submission{d: d, programs: programs, parts: s.parts[:0], generation: d.generation.Load()}
	least := 0
	if !busy {
		least = d.b.portion()
	}
	for left := range portions(programs, least) {
		h, err := d.b.encode(left)
		if err != nil {
			s.drop()
			return during("encode", d.note(err))
		}
		s.parts = append(s.parts, part{h, left})
	}
	s.ready = true
	return nil
}

// portions cuts a list of programs into portions of least dispatches, four times as many, and so on; 0: there is one. Where
// submitting is slow, the device then works on the first portion while the next is being submitted.
func portions(programs []*Program, least int) iter.Seq[[]*Program] {
	return func(yield func([]*Program) bool) {
		for ; len(programs) > 0; least *= 4 {
			n, steps := 0, 0
			for n < len(programs) && (least == 0 || steps < least) {
				steps += len(programs[n].steps)
				n++
			}
			if !yield(programs[:n:n]) {
				return
			}
			programs = programs[n:]
		}
	}
}

// Send submits the programs and does not wait for them. Earlier writes come first. If anything that
// they use was released in the meantime, Send returns an error and submits nothing.
func (s *Submission) Send() error {
	d := s.d
	if !s.ready {
		return errors.New("run: the submission is not encoded, or has been sent already")
	}
	if err := d.enter(context.Background()); err != nil {
		return during("run", err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.generation != d.generation.Load() {
		if err := d.check(s.programs); err != nil {
			return during("run", err)
		}
	}
	s.ready = false
	for i, p := range s.parts {
		if err := d.b.send(p.h, p.programs); err != nil {
			s.parts = s.parts[i+1:]
			s.drop()
			return d.spoil(err)
		}
		d.count(p.programs...)
	}
	return nil
}

// drop frees what was encoded.
func (s *Submission) drop() {
	for _, p := range s.parts {
		s.d.b.drop(p.h)
	}
	s.parts = s.parts[:0]
}

// Release frees what was not sent.
func (s *Submission) Release() {
	if s.ready {
		s.ready = false
		s.d.release(s.drop)
	}
}

// Readback is memory to which programs copy results for the CPU to read.
type Readback struct{ b *Buffer }

// NewReadback allocates size bytes, counted in Memory under purpose.
func (d *Device) NewReadback(purpose string, size uint64) (*Readback, error) {
	if err := d.enter(context.Background()); err != nil {
		return nil, about("buffer", purpose, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.alloc(purpose, size, staging)
	if err != nil {
		return nil, err
	}
	return &Readback{b}, nil
}

// Range is where programs copy to.
func (r *Readback) Range(size uint64) Range { return Range{Buffer: r.b, Size: size} }

// Read waits for the programs that were sent to copy to r, but not for what was sent after them, and copies the first
// len(dst) bytes, a multiple of 4, to dst. Until it returns, nothing that copies to r may be submitted.
func (r *Readback) Read(ctx context.Context, dst []byte) error {
	d := r.b.d
	if err := d.enter(ctx); err != nil {
		return during("read", err)
	}
	defer d.leave()
	if _, err := d.usable(r.Range(uint64(len(dst)))); err != nil || len(dst) == 0 || len(dst)%4 != 0 {
		return fmt.Errorf("read: %d bytes: %w", len(dst), errors.Join(err, errors.New("want a multiple of 4 within the buffer")))
	}
	d.mu.Lock()
	p, err := d.b.startMap(r.b.h, uint64(len(dst)))
	d.mu.Unlock()
	if err == nil {
		err = d.b.finishRead(ctx, p, r.b.h, dst, 0)
	}
	if err != nil {
		return during("read", d.lockedNote(err))
	}
	d.mu.Lock()
	d.stats.BytesRead += uint64(len(dst))
	d.mu.Unlock()
	return nil
}

// Release frees the memory.
func (r *Readback) Release() {
	if r != nil {
		r.b.Release()
	}
}
