package tokenizer

import "syscall/js"

// normalFormOf returns s, of characters that the library knows, in a normal form. JavaScript has the tables,
// which would be 30 kB of the download, and puts no joiners between marks.
func normalFormOf(s string, f form) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			name := [...]string{formC: "NFC", formD: "NFD", formKC: "NFKC", formKD: "NFKD"}[f]
			return js.Global().Get("Object").Invoke(s).Call("normalize", name).String()
		}
	}
	return s
}
