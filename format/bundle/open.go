//go:build !js

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// maxManifest is the size of the largest manifest that is read.
const maxManifest = 64 << 20

// Open opens the bundle in dir and checks that it is consistent; it reads no tensor. Close it
// after use.
func Open(dir string) (*Bundle, error) {
	manifest, err := readManifest(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, ManifestName), err)
	}
	maps, err := mapFiles(dir, m.Files)
	if err != nil {
		return nil, err
	}
	var blobs []Blob
	for _, data := range maps {
		blobs = append(blobs, Blob{data, int64(len(data))})
	}
	var b *Bundle
	err = guarded(func() (err error) {
		b, err = assemble(m, blobs)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), unmap(maps))
	}
	b.close = func() error { return unmap(maps) }
	if size := b.Manifest.Tokenizer.Size; size > 0 {
		vocab := filepath.Join(dir, VocabName)
		if err := checkVocab(vocab, size); err != nil {
			return nil, errors.Join(err, unmap(maps))
		}
		b.vocab = func() ([]byte, error) { return os.ReadFile(vocab) }
	}
	return b, nil
}

func readManifest(path string) ([]byte, error) {
	info, err := statFile(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxManifest {
		return nil, fmt.Errorf("%s: %w", path, corrupt("%d bytes: want at most %d", info.Size(), maxManifest))
	}
	return os.ReadFile(path)
}

// statFile describes a file that can be read: opening a pipe would wait for who writes to it.
func statFile(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, corrupt("not a regular file"))
	}
	return info, err
}

// mapFiles maps the files of a bundle.
func mapFiles(dir string, files []File) ([]mapping, error) {
	var maps []mapping
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		blob, err := mapFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = missing(path, f.Size)
		}
		if err != nil {
			return nil, errors.Join(err, unmap(maps))
		}
		maps = append(maps, blob)
	}
	return maps, nil
}

func unmap(maps []mapping) error {
	var err error
	for _, m := range maps {
		err = errors.Join(err, mapped.File(m).Close())
	}
	return err
}

// mapping is a file in memory.
type mapping mapped.File

// mapFile maps a file. An empty one cannot be mapped and is damaged anyway.
func mapFile(path string) (mapping, error) {
	info, err := statFile(path)
	if err != nil {
		return nil, err
	}
	if info.Size() < headerSize {
		return nil, fmt.Errorf("%s: %w", path, corrupt("%d bytes: the header alone has %d", info.Size(), headerSize))
	}
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return mapping(m), nil
}

// Slice returns length bytes from offset on.
func (m mapping) Slice(offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || offset > int64(len(m))-length {
		return nil, corrupt("bytes %d to %d: the file ends at %d", offset, offset+length, len(m))
	}
	return m[offset : offset+length : offset+length], nil
}

// ReadAt reads from the file.
func (m mapping) ReadAt(p []byte, off int64) (int, error) {
	s, err := m.Slice(off, int64(len(p)))
	return copy(p, s), err
}

func missing(path string, size int64) error {
	return fmt.Errorf("%s: %w", path, corrupt("missing: the manifest has it with %d bytes", size))
}

// checkVocab reports a vocab.json of the wrong size.
func checkVocab(path string, want int64) error {
	info, err := statFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(path, want)
	}
	if err != nil {
		return err
	}
	if info.Size() != want {
		return fmt.Errorf("%s: %w", path, corrupt("the file has %d bytes: the manifest says %d", info.Size(), want))
	}
	return nil
}

// SetParity records in the manifest of the bundle in dir what verification measured, and adds layers to KVFloat32.
func SetParity(dir string, p *Parity, kvFloat32 []int) error {
	path := filepath.Join(dir, ManifestName)
	data, err := readManifest(path)
	if err != nil {
		return err
	}
	m, err := ParseManifest(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	m.Parity = p
	m.KVFloat32 = slices.Compact(slices.Sorted(slices.Values(slices.Concat(m.KVFloat32, kvFloat32))))
	if data, err = m.Marshal(); err != nil {
		return err
	}
	if _, err := ParseManifest(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := outdir.WriteFile(path+".tmp", data); err != nil {
		return errors.Join(err, os.Remove(path+".tmp"))
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return outdir.SyncDir(dir)
}
