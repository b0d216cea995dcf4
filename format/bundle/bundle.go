package bundle

import (
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Bundle reads a bundle. Its methods may be called from several goroutines.
type Bundle struct {
	Manifest *Manifest

	blob    io.ReaderAt
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

// New returns the bundle that a manifest and a blob of the given size make. The blob may be read
// from several goroutines.
func New(manifest []byte, blob io.ReaderAt, size int64) (*Bundle, error) {
	m, err := ParseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	b := &Bundle{Manifest: m, blob: blob, close: func() error { return nil }, vocab: func() ([]byte, error) { return nil, nil }}
	if err := b.checkBlob(size); err != nil {
		return nil, fmt.Errorf("%s: %w", BlobName, err)
	}
	for i := range m.Tensors {
		b.tensors = append(b.tensors, m.Tensors[i].Model())
	}
	return b, nil
}

// checkBlob compares size and header of the blob with the manifest.
func (b *Bundle) checkBlob(size int64) error {
	if want := b.Manifest.Files[0].Size; size != want {
		return corrupt("the file has %d bytes: the manifest says %d", size, want)
	}
	head := make([]byte, headerSize)
	if err := readAt(b.blob, head, 0); err != nil {
		return err
	}
	return checkHeader(head, b.Manifest.ID, size)
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

// Raw reads the bytes of tensor i as they are stored, row after row.
func (b *Bundle) Raw(i int) *io.SectionReader {
	t := &b.Manifest.Tensors[i]
	return io.NewSectionReader(b.blob, t.Offset, t.Length)
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
	src, done, err := b.bytes(t.Offset+int64(row0)*int64(size), n*size)
	if err != nil {
		return fmt.Errorf("%s: tensor %q: %w", BlobName, t.Name, err)
	}
	defer done()
	for r := range n {
		t.decodeRow(dst[r*cols:(r+1)*cols], src[r*size:(r+1)*size])
	}
	return nil
}

// bytes returns n bytes of the blob. They may be used until done is called.
func (b *Bundle) bytes(off int64, n int) (_ []byte, done func(), _ error) {
	if s, ok := b.blob.(slicer); ok {
		p, err := s.Slice(off, int64(n))
		return p, func() {}, err
	}
	buf, _ := b.buffers.Get().(*[]byte)
	if buf == nil || cap(*buf) < n {
		buf = new(make([]byte, n))
	}
	*buf = (*buf)[:n]
	return *buf, func() { b.buffers.Put(buf) }, readAt(b.blob, *buf, off)
}

// readAt fills p from off on.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return corrupt("reading bytes %d to %d: got %d: %w", off, off+int64(len(p)), n, err)
}

// decodeRow fills dst, one row, from its bytes.
func (t *Tensor) decodeRow(dst []float32, src []byte) {
	switch t.Type {
	case F16:
		for i := range dst {
			dst[i] = quant.FromFloat16(uint16(src[2*i]) | uint16(src[2*i+1])<<8)
		}
	case F32:
		for i := range dst {
			s := src[4*i : 4*i+4]
			dst[i] = math.Float32frombits(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
		}
	default:
		t.Scheme().DecodeRow(dst, src)
	}
}
