package bundle

import "fmt"

// Packing reports how tensor i is stored: bits a weight, and weights a block or 0 if it is
// plain float16 or float32.
func (b *Bundle) Packing(i int) (bits, block int) {
	t := &b.Manifest.Tensors[i]
	return t.Type.Bits(), t.Block
}

// ReadAt fills p with the stored bytes of tensor i from byte off on.
func (b *Bundle) ReadAt(i int, p []byte, off int64) error {
	t := &b.Manifest.Tensors[i]
	if off < 0 || off > t.Length-int64(len(p)) {
		return fmt.Errorf("tensor %q: bytes %d to %d: it has %d", t.Name, off, off+int64(len(p)), t.Length)
	}
	return b.reading(i, func() error { return readAt(b.blobs[t.File], p, t.Offset+off) })
}
