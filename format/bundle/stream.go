package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
)

// Streamed returns the bundle that a manifest and its files make, for reading it once: what is read
// of a tensor, from its first byte to its last, is hashed on the way, and the read that completes it
// fails if that is not what the manifest says. AllChecked says at the end that nothing was left out.
func Streamed(m *Manifest, blobs ...Blob) (*Bundle, error) {
	b, err := assemble(m, blobs)
	if err != nil {
		return nil, err
	}
	for i := range b.blobs {
		b.blobs[i].ReaderAt = newHashing(b, i)
	}
	return b, nil
}

// AllChecked reports a tensor of a bundle made by Streamed that was not read as a whole.
func (b *Bundle) AllChecked() error {
	for i := range b.blobs {
		h, ok := b.blobs[i].ReaderAt.(*hashing)
		if !ok {
			return fmt.Errorf("%s: was not opened for streaming", b.Manifest.Files[i].Name)
		}
		for _, t := range h.tensors {
			if !t.ok {
				return fmt.Errorf("tensor %q: %d of %d bytes were read in order: its hash is not known", t.tensor.Name, t.done, t.tensor.Length)
			}
		}
	}
	return nil
}

// hashing is a file whose tensors are hashed as they are read.
type hashing struct {
	io.ReaderAt
	mu      sync.Mutex
	tensors []*hashed // by offset
}

// hashed is a tensor of which the first done bytes were read.
type hashed struct {
	tensor *Tensor
	sum    hash.Hash // nil before the first and after the last
	done   int64     // bytes
	ok     bool
}

func newHashing(b *Bundle, file int) *hashing {
	h := &hashing{ReaderAt: b.blobs[file].ReaderAt}
	for i := range b.Manifest.Tensors {
		if t := &b.Manifest.Tensors[i]; t.File == file {
			h.tensors = append(h.tensors, &hashed{tensor: t})
		}
	}
	return h
}

// ReadAt reads and hashes. A read lies within one tensor.
func (h *hashing) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.ReaderAt.ReadAt(p, off)
	h.mu.Lock()
	defer h.mu.Unlock()
	at, found := slices.BinarySearchFunc(h.tensors, off, func(t *hashed, off int64) int { return int(min(max(t.tensor.Offset-off, -1), 1)) })
	if !found {
		at--
	}
	if at < 0 {
		return n, err // the header
	}
	if bad := h.tensors[at].add(p[:n], off); bad != nil {
		return 0, bad
	}
	return n, err
}

// add hashes bytes that follow those hashed before.
func (t *hashed) add(p []byte, off int64) error {
	if off != t.tensor.Offset+t.done || t.ok || t.done+int64(len(p)) > t.tensor.Length {
		return nil // read again, or not in order: AllChecked tells
	}
	if t.sum == nil {
		t.sum = sha256.New()
	}
	t.sum.Write(p)
	t.done += int64(len(p))
	if t.done < t.tensor.Length {
		return nil
	}
	got := hex.EncodeToString(t.sum.Sum(nil))
	t.sum = nil
	if got != t.tensor.SHA256 {
		return corrupt("sha256 is %s: the manifest says %s", got, t.tensor.SHA256)
	}
	t.ok = true
	return nil
}

// CheckVocab reports whether data is the vocab.json that belongs to the manifest.
func (m *Manifest) CheckVocab(data []byte) error {
	if got, want := hexSHA256(data), m.Tokenizer.SHA256; got != want {
		return fmt.Errorf("%s: %w", VocabName, corrupt("sha256 is %s: the manifest says %s", got, want))
	}
	return nil
}
