package transformer

import (
	"context"
	"encoding/binary"

	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// KVOverflow returns the first layer whose cache holds an infinity: a key or a value that is larger than float16 can
// hold, 65504. It is −1 if there is none, or the cache holds float32.
func (t *Transformer) KVOverflow(ctx context.Context) (int, error) {
	raw := make([]byte, 1<<20)
	for i := range t.graph.Layers() {
		c := t.graph.Cache(i)
		if c.Bits != 16 {
			continue
		}
		buffers := []*arena.Buffer{c.K}
		if c.V != c.K {
			buffers = append(buffers, c.V)
		}
		for _, b := range buffers {
			for at := uint64(0); at < b.Size(); at += uint64(len(raw)) {
				part := raw[:min(uint64(len(raw)), b.Size()-at)]
				if err := t.dev.Read(ctx, b.Range().Buffer, b.Range().Offset+at, part); err != nil {
					return -1, err
				}
				if infinite(part) {
					return i, nil
				}
			}
		}
	}
	return -1, nil
}

// infinite reports whether one of some float16s is ±Inf.
func infinite(raw []byte) bool {
	for ; len(raw) >= 2; raw = raw[2:] {
		if binary.LittleEndian.Uint16(raw)&0x7fff == 0x7c00 {
			return true
		}
	}
	return false
}
