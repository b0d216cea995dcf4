//go:build windows && (amd64 || arm64)

package dawn

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// open loads a library by its path. A bare name is looked for along PATH alone: the system itself would also look in the
// current directory, where a stranger's file may lie.
func open(path string) (uintptr, error) {
	if !filepath.IsAbs(path) {
		var ok bool
		if path, ok = along(os.Getenv("PATH"), path); !ok {
			return 0, fs.ErrNotExist
		}
	}
	h, err := syscall.LoadLibrary(path)
	return uintptr(h), err
}

// along returns where a file lies in a list of directories, of which relative ones are left out.
func along(list, name string) (path string, ok bool) {
	for _, dir := range filepath.SplitList(list) {
		path = filepath.Join(dir, name)
		if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}

func lookup(handle uintptr, name string) (uintptr, error) {
	return syscall.GetProcAddress(syscall.Handle(handle), name)
}
