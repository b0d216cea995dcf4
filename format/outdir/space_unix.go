//go:build linux || darwin || freebsd

package outdir

import "golang.org/x/sys/unix"

// free reports how many bytes this user may still write to the disk that dir is on.
func free(dir string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
