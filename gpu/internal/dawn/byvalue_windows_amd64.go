package dawn

// The arguments of a callback (a, b, text by value, token, unused): a text of 16 bytes is passed by its address.
func onEvent(a, b, message, token, _ uintptr) uintptr {
	f := (*foreign)(at(message))
	deliver(a, b, f.String(), token)
	return 0
}
