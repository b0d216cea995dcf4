package outdir

import "golang.org/x/sys/windows"

// free reports how many bytes this user may still write to the disk that dir is on.
func free(dir string) (uint64, bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var n uint64
	err = windows.GetDiskFreeSpaceEx(path, &n, nil, nil)
	return n, err == nil
}
