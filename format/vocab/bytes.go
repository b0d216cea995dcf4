package vocab

import "strings"

// byteRunes are the characters that stand for bytes in a byte-level vocabulary: of those that can be seen, they are
// the same; others follow on U+0100.
var byteRunes = func() (table [256]rune) {
	next := rune(256)
	for b := range table {
		switch {
		case b >= '!' && b <= '~', b >= 0xA1 && b <= 0xAC, b >= 0xAE:
			table[b] = rune(b)
		default:
			table[b] = next
			next++
		}
	}
	return table
}()

// spell returns bytes as a byte-level vocabulary has them.
func spell(data string) string {
	var b strings.Builder
	for i := range len(data) {
		b.WriteRune(byteRunes[data[i]])
	}
	return b.String()
}
