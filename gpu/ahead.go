package gpu

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// Submission is a list of encoded programs, ready to be sent to the device, so that sending costs the CPU little. It
// is for one goroutine, and for one Send after each Encode or EncodeAside.
type Submission struct {
	d          *Device
	programs   []*Program
	parts      []part
	generation uint64 // of the device, when everything used was alive
	ready      bool   // encoded, or being encoded

	aside sync.WaitGroup // for the goroutine that encodes, if there is one
	run   func()         // what it does
	err   error          // what encoding has met
}

// part is what goes to the driver at once.
type part struct {
	h        handle
	rec      recording // what h is made of, while it is encoded; nil without a recorder
	programs []*Program
}

// Encode encodes the programs, in order, to be run by one Send. s must be zero, sent or released. busy says that the
// device will still be busy with other work when they are sent.
func (d *Device) Encode(s *Submission, programs []*Program, busy bool) error {
	if err := d.begin(s, programs, busy); err != nil {
		return during("encode", err)
	}
	s.encode()
	return s.encoded()
}

// EncodeAside is Encode by another goroutine, where the engine can record commands beside other calls. What that goroutine meets is
// the error of Send.
func (d *Device) EncodeAside(s *Submission, programs []*Program, busy bool) error {
	if d.recorder == nil {
		return d.Encode(s, programs, busy)
	}
	if err := d.begin(s, programs, busy); err != nil {
		return during("encode", err)
	}
	if s.run == nil {
		s.run = func() {
			defer s.aside.Done()
			s.encode()
		}
	}
	s.aside.Add(1)
	go s.run()
	return nil
}

// begin makes everything ready for encode, which must follow: until then, the device stays open and frees nothing.
func (d *Device) begin(s *Submission, programs []*Program, busy bool) error {
	if s.ready {
		return errors.New("the submission has not been sent yet")
	}
	if err := d.enter(context.Background()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(programs); err != nil {
		d.leave()
		return err
	}
	s.d, s.programs, s.generation, s.ready, s.err = d, programs, d.generation.Load(), true, nil
	least := 0
	if !busy {
		least = d.b.portion()
	}
	s.parts = s.parts[:0]
	for left := range portions(programs, least) {
		p := part{programs: left}
		if d.recorder != nil {
			p.rec = d.recorder.record()
		}
		s.parts = append(s.parts, p)
	}
	d.recording.RLock()
	return nil
}

// encode ends what begin has begun. Recordings need the lock only to be finished.
func (s *Submission) encode() {
	d := s.d
	defer d.leave()
	for _, p := range s.parts {
		if p.rec != nil {
			p.rec.steps(p.programs)
		}
	}
	d.recording.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range s.parts {
		p := &s.parts[i]
		var err error
		if p.rec != nil {
			p.h, err = p.rec.finish()
			p.rec = nil
		} else {
			p.h, err = d.b.encode(p.programs)
		}
		if err != nil && s.err == nil {
			s.err = d.note(err)
		}
	}
}

// encoded waits until the programs are encoded, and returns what was met; nothing is left to be sent then.
func (s *Submission) encoded() error {
	s.aside.Wait()
	if s.err == nil {
		return nil
	}
	s.Release()
	return during("encode", s.err)
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
	if err := s.encoded(); err != nil {
		return err
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
	s.aside.Wait()
	if s.ready {
		s.ready = false
		s.d.release(s.drop)
	}
}

// Readback is memory to which programs copy results for the CPU to read.
type Readback struct {
	b       *Buffer
	givenUp bool // the last Read had asked for the memory and did not wait until it came
}

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
	return &Readback{b: b}, nil
}

// Range is where programs copy to.
func (r *Readback) Range(size uint64) Range { return Range{Buffer: r.b, Size: size} }

// Read waits for the submitted programs that copy to r, but not for what was submitted after them, and copies the
// first len(dst) bytes, a multiple of 4, to dst. Until it returns, nothing that copies to r may be submitted.
func (r *Readback) Read(ctx context.Context, dst []byte) error {
	d := r.b.d
	if err := d.enter(ctx); err != nil {
		return during("read", err)
	}
	defer d.leave()
	if _, err := d.usable(r.Range(uint64(len(dst)))); err != nil || len(dst) == 0 || len(dst)%4 != 0 {
		return fmt.Errorf("read: %d bytes: %w", len(dst), errors.Join(err, errors.New("want a multiple of 4 within the buffer")))
	}
	if r.givenUp { // wgpu would answer as soon as the programs are done that were waited for then
		if err := d.b.wait(ctx); err != nil {
			return during("read", d.lockedNote(err))
		}
	}
	d.mu.Lock()
	p, err := d.b.startMap(r.b.h, uint64(len(dst)))
	d.mu.Unlock()
	if err == nil {
		err = d.b.finishRead(ctx, p, r.b.h, dst, 0)
	}
	if r.givenUp = err != nil; r.givenUp {
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
