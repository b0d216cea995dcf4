package dawn

// The arguments of a callback (a, b, text by value, token, unused): a text takes two registers.
func onEvent(a, b, data, length, token, _ uintptr) uintptr {
	deliver(a, b, text(data, uint64(length)), token)
	return 0
}
