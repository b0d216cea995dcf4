//go:build (linux || darwin) && arm64

package dawn

import (
	"runtime"
	"unsafe"
)

// withInfo calls a function whose last argument is a callbackInfo by value. On arm64 a struct of 40 bytes
// is passed by its address.
func (l *Library) withInfo(p proc, args []uintptr, c *callbackInfo) uintptr {
	var pin runtime.Pinner
	pin.Pin(c)
	defer pin.Unpin()
	return l.call(p, append(args, uintptr(unsafe.Pointer(c)))...)
}

// The arguments of a callback (a, b, text by value, token, unused): a text takes two registers.
func onEvent(a, b, data, length, token, _ uintptr) uintptr {
	deliver(a, b, text(data, uint64(length)), token)
	return 0
}
