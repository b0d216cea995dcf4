//go:build !js

package outdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
)

// ErrSpace says that the disk has too little room.
var ErrSpace = errors.New("not enough room on the disk")

// CheckSpace reports a disk that has less than need bytes for the directory target, which need not
// exist. Where a system does not say, nothing is reported.
func CheckSpace(target string, need int64) error {
	dir, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	if have, ok := free(dir); ok && need > 0 && uint64(need) > have {
		return fmt.Errorf("%s: %w: %s are needed, %s are available: free some, or choose another output directory",
			target, ErrSpace, humanize.Bytes(uint64(need)), humanize.Bytes(have))
	}
	return nil
}

// Unfinished returns the directory that an interrupted run left for target, "" if there is none.
func Unfinished(target string) string {
	target, err := filepath.Abs(target)
	if err != nil {
		return ""
	}
	if _, err := os.Lstat(filepath.Join(workOf(target), "content")); err != nil {
		return ""
	}
	return workOf(target)
}
