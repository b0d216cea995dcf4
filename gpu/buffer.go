package gpu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
)

// Buffer is device memory, zero until written.
type Buffer struct {
	d        *Device
	purpose  string
	h        handle
	size     uint64 // bytes, as requested
	alloc    uint64 // bytes, rounded up to a multiple of 4
	usage    Usage
	released atomic.Bool
}

// NewBuffer allocates size bytes, all zero, counted in Memory under purpose.
func (d *Device) NewBuffer(purpose string, size uint64, u Usage) (*Buffer, error) {
	if u == 0 || u&^(Storage|Uniform) != 0 {
		return nil, fmt.Errorf("buffer %q: usage %d: want Storage, Uniform or both", purpose, u)
	}
	if err := d.enter(context.Background()); err != nil {
		return nil, about("buffer", purpose, err)
	}
	defer d.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.alloc(purpose, size, u)
}

// alloc makes a buffer; it needs d.mu.
func (d *Device) alloc(purpose string, size uint64, u Usage) (*Buffer, error) {
	alloc := (size + 3) &^ 3
	if size == 0 {
		return nil, fmt.Errorf("buffer %q: size 0", purpose)
	}
	if size > d.limits.MaxBufferSize || alloc > d.limits.MaxBufferSize {
		return nil, fmt.Errorf("buffer %q: %d bytes: this device's largest buffer is %d bytes", purpose, size, d.limits.MaxBufferSize)
	}
	h, err := d.b.newBuffer(strings.ToValidUTF8(purpose, "?"), alloc, u)
	if err != nil {
		if errors.Is(err, ErrOutOfMemory) {
			err = fmt.Errorf("%w: %d bytes requested, %d bytes in use by this program", ErrOutOfMemory, size, d.inUse())
		}
		return nil, about("buffer", purpose, d.note(err))
	}
	b := &Buffer{d: d, purpose: purpose, h: h, size: size, alloc: alloc, usage: u}
	d.buffers[b] = struct{}{}
	d.book(purpose, alloc)
	return b, nil
}

// book counts memory that was allocated.
func (d *Device) book(purpose string, bytes uint64) {
	d.books.Lock()
	defer d.books.Unlock()
	d.memory[purpose] += bytes
}

// unbook counts memory that was freed.
func (d *Device) unbook(purpose string, bytes uint64) {
	d.books.Lock()
	defer d.books.Unlock()
	if d.memory[purpose] -= bytes; d.memory[purpose] == 0 {
		delete(d.memory, purpose)
	}
}

func (d *Device) inUse() uint64 {
	d.books.Lock()
	defer d.books.Unlock()
	var n uint64
	for _, m := range d.memory {
		n += m
	}
	return n
}

// Memory reports how many bytes of device memory are in use, by purpose. It never waits for the device.
func (d *Device) Memory() map[string]uint64 {
	d.books.Lock()
	defer d.books.Unlock()
	return maps.Clone(d.memory)
}

// Size reports the buffer's size in bytes, as requested.
func (b *Buffer) Size() uint64 { return b.size }

// Release frees the memory. Programs that use the buffer can no longer run.
// Releasing twice, or after the device is closed, does nothing.
func (b *Buffer) Release() {
	if b != nil {
		b.d.release(func() { b.d.freeBuffer(b) })
	}
}

// freeBuffer needs d.mu.
func (d *Device) freeBuffer(b *Buffer) {
	if b.released.Swap(true) {
		return
	}
	d.b.freeBuffer(b.h)
	delete(d.buffers, b)
	d.unbook(b.purpose, b.alloc)
	d.generation.Add(1)
}

// usable returns the length of a range, or why it cannot be used on d.
func (d *Device) usable(r Range) (size uint64, err error) {
	b := r.Buffer
	switch {
	case b == nil:
		return 0, errors.New("no buffer")
	case b.d != d:
		return 0, fmt.Errorf("buffer %q belongs to another device", b.purpose)
	case b.released.Load():
		return 0, about("buffer", b.purpose, ErrReleased)
	case r.Offset >= b.alloc || r.Size > b.alloc-r.Offset:
		return 0, fmt.Errorf("buffer %q: bytes %d+%d are out of range: it has %d", b.purpose, r.Offset, r.Size, b.alloc)
	case r.Size == 0:
		return b.alloc - r.Offset, nil
	}
	return r.Size, nil
}

// writeChunk bounds how much data the driver holds at once on its way to the device.
const writeChunk = 32 << 20

// Write queues data to be written at byte off, before anything that runs later. off is a
// multiple of 4, and so is len(data) unless it reaches the end of the buffer.
func (b *Buffer) Write(off uint64, data []byte) error {
	d := b.d
	if err := d.enter(context.Background()); err != nil {
		return about("buffer", b.purpose, err)
	}
	defer d.leave()
	n := uint64(len(data))
	switch {
	case off > b.size || n > b.size-off:
		return fmt.Errorf("buffer %q: write of bytes %d+%d is out of range: it has %d", b.purpose, off, n, b.size)
	case n > 0 && (off%4 != 0 || n%4 != 0 && off+n != b.size):
		return fmt.Errorf("buffer %q: write of bytes %d+%d: want multiples of 4", b.purpose, off, n)
	}
	for len(data) > 0 {
		chunk := data[:min(len(data), writeChunk)]
		data = data[len(chunk):]
		if err := d.write(b, off, chunk); err != nil {
			return fmt.Errorf("buffer %q: write: %w", b.purpose, err)
		}
		off += uint64(len(chunk))
	}
	return nil
}

// write writes one chunk. Writes wait in the driver until the next submission, each with a
// copy of its data, so after enough of them it submits.
func (d *Device) write(b *Buffer, off uint64, chunk []byte) error {
	d.mu.Lock()
	if b.released.Load() {
		d.mu.Unlock()
		return ErrReleased
	}
	whole := chunk[:len(chunk)&^3]
	var err error
	if len(whole) > 0 {
		err = d.b.write(b.h, off, whole)
	}
	if rest := chunk[len(whole):]; err == nil && len(rest) > 0 {
		var word [4]byte
		copy(word[:], rest)
		err = d.b.write(b.h, off+uint64(len(whole)), word[:])
	}
	d.stats.BytesWritten += uint64(len(chunk))
	d.unsent += uint64(len(chunk))
	full := err == nil && d.unsent >= 2*writeChunk
	if full {
		d.unsent = 0
		err = d.b.run(nil)
	}
	err = d.note(err)
	d.mu.Unlock()
	if full && err == nil {
		err = d.lockedNote(d.b.wait(context.Background()))
	}
	return err
}
