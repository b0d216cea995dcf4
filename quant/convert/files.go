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
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
)

// files are the files of a checkpoint.
type files struct {
	paths   []string
	list    []bundle.SourceFile
	changed []time.Time       // when each was last written
	noted   map[string]string // by name, SHA-256 that an earlier run computed
}

// statFiles notes what the files are like before the conversion.
func statFiles(paths []string) (*files, error) {
	f := &files{paths: paths}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		f.list = append(f.list, bundle.SourceFile{Name: f.name(path), Size: info.Size()})
		f.changed = append(f.changed, info.ModTime())
	}
	return f, nil
}

// name returns the name of a file: the last element of its path, or as many of them as no other file
// has.
func (f *files) name(path string) string {
	name, dir := filepath.Base(path), filepath.Dir(path)
	for slices.ContainsFunc(f.list, func(s bundle.SourceFile) bool { return s.Name == name }) {
		if filepath.Dir(dir) == dir {
			return fmt.Sprintf("%s (%d)", path, len(f.list)) // the same file for a second time
		}
		name, dir = filepath.Base(dir)+"/"+name, filepath.Dir(dir)
	}
	return name
}

// hash computes the SHA-256 of each file, of several at a time, and notes it.
func (f *files) hash(ctx context.Context, note func(key, value string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range f.paths {
		group.Go(func() error { return f.hashOne(ctx, i, note) })
	}
	return group.Wait()
}

// hashOne hashes a file. The hash must be that of the notes of an earlier run, where there are any.
func (f *files) hashOne(ctx context.Context, i int, note func(key, value string) error) error {
	sum, err := hashFile(ctx, f.paths[i], make([]byte, 1<<20))
	if err != nil {
		return err
	}
	f.list[i].SHA256 = sum
	if was := f.noted[f.list[i].Name]; was != "" && was != sum {
		return fmt.Errorf("%s: has changed since the conversion began: start over with --discard", f.paths[i])
	}
	return note(f.list[i].Name, sum)
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
	for _, path := range src.Files {
		in := filepath.Dir(path)
		if src.Alone {
			in = path
		}
		if err := outdir.Apart(out, in); err != nil {
			return err
		}
	}
	return nil
}
