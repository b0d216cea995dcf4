//go:build !js

package llm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// Save writes the tokens of the session and what the engine has computed of them to a file, which Restore reads. The file
// appears when it is complete, in place of one that is there. What a save that was killed leaves beside it, .NAME.*.partial, is
// never read, and a later save removes it. Other sessions go on meanwhile.
func (s *Session) Save(ctx context.Context, path string) (h Saved, err error) {
	if err := s.take(); err != nil {
		return h, err
	}
	defer s.leave()
	if err := checkRegular(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return h, err
	}
	if err := removeLeft(path); err != nil {
		return h, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.partial") // which nobody else may read
	if err != nil {
		return h, err
	}
	h, err = s.write(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return h, outdir.SyncDir(filepath.Dir(path))
}

// checkRegular refuses directories, links and devices.
func checkRegular(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: it is no regular file", path, ErrSaved)
	}
	return err
}

// abandoned is how long nothing is written to a file that a save has left.
const abandoned = time.Hour

// removeLeft removes what killed saves have left of a file. Other processes may be writing the same one now.
func removeLeft(path string) error {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "."+filepath.Base(path)+".") || !strings.HasSuffix(e.Name(), ".partial") {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > abandoned {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Restore replaces the session by the one that was saved in a file; what it held before is forgotten. The error says
// what differs if another model has saved it, or another kind of engine, and what is damaged; both are ErrSaved. After
// an error the session is empty, or as it was.
func (s *Session) Restore(ctx context.Context, path string) (h Saved, err error) {
	if err := s.take(); err != nil {
		return h, err
	}
	defer s.leave()
	if err := checkRegular(path); err != nil {
		return h, err
	}
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		h, err = s.read(ctx, f, info.Size())
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return h, err
}
