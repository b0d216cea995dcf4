package bundle_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

// streamed opens the fake model for streaming, with the files changed by damage.
func streamed(t *testing.T, damage func(files map[string][]byte)) *bundle.Bundle {
	t.Helper()
	all := files(t, formatInt4)
	if damage != nil {
		damage(all)
	}
	m, err := bundle.ParseManifest(all[bundle.ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	blob := all[bundle.BlobName]
	b, err := bundle.Streamed(m, bundle.Blob{ReaderAt: bytes.NewReader(blob), Size: int64(len(blob))})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll reads each tensor in pieces of n bytes, from the first tensor to the last and by turns with
// the one after it, as a loader does that lays two out together.
func readAll(b *bundle.Bundle, n int64) error {
	ts := b.Manifest.Tensors
	for i := 0; i < len(ts); i += 2 {
		pair := []int{i, min(i+1, len(ts)-1)}
		for off := int64(0); off < max(ts[pair[0]].Length, ts[pair[1]].Length); off += n {
			for _, j := range pair {
				if size := min(n, ts[j].Length-off); size > 0 {
					if err := b.ReadAt(j, make([]byte, size), off); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func TestStreamed(t *testing.T) {
	for _, n := range []int64{1 << 20, 100, 7} {
		b := streamed(t, nil)
		if err := b.AllChecked(); err == nil {
			t.Error("nothing was read, and all is said to be checked")
		}
		if err := readAll(b, n); err != nil {
			t.Fatal(err)
		}
		if err := b.AllChecked(); err != nil {
			t.Error(err)
		}
		if err := readAll(b, n); err != nil {
			t.Errorf("reading once more: %v", err)
		}
	}
}

// TestStreamedDamage turns over a bit of each tensor: the read that completes the tensor names it.
func TestStreamedDamage(t *testing.T) {
	for i := range streamed(t, nil).Manifest.Tensors {
		b := streamed(t, func(files map[string][]byte) {
			m, err := bundle.ParseManifest(files[bundle.ManifestName])
			if err != nil {
				t.Fatal(err)
			}
			files[bundle.BlobName][m.Tensors[i].Offset+m.Tensors[i].Length-1] ^= 1
		})
		err := readAll(b, 64)
		name := b.Manifest.Tensors[i].Name
		if !errors.Is(err, bundle.ErrCorrupt) || !strings.Contains(err.Error(), `"`+name+`"`) || !strings.Contains(err.Error(), "sha256") {
			t.Errorf("tensor %q is damaged: %v", name, err)
		}
	}
}

// TestHashing reads a bundle on disk, a tensor in each goroutine: the bytes are the file's, and a damaged
// tensor is named.
func TestHashing(t *testing.T) {
	all := files(t, formatInt4)
	dir := store(t, all)
	read := func(i int, b *bundle.Bundle) error {
		tensor := &b.Manifest.Tensors[i]
		p := make([]byte, tensor.Length)
		for off := int64(0); off < tensor.Length; off += 1000 {
			if err := b.ReadAt(i, p[off:min(off+1000, tensor.Length)], off); err != nil {
				return err
			}
		}
		if !bytes.Equal(p, all[bundle.BlobName][tensor.Offset:][:tensor.Length]) {
			return fmt.Errorf("tensor %q: not the bytes of the file", tensor.Name)
		}
		return nil
	}
	readAll := func(b *bundle.Bundle) error {
		errs := make([]error, len(b.Manifest.Tensors))
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() { errs[i] = read(i, b) })
		}
		group.Wait()
		return errors.Join(errs...)
	}
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.AllChecked(); err == nil {
		t.Error("a bundle that hashes nothing says that all is checked")
	}
	h := b.Hashing()
	if err := errors.Join(readAll(h), h.AllChecked()); err != nil {
		t.Error(err)
	}
	const damaged = 3
	tensor := b.Manifest.Tensors[damaged]
	all[bundle.BlobName][tensor.Offset+tensor.Length/2] ^= 4
	if err := os.WriteFile(filepath.Join(dir, bundle.BlobName), all[bundle.BlobName], 0o666); err != nil {
		t.Fatal(err)
	}
	h = b.Hashing()
	if err := readAll(h); !errors.Is(err, bundle.ErrCorrupt) || !strings.Contains(err.Error(), tensor.Name) {
		t.Errorf("tensor %q is damaged: %v", tensor.Name, err)
	}
	if err := h.AllChecked(); err == nil {
		t.Error("a damaged tensor, and all is said to be checked")
	}
}

func TestStreamedLeftOut(t *testing.T) {
	b := streamed(t, nil)
	last := len(b.Manifest.Tensors) - 1
	for i := range last {
		if err := b.ReadAt(i, make([]byte, b.Manifest.Tensors[i].Length), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.ReadAt(last, make([]byte, 2), 4); err != nil { // not its beginning
		t.Fatal(err)
	}
	if err := b.AllChecked(); err == nil || !strings.Contains(err.Error(), b.Manifest.Tensors[last].Name) {
		t.Errorf("the last tensor was not read as a whole: %v", err)
	}
}

func TestCheckVocab(t *testing.T) {
	all := files(t, formatInt4)
	m, err := bundle.ParseManifest(all[bundle.ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CheckVocab(all[bundle.VocabName]); err != nil {
		t.Error(err)
	}
	if err := m.CheckVocab([]byte("{}")); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("another vocabulary: %v", err)
	}
}
