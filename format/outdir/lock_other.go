//go:build !windows && !js && (!unix || solaris || aix)

package outdir

import "os"

// lock opens a file; these systems have no lock that ends with the process.
func lock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
}
