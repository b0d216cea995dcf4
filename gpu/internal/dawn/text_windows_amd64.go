package dawn

// onEvent is what the library calls. Its arguments are (a, b, a text by value, token, unused): a text of 16 bytes is passed
// by its address.
func onEvent(a, b, message, token, _ uintptr) uintptr {
	f := (*foreign)(at(message))
	deliver(a, b, f.String(), token)
	return 0
}

// words are the arguments of a call that a text by value becomes.
func (s *stringView) words() []uintptr { return []uintptr{address(s)} }
