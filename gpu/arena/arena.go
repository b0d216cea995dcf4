package arena

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// Arena owns buffers and the bind groups over them. It is for one goroutine at a time.
type Arena struct {
	dev     *gpu.Device // nil: buffers are only counted
	buffers []*Buffer   // in the order in which they were reserved
	pending int         // buffers[pending:] are not allocated yet
	need    map[string]uint64
	groups  map[groupKey]*gpu.BindGroup
}

// New returns an empty Arena. With a nil device it can reserve, but not allocate.
func New(dev *gpu.Device) *Arena {
	return &Arena{dev: dev, need: map[string]uint64{}, groups: map[groupKey]*gpu.BindGroup{}}
}

// Buffer is a piece of device memory that was reserved, or a part of one. It has memory once Allocate was called.
type Buffer struct {
	purpose string
	size    uint64 // bytes
	usage   gpu.Usage
	memory  *gpu.Buffer
	whole   *Buffer // nil: it is no part
	offset  uint64  // of a part
}

// Reserve asks for a buffer of n bytes, counted under purpose. Allocate makes it.
//
//go:noinline
func (a *Arena) Reserve(purpose string, n int, u gpu.Usage) *Buffer {
	b := &Buffer{purpose: purpose, size: uint64(n), usage: u}
	a.buffers = append(a.buffers, b)
	a.need[purpose] += b.size
	return b
}

// Count adds bytes to a purpose that are allocated elsewhere.
func (a *Arena) Count(purpose string, n int) { a.need[purpose] += uint64(n) }

// Need reports the bytes that were reserved or counted so far, by purpose.
func (a *Arena) Need() map[string]uint64 { return maps.Clone(a.need) }

// Largest reports the bytes of the largest buffer reserved for a purpose.
func (a *Arena) Largest(purpose string) uint64 {
	var most uint64
	for _, b := range a.buffers {
		if b.purpose == purpose {
			most = max(most, b.size)
		}
	}
	return most
}

// Allocate makes every buffer that was reserved since it was last called, all zeros. After an error
// the Arena still has to be closed.
func (a *Arena) Allocate() error {
	if a.dev == nil {
		return errors.New("arena: it has no device")
	}
	for ; a.pending < len(a.buffers); a.pending++ {
		b := a.buffers[a.pending]
		var err error
		if b.memory, err = a.dev.NewBuffer(b.purpose, b.size, b.usage); err != nil {
			return err
		}
	}
	return nil
}

// Make reserves a buffer and allocates it at once, with whatever else was reserved.
func (a *Arena) Make(purpose string, n int, u gpu.Usage) (*Buffer, error) {
	b := a.Reserve(purpose, n, u)
	return b, a.Allocate()
}

// Release gives buffers back before Close does, with the bind groups over them.
func (a *Arena) Release(buffers ...*Buffer) {
	for key, g := range a.groups {
		if slices.ContainsFunc(buffers, func(b *Buffer) bool { return b.memory != nil && key.binds(b.memory) }) {
			g.Release()
			delete(a.groups, key)
		}
	}
	for _, b := range buffers {
		at := slices.Index(a.buffers, b)
		if at < 0 {
			continue
		}
		if at < a.pending {
			a.pending--
		}
		a.buffers = slices.Delete(a.buffers, at, at+1)
		a.need[b.purpose] -= b.size
		b.memory.Release()
	}
}

// Close releases all buffers and bind groups.
func (a *Arena) Close() {
	for _, g := range a.groups {
		g.Release()
	}
	for _, b := range a.buffers {
		b.memory.Release()
	}
	clear(a.groups)
	clear(a.need)
	a.buffers, a.pending = nil, 0
}

// Size reports the buffer's size in bytes.
func (b *Buffer) Size() uint64 { return b.size }

// Part returns size bytes of the buffer, from offset on. Kernels can bind a part that begins at a multiple of
// gpu.Align.
func (b *Buffer) Part(offset, size uint64) *Buffer {
	if b.whole != nil {
		return &Buffer{whole: b.whole, offset: b.offset + offset, size: size}
	}
	return &Buffer{whole: b, offset: offset, size: size}
}

// Range is where the buffer lies on the device. It was allocated.
func (b *Buffer) Range() gpu.Range {
	if b.whole != nil {
		return gpu.Range{Buffer: b.whole.memory, Offset: b.offset, Size: b.size}
	}
	return gpu.Range{Buffer: b.memory}
}

// Ranges are where buffers lie on the device.
func Ranges(buffers []*Buffer) []gpu.Range {
	r := make([]gpu.Range, len(buffers))
	for i, b := range buffers {
		r[i] = b.Range()
	}
	return r
}

// Write writes data at byte offset, before anything that runs later.
func (b *Buffer) Write(offset uint64, data []byte) error {
	if b.memory == nil {
		return fmt.Errorf("buffer %q: written before it was allocated", b.purpose)
	}
	return b.memory.Write(offset, data)
}
