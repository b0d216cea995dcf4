//go:build unix

package outdir

import (
	"errors"
	"os"
)

// SyncDir waits until the names in dir are on the disk.
func SyncDir(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}
