//go:build ((linux || darwin) && amd64) || ((linux || darwin || windows) && arm64)

package dawn

// onEvent is what the library calls. Its arguments are (a, b, a text by value, token, unused): a text takes two registers.
func onEvent(a, b, data, length, token, _ uintptr) uintptr {
	deliver(a, b, text(data, uint64(length)), token)
	return 0
}

// words are the arguments of a call that a text by value becomes.
func (s *stringView) words() []uintptr { return []uintptr{address(s.data), uintptr(s.length)} }
