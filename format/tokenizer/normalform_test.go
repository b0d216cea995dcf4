package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"testing"
	"unicode"
)

// TestNormalForms hashes the normal forms of all characters that have any, in texts of several. Package web runs it in Node, too,
// where JavaScript makes them.
func TestNormalForms(t *testing.T) {
	var letters []rune
	for r := rune(0); r <= 0x2FA1F; r++ {
		if unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z) && !unicode.Is(unicode.Han, r) && (r < 0x3400 || r > 0xABFF) {
			letters = append(letters, r)
		}
	}
	for name, want := range map[form]string{formC: "7186a87aee5dbfb8", formD: "9406b7bca17fb082", formKC: "bff25e87a2ba4a84", formKD: "f12e731cb1be3a1e"} {
		h, rng := sha256.New(), rand.New(rand.NewPCG(1, 2))
		for i := 0; i < len(letters); i += 32 {
			_, _ = io.WriteString(h, normalForm(string(letters[i:min(i+8, len(letters))]), name))
			few := make([]rune, 6)
			for k := range few {
				few[k] = letters[rng.IntN(len(letters))]
			}
			_, _ = io.WriteString(h, normalForm(string(few), name))
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
			t.Errorf("form %d: %s, want %s", name, got, want)
		}
	}
}
