//go:build unix

package bundle

import (
	"errors"
	"os"
)

// syncDir waits until the disk knows the names in dir.
func syncDir(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}
