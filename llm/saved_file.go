//go:build !js

package llm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// Save writes the tokens of the session and what the engine has computed of them to a file, which Restore reads. The file
// appears when it is complete, in place of one that is there; what a save that was killed leaves beside it, .NAME.partial, the
// next one removes. Other sessions go on meanwhile.
func (s *Session) Save(ctx context.Context, path string) (h Saved, err error) {
	if err := s.take(); err != nil {
		return h, err
	}
	defer s.leave()
	partial := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".partial")
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return h, err
	}
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return h, err
	}
	h, err = s.write(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, errors.Join(err, os.Remove(partial)))
	}
	return h, outdir.SyncDir(filepath.Dir(path))
}

// Restore makes the session the one that was saved in a file: what it held before is forgotten. The error says what differs
// if another model has saved it, or another kind of engine, and what is damaged; both are ErrSaved. After an error
// the session is empty, or as it was.
func (s *Session) Restore(ctx context.Context, path string) (h Saved, err error) {
	if err := s.take(); err != nil {
		return h, err
	}
	defer s.leave()
	if info, err := os.Lstat(path); err != nil {
		return h, err
	} else if !info.Mode().IsRegular() {
		return h, fmt.Errorf("%s: %w: it is no regular file", path, ErrSaved)
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
