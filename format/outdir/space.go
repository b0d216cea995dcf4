//go:build !js

package outdir

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dustin/go-humanize"
)

// ErrSpace says that the disk has too little room.
var ErrSpace = errors.New("not enough room on the disk")

// CheckSpace reports a disk with fewer than need free bytes for the directory target, which need
// not exist. If the system does not tell, it reports nothing.
func CheckSpace(target string, need int64) error {
	if have, ok := Available(target); ok && need > 0 && uint64(need) > have {
		return fmt.Errorf("%s: %w: %s are needed, %s are available: free some, or choose another output directory",
			target, ErrSpace, humanize.Bytes(uint64(need)), humanize.Bytes(have))
	}
	return nil
}

// Available reports how many bytes may still be written to the disk of target, if the system says.
func Available(target string) (uint64, bool) {
	dir, err := filepath.Abs(target)
	if err != nil {
		return 0, false
	}
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	return free(dir)
}
