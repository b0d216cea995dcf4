//go:build !js

package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Writer writes a bundle. Everything goes to a temporary directory beside the target, which Commit
// renames. A caller defers Abort, which removes what was not committed.
type Writer struct {
	dir, tmp string
	force    bool
	blob     *os.File
	at       int64 // where the next byte goes
	tensors  []Tensor
	hash     hash.Hash // of the tensor being written, nil between tensors
	vocab    Tokenizer // its size and hash
}

// Create starts a bundle that will be dir. If there is something, it must be a bundle and force
// must be set; it is replaced at Commit.
func Create(dir string, force bool) (*Writer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := checkTarget(dir, force); err != nil {
		return nil, err
	}
	parent, name := filepath.Split(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(parent, "."+name+".tmp-")
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, tmp: tmp, force: force, at: headerSize}
	if err := w.start(); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// start makes the blob, with zeros where the header goes when all is done.
func (w *Writer) start() error {
	// MkdirTemp makes a directory for its owner only.
	if err := os.Chmod(w.tmp, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(w.tmp, BlobName))
	if err != nil {
		return err
	}
	w.blob = f
	_, err = f.Write(make([]byte, headerSize))
	return err
}

// checkTarget reports why dir cannot be written.
func checkTarget(dir string, force bool) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: exists and is no directory", dir)
	}
	if !force {
		return fmt.Errorf("%s: %w: it is only replaced if forced", dir, os.ErrExist)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{BlobName, ManifestName, VocabName}, e.Name()) {
			return fmt.Errorf("%s: holds %s, which is no part of a bundle: not replaced", dir, e.Name())
		}
	}
	return nil
}

// Begin starts the next tensor. Name, role, layer, shape, type, block and method are the caller's;
// the writer sees to the rest.
func (w *Writer) Begin(t Tensor) error {
	if w.hash != nil {
		return fmt.Errorf("tensor %q: begun before %q ended", t.Name, w.tensors[len(w.tensors)-1].Name)
	}
	if len(t.Shape) == 0 || slices.Min(t.Shape) < 1 {
		return fmt.Errorf("tensor %q: shape %v has no elements", t.Name, t.Shape)
	}
	if err := t.checkType(t.Model().Quantizable()); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	length, ok := t.bytes()
	if !ok {
		return fmt.Errorf("tensor %q: shape %v is too large", t.Name, t.Shape)
	}
	t.Offset, t.Length = w.at, length
	w.tensors = append(w.tensors, t)
	w.hash = sha256.New()
	return nil
}

// Write writes the next bytes of the tensor begun.
func (w *Writer) Write(p []byte) (int, error) {
	if w.hash == nil {
		return 0, errors.New("bundle: Write outside a tensor")
	}
	w.hash.Write(p)
	n, err := w.blob.Write(p)
	w.at += int64(n)
	return n, err
}

// End ends the tensor begun, of which all bytes must have been written.
func (w *Writer) End(o Outcome) error {
	if w.hash == nil {
		return errors.New("bundle: End outside a tensor")
	}
	t := &w.tensors[len(w.tensors)-1]
	if n := w.at - t.Offset; n != t.Length {
		return fmt.Errorf("tensor %q: %d bytes written: want %d", t.Name, n, t.Length)
	}
	t.SHA256, t.Outcome = hex.EncodeToString(w.hash.Sum(nil)), o
	w.hash = nil
	n, err := w.blob.Write(make([]byte, aligned(w.at)-w.at))
	w.at += int64(n)
	return err
}

// Vocab writes vocab.json.
func (w *Writer) Vocab(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return fmt.Errorf("%s: the tokenizer is empty", VocabName)
	}
	w.vocab.Size, w.vocab.SHA256 = int64(len(data)), hexSHA256(data)
	return writeFile(filepath.Join(w.tmp, VocabName), data)
}

// Commit completes m with version, id, files, tensors and the tokenizer's size and hash, and makes
// the bundle appear. After an error nothing has appeared.
func (w *Writer) Commit(m *Manifest) error {
	m.FormatVersion = Version
	m.Files = []File{{Name: BlobName, Size: w.at}}
	m.Tensors = w.tensors
	m.Tokenizer.Size, m.Tokenizer.SHA256 = w.vocab.Size, w.vocab.SHA256
	data, err := m.complete()
	if err != nil {
		return fmt.Errorf("%s: %w", w.dir, err)
	}
	if w.hash != nil {
		return fmt.Errorf("tensor %q: not ended", w.tensors[len(w.tensors)-1].Name)
	}
	if err := w.finish(header(m.ID, w.at), data); err != nil {
		return err
	}
	if err := w.replace(); err != nil {
		return err
	}
	w.tmp = ""
	return syncDir(filepath.Dir(w.dir))
}

// complete sets the id and returns the manifest as it is stored, checked as a reader will.
func (m *Manifest) complete() ([]byte, error) {
	data, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	if m.ID, err = idOf(data); err != nil {
		return nil, err
	}
	if data, err = m.Marshal(); err != nil {
		return nil, err
	}
	_, err = ParseManifest(data)
	return data, err
}

// finish writes header and manifest and waits until the disk has everything.
func (w *Writer) finish(head, manifest []byte) error {
	if _, err := w.blob.WriteAt(head, 0); err != nil {
		return err
	}
	if err := w.blob.Sync(); err != nil {
		return err
	}
	blob := w.blob
	w.blob = nil
	if err := blob.Close(); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(w.tmp, ManifestName), manifest); err != nil {
		return err
	}
	return syncDir(w.tmp)
}

// replace puts the new directory in the place of the old one, if there is one.
func (w *Writer) replace() error {
	if err := checkTarget(w.dir, w.force); err != nil {
		return err
	}
	if _, err := os.Lstat(w.dir); errors.Is(err, os.ErrNotExist) {
		return os.Rename(w.tmp, w.dir)
	}
	old := w.tmp + ".old"
	if err := os.Rename(w.dir, old); err != nil {
		return err
	}
	if err := os.Rename(w.tmp, w.dir); err != nil {
		return errors.Join(err, os.Rename(old, w.dir))
	}
	return os.RemoveAll(old)
}

// Abort removes what was written, unless it was committed.
func (w *Writer) Abort() error {
	if w.tmp == "" {
		return nil
	}
	var err error
	if w.blob != nil {
		err = w.blob.Close()
		w.blob = nil
	}
	err = errors.Join(err, os.RemoveAll(w.tmp))
	w.tmp = ""
	return err
}

// writeFile writes a file and waits until the disk has it.
func writeFile(path string, data []byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
