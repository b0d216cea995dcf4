package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

// files are the files of a checkpoint.
type files struct {
	paths   []string
	list    []bundle.SourceFile
	changed []time.Time // when each was last written
}

// statFiles notes what the files are like before the conversion.
func statFiles(paths []string) (*files, error) {
	f := &files{paths: paths}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		f.list = append(f.list, bundle.SourceFile{Name: filepath.Base(path), Size: info.Size()})
		f.changed = append(f.changed, info.ModTime())
	}
	return f, nil
}

// hash computes the SHA-256 of each file.
func (f *files) hash(ctx context.Context) error {
	buf := make([]byte, 1<<20)
	for i, path := range f.paths {
		sum, err := hashFile(ctx, path, buf)
		if err != nil {
			return err
		}
		f.list[i].SHA256 = sum
	}
	return nil
}

func hashFile(ctx context.Context, path string, buf []byte) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return "", err
		}
	}
}

// unchanged reports a file that was written while it was converted.
func (f *files) unchanged() error {
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() != f.list[i].Size || !info.ModTime().Equal(f.changed[i]) {
			return fmt.Errorf("%s: was written while it was converted: start again", path)
		}
	}
	return nil
}

// apart reports an output that lies in, over or around the checkpoint.
func apart(src Source, out string) error {
	target, err := resolve(out)
	if err != nil {
		return err
	}
	for _, path := range append([]string{src.Tokenizer}, src.Files...) {
		if path == "" {
			continue
		}
		dir, err := resolve(filepath.Dir(path))
		if err != nil {
			return err
		}
		if within(target, dir) || within(dir, target) {
			return fmt.Errorf("%s: the output and the checkpoint %s must not contain each other", out, filepath.Dir(path))
		}
	}
	return nil
}

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolve returns the absolute path without symbolic links, of which the last parts need not
// exist.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) || filepath.Dir(path) == path {
		return real, err
	}
	dir, err := resolve(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}
