//go:build !js

package outdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Sentinels for callers that branch.
var (
	ErrUnfinished = errors.New("an earlier run was interrupted")
	ErrBusy       = errors.New("another process is writing it")
)

// Stale says what to do with the work of an earlier run that was interrupted.
type Stale int

// What to do with it.
const (
	Refuse  Stale = iota // return ErrUnfinished
	Resume               // continue it, if there is any
	Discard              // remove it
)

// Options say how to open a directory.
type Options struct {
	Force bool                   // replace an existing target, if Owns is true for everything in it
	Owns  func(name string) bool // whether a file of this name may be replaced
	Stale Stale
}

// Dir is a directory being made. Beside the target it is, until Commit,
//
//	.target.partial/lock      held by the process that writes
//	.target.partial/content/  what the target will be
//	.target.partial/old/      what the target was, while Commit exchanges them
//
// and whatever else the caller keeps in .target.partial.
type Dir struct {
	target, work string
	opts         Options
	lock         *os.File
	resumed      bool
}

// Open starts a directory that will be target.
func Open(target string, o Options) (*Dir, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return nil, err
	}
	d := &Dir{target: target, work: workOf(target), opts: o}
	if err := d.checkTarget(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.work, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if d.lock, err = lock(d.Beside("lock")); err != nil {
		return nil, fmt.Errorf("%s: %w", d.work, err)
	}
	if err := d.stale(); err != nil {
		return nil, errors.Join(err, d.unlock())
	}
	if err := errors.Join(os.MkdirAll(d.Path(""), 0o777), SyncDir(d.work)); err != nil {
		return nil, errors.Join(err, d.Abort())
	}
	return d, nil
}

func workOf(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".partial")
}

// stale sees to what an earlier run left.
func (d *Dir) stale() error {
	switch content, err := os.ReadDir(d.Path("")); {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case len(content) == 0: // a run that had just begun, or one that ended right after Commit
		return d.empty()
	case d.opts.Stale == Resume:
		d.resumed = true
		return nil
	case d.opts.Stale == Discard:
		return d.empty()
	}
	return d.unfinished()
}

// empty removes everything but the lock. A target that was put aside comes back.
func (d *Dir) empty() error {
	if old := d.Beside("old"); exists(old) && !exists(d.target) {
		if err := os.Rename(old, d.target); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(d.work)
	for _, e := range entries {
		if e.Name() != "lock" {
			err = errors.Join(err, os.RemoveAll(d.Beside(e.Name())))
		}
	}
	return err
}

// checkTarget reports why the target cannot be written.
func (d *Dir) checkTarget() error {
	info, err := os.Lstat(d.target)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: exists and is no directory", d.target)
	}
	if !d.opts.Force {
		return fmt.Errorf("%s: %w: it is replaced only if forced", d.target, os.ErrExist)
	}
	entries, err := os.ReadDir(d.target)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !d.opts.Owns(e.Name()) {
			return fmt.Errorf("%s: holds %s, which would be lost: not replaced", d.target, e.Name())
		}
	}
	return nil
}

// Resumed reports whether there is work of an earlier run to continue.
func (d *Dir) Resumed() bool { return d.resumed }

// Path returns where a file of the target is to be written; of "", the directory itself.
func (d *Dir) Path(name string) string { return filepath.Join(d.work, "content", name) }

// Beside returns the path of a file that is not to be part of the target.
func (d *Dir) Beside(name string) string { return filepath.Join(d.work, name) }

// Work returns the directory that holds everything until Commit.
func (d *Dir) Work() string { return d.work }

// Commit makes the target appear. The caller has synced the files; after an error the target is
// what it was before.
func (d *Dir) Commit() error {
	if err := errors.Join(SyncDir(d.Path("")), d.checkTarget()); err != nil {
		return err
	}
	old := d.Beside("old")
	if exists(d.target) {
		if err := errors.Join(os.RemoveAll(old), os.Rename(d.target, old)); err != nil {
			return err
		}
	}
	if err := os.Rename(d.Path(""), d.target); err != nil {
		if exists(old) {
			err = errors.Join(err, os.Rename(old, d.target))
		}
		return err
	}
	return errors.Join(SyncDir(filepath.Dir(d.target)), d.remove())
}

// Abort removes everything. After Commit or Keep it does nothing.
func (d *Dir) Abort() error {
	if d.lock == nil {
		return nil
	}
	return errors.Join(d.empty(), d.remove())
}

// Keep leaves everything for a later run to resume.
func (d *Dir) Keep() error { return d.unlock() }

// remove takes the work directory away. The lock goes last, for it cannot be removed everywhere
// while it is open.
func (d *Dir) remove() error {
	if d.lock == nil {
		return nil
	}
	return errors.Join(d.unlock(), os.RemoveAll(d.work))
}

func (d *Dir) unlock() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// WriteFile writes a file and waits until it is on the disk.
func WriteFile(path string, data []byte) (err error) {
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
