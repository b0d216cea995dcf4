//go:build !js

package outdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Check reports why Open would fail, as far as that can be known in advance, so that no long work is wasted.
// It leaves nothing behind.
func Check(target string, o Options) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	d := &Dir{target: target, work: workOf(target), opts: o}
	if err := d.checkTarget(); err != nil {
		return err
	}
	switch content, err := os.ReadDir(d.Path("")); {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case len(content) > 0 && o.Stale == Refuse:
		return d.unfinished()
	}
	dir := filepath.Dir(target)
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	return CheckWritable(dir)
}

func (d *Dir) unfinished() error {
	return fmt.Errorf("%s: %w and left %s", d.target, ErrUnfinished, d.work)
}

// CheckWritable reports why no file can be made in a directory.
func CheckWritable(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: is no directory", dir)
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("%s: nothing can be written there: %w", dir, err)
	}
	return nil
}
