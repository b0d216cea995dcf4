//go:build (linux || darwin) && amd64

package dawn

// withInfo calls a function whose last argument is a callbackInfo by value. On these systems a struct of
// 40 bytes lies on the stack, behind the six arguments in registers.
func (l *Library) withInfo(p proc, args []uintptr, c *callbackInfo) uintptr {
	var words [11]uintptr
	copy(words[:6], args)
	words[6], words[7], words[8], words[9] = c.next, uintptr(c.mode), c.callback, c.token
	return l.call(p, words[:]...)
}

// The arguments of a callback (a, b, text by value, token, unused): a text takes two registers.
func onEvent(a, b, data, length, token, _ uintptr) uintptr {
	deliver(a, b, text(data, uint64(length)), token)
	return 0
}
