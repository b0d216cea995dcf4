package bundle

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/internal/sha256"
)

// Streamed returns the bundle that a manifest and its files make, to be read as Hashing says.
func Streamed(m *Manifest, blobs ...Blob) (*Bundle, error) {
	b, err := assemble(m, blobs)
	if err != nil {
		return nil, err
	}
	return b.Hashing(), nil
}

// Hashing returns the same bundle for reading it once: what ReadAt and Rows read of a tensor, from its
// first byte to its last, is hashed on the way, and the read that completes it fails if the hash is not
// the manifest's. Different tensors may be read at once. AllChecked says at the end whether every tensor
// was read. The files are those of b, whose Close closes them.
func (b *Bundle) Hashing() *Bundle {
	h := &Bundle{Manifest: b.Manifest, close: func() error { return nil }, vocab: b.vocab, tensors: b.tensors}
	for i, blob := range b.blobs {
		h.blobs = append(h.blobs, Blob{newHashing(b.Manifest, i, blob.ReaderAt), blob.Size})
	}
	return h
}

// AllChecked reports a tensor of a bundle made by Streamed that was not read as a whole.
func (b *Bundle) AllChecked() error {
	for i := range b.blobs {
		h, ok := b.blobs[i].ReaderAt.(*hashing)
		if !ok {
			return fmt.Errorf("%s: is not read by Hashing", b.Manifest.Files[i].Name)
		}
		for _, t := range h.tensors {
			if err := t.checked(); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashing is a file whose tensors are hashed as they are read.
type hashing struct {
	io.ReaderAt
	tensors []*hashed // by offset
}

// hashed is a tensor of which the first done bytes were read.
type hashed struct {
	tensor *Tensor
	mu     sync.Mutex // guards what follows
	sum    hash.Hash  // nil before the first byte and after the last
	done   int64      // bytes
	ok     bool
}

func newHashing(m *Manifest, file int, r io.ReaderAt) *hashing {
	h := &hashing{ReaderAt: r}
	for i := range m.Tensors {
		if t := &m.Tensors[i]; t.File == file {
			h.tensors = append(h.tensors, &hashed{tensor: t})
		}
	}
	return h
}

// hashStep is how many bytes of a file in memory are copied and hashed at a time: few enough to be in the
// processor's cache the second time.
const hashStep = 64 << 10

// ReadAt reads and hashes. A read lies within one tensor. Of a file in memory it hashes what is there,
// not what it has copied to p, which may be memory that is slow to read.
func (h *hashing) ReadAt(p []byte, off int64) (int, error) {
	t := h.at(off)
	s, ok := h.ReaderAt.(slicer)
	if !ok {
		n, err := h.ReaderAt.ReadAt(p, off)
		if bad := t.add(p[:n], off); bad != nil {
			return 0, bad
		}
		return n, err
	}
	src, err := s.Slice(off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(src); i += hashStep {
		piece := src[i:min(i+hashStep, len(src))]
		copy(p[i:], piece)
		if bad := t.add(piece, off+int64(i)); bad != nil {
			return 0, bad
		}
	}
	return len(p), nil
}

// at returns the tensor that begins at off or is the last to begin before it, nil for the header.
func (h *hashing) at(off int64) *hashed {
	at, found := slices.BinarySearchFunc(h.tensors, off, func(t *hashed, off int64) int { return cmp.Compare(t.tensor.Offset, off) })
	if !found {
		at--
	}
	if at < 0 {
		return nil
	}
	return h.tensors[at]
}

// add hashes bytes that follow those hashed before.
func (t *hashed) add(p []byte, off int64) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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

func (t *hashed) checked() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ok {
		return nil
	}
	return fmt.Errorf("tensor %q: %d of %d bytes were read in order: its hash is not known", t.tensor.Name, t.done, t.tensor.Length)
}

// CheckVocab reports whether data is the vocab.json that belongs to the manifest.
func (m *Manifest) CheckVocab(data []byte) error {
	if got, want := hexSHA256(data), m.Tokenizer.SHA256; got != want {
		return fmt.Errorf("%s: %w", VocabName, corrupt("sha256 is %s: the manifest says %s", got, want))
	}
	return nil
}
