//go:build linux || darwin || freebsd

package outdir

import "golang.org/x/sys/unix"

// writable reports why no file can be made in a directory. It makes none: it would stay if the program was killed.
func writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
