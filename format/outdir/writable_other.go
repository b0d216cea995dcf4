//go:build !linux && !darwin && !freebsd && !js

package outdir

import (
	"errors"
	"os"
)

// writable reports why no file can be made in a directory, by making one.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".llama-webgpu-*")
	if err != nil {
		return errors.Unwrap(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
