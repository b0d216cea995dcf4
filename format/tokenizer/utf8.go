package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// validUTF8 replaces each maximal part of an incomplete character by U+FFFD, as
// Unicode recommends and Rust and Python do. Go's own loops replace byte by byte instead.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	appendValid(&b, []byte(s), true)
	return b.String()
}

// appendValid writes b as valid UTF-8 and returns how many bytes it used. Unless last, an
// unfinished character at the end of b stays unused.
func appendValid(out *strings.Builder, b []byte, last bool) int {
	used := 0
	for used < len(b) {
		r, n := utf8.DecodeRune(b[used:])
		if r != utf8.RuneError || n > 1 {
			out.Write(b[used : used+n])
			used += n
			continue
		}
		n, open := badPart(b[used:])
		if open && !last {
			return used
		}
		out.WriteRune(utf8.RuneError)
		used += n
	}
	return used
}

// badPart returns the length of the maximal part of a character at the start of b, which does
// not start with a whole one, and whether more bytes could complete it.
func badPart(b []byte) (n int, open bool) {
	n = 1
	for n < len(b) && n < utf8.UTFMax && beginsRune(b[:n+1]) {
		n++
	}
	return n, n == len(b) && beginsRune(b)
}

// beginsRune reports whether b is the beginning of a longer character.
func beginsRune(b []byte) bool { return !utf8.FullRune(b) }
