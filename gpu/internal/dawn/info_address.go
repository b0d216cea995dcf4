//go:build (windows && amd64) || ((linux || darwin || windows) && arm64)

package dawn

import (
	"runtime"
	"unsafe"
)

// withInfo calls a function whose last argument is a callbackInfo by value. On Windows and on arm64 a struct of
// 40 bytes is passed by its address.
func (l *Library) withInfo(p proc, args []uintptr, c *callbackInfo) uintptr {
	var pin runtime.Pinner
	pin.Pin(c)
	defer pin.Unpin()
	return l.call(p, append(args, uintptr(unsafe.Pointer(c)))...)
}
