//go:build !js

package tokenizer

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// TestNormalizeSlowly: the definition of the normal forms and x/text agree where x/text follows
// the definition.
func TestNormalizeSlowly(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("aeoAKΩ가각ᄒ\u1161\u11abÅÅ\u0301\u0316\u0323\u0308\u0344\u0345\u0f71\u0f72\u0f73ﬁ½\u09c7\u09be\u0958\u1e9b\u2126\u30ab\u3099\uff76\uff9e")
	for range 20000 {
		s := make([]rune, rnd.IntN(9))
		for i := range s {
			s[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		for name, form := range map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD} {
			if got, want := normalizeSlowly(string(s), form), form.String(string(s)); got != want {
				t.Fatalf("%s of %+q is %+q, x/text has %+q", name, string(s), got, want)
			}
		}
	}
}
