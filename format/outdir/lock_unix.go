//go:build unix && !solaris && !aix

package outdir

import (
	"errors"
	"os"
	"syscall"
)

// lock opens a file that this process alone holds until it closes it or ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrBusy
		} else if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOSYS) {
			return f, nil // some network file systems have no locks
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
