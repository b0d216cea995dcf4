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
