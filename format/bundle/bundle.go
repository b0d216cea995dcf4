package bundle

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Bundle reads a bundle. Its methods may be called from several goroutines.
type Bundle struct {
	Manifest *Manifest

	blobs   []Blob // for each of Manifest.Files
	close   func() error
	vocab   func() ([]byte, error) // reads vocab.json
	tensors []model.Tensor
	buffers sync.Pool // of *[]byte
}

var _ model.Weights = (*Bundle)(nil)

// slicer is a blob in memory.
type slicer interface {
	Slice(offset, length int64) ([]byte, error)
}

// Blob is a file that holds tensors.
type Blob struct {
	io.ReaderAt // to be read from several goroutines
	Size        int64
}

// New returns the bundle that a manifest and a blob of the given size make.
func New(manifest []byte, blob io.ReaderAt, size int64) (*Bundle, error) {
	return NewFiles(manifest, Blob{blob, size})
}

// NewFiles returns the bundle that a manifest and its files, in the order of Manifest.Files, make.
func NewFiles(manifest []byte, blobs ...Blob) (*Bundle, error) {
	m, err := ParseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return assemble(m, blobs)
}

func assemble(m *Manifest, blobs []Blob) (*Bundle, error) {
	b := &Bundle{Manifest: m, blobs: blobs, close: func() error { return nil }, vocab: func() ([]byte, error) { return nil, nil }}
	if len(blobs) != len(m.Files) {
		return nil, fmt.Errorf("%s: %w", ManifestName, corrupt("the tensors are in %d files: there are %d", len(m.Files), len(blobs)))
	}
	for i, f := range m.Files {
		if err := b.checkBlob(i); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for i := range m.Tensors {
		b.tensors = append(b.tensors, m.Tensors[i].Model())
	}
	return b, nil
}

// checkBlob compares size and header of a file with the manifest.
func (b *Bundle) checkBlob(i int) error {
	if got, want := b.blobs[i].Size, b.Manifest.Files[i].Size; got != want {
		return corrupt("the file has %d bytes: the manifest says %d", got, want)
	}
	head := make([]byte, headerSize)
	if err := readAt(b.blobs[i], head, 0); err != nil {
		return err
	}
	return checkHeader(head, b.Manifest.ID, i, b.blobs[i].Size)
}

// where names tensor i and its file.
func (b *Bundle) where(i int) string {
	t := &b.Manifest.Tensors[i]
	return fmt.Sprintf("%s: tensor %q", b.Manifest.Files[t.File].Name, t.Name)
}

// Close releases the blob. No method may be called after it.
func (b *Bundle) Close() error { return b.close() }

// Spec returns the model's description.
func (b *Bundle) Spec() *model.Spec { return &b.Manifest.Spec }

// Tensors lists the tensors in the order of Spec.Tensors.
func (b *Bundle) Tensors() []model.Tensor { return b.tensors }

// Vocab returns vocab.json after checking its SHA-256, nil if there is none or the bundle was not
// opened from a directory.
func (b *Bundle) Vocab() ([]byte, error) {
	data, err := b.vocab()
	if err != nil || data == nil {
		return nil, err
	}
	if got, want := hexSHA256(data), b.Manifest.Tokenizer.SHA256; got != want {
		return nil, fmt.Errorf("%s: %w", VocabName, corrupt("sha256 is %s: the manifest says %s", got, want))
	}
	return data, nil
}

// Stored returns the bytes of tensor i without copying them, if the files are mapped, and how they are packed. Reading
// them may cause a fault: see mapped.Reading.
func (b *Bundle) Stored(i int) (rows []byte, p block.Packing, ok bool) {
	t := &b.Manifest.Tensors[i]
	s, ok := b.blobs[t.File].ReaderAt.(slicer)
	if !ok {
		return nil, p, false
	}
	rows, err := s.Slice(t.Offset, t.Length)
	p.Bits, p.Block = b.Packing(i)
	return rows, p, err == nil
}

// Rows fills dst, [n][Cols], with rows row0 to row0+n−1 of tensor i, dequantized.
func (b *Bundle) Rows(i, row0, n int, dst []float32) error {
	if i < 0 || i >= len(b.tensors) {
		return fmt.Errorf("tensor %d: there are %d", i, len(b.tensors))
	}
	t, rows, cols := &b.Manifest.Tensors[i], b.tensors[i].Rows(), b.tensors[i].Cols()
	if row0 < 0 || n < 0 || row0 > rows-n || len(dst) != n*cols {
		return fmt.Errorf("tensor %q: %d rows from %d into %d numbers: it has %d rows of %d", t.Name, n, row0, len(dst), rows, cols)
	}
	size := t.RowBytes()
	return b.reading(i, func() error {
		src, done, err := b.bytes(t.File, t.Offset+int64(row0)*int64(size), n*size)
		if err != nil {
			return err
		}
		defer done()
		for r := range n {
			t.decodeRow(dst[r*cols:(r+1)*cols], src[r*size:(r+1)*size])
		}
		return nil
	})
}

// reading calls f, which reads tensor i, and names the tensor in its error.
func (b *Bundle) reading(i int, f func() error) error {
	if err := guarded(f); err != nil {
		return fmt.Errorf("%s: %w", b.where(i), err)
	}
	return nil
}

// bytes returns n bytes of a file. They may be used until done is called.
func (b *Bundle) bytes(file int, off int64, n int) (_ []byte, done func(), _ error) {
	if s, ok := b.blobs[file].ReaderAt.(slicer); ok {
		p, err := s.Slice(off, int64(n))
		return p, func() {}, err
	}
	buf, _ := b.buffers.Get().(*[]byte)
	if buf == nil || cap(*buf) < n {
		buf = new(make([]byte, n))
	}
	*buf = (*buf)[:n]
	return *buf, func() { b.buffers.Put(buf) }, readAt(b.blobs[file], *buf, off)
}

// readAt fills p from off on.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if errors.Is(err, ErrCorrupt) {
		return err // from one that looks at what it reads
	}
	if n == len(p) {
		return nil
	}
	return corrupt("reading bytes %d to %d: got %d: %w", off, off+int64(len(p)), n, err)
}

// decodeRow fills dst, one row, from its bytes.
func (t *Tensor) decodeRow(dst []float32, src []byte) {
	switch t.Type {
	case F16:
		block.FromFloat16s(dst, src)
	case F32:
		for i := range dst {
			s := src[4*i : 4*i+4]
			dst[i] = math.Float32frombits(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
		}
	default:
		t.Scheme().DecodeRow(dst, src)
	}
}
