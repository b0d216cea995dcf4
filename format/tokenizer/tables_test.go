package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// hashRunes hashes ranges, as pairs of the first and the last, as dump_unicode.py does.
func hashRunes(pairs []rune) string {
	h := sha256.New()
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(h, "%d-%d,", pairs[i], pairs[i+1])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func rangesOf(is func(rune) bool) (out []rune) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xD800 && r <= 0xDFFF || !is(r) {
			continue
		}
		if n := len(out); n > 0 && out[n-1] == r-1 {
			out[n-1] = r
		} else {
			out = append(out, r, r)
		}
	}
	return out
}

// TestTables compares properties of characters with those in the tokenizers library.
func TestTables(t *testing.T) {
	if unicode.Version != tablesFor {
		t.Skipf("Go's tables are of Unicode %s, the differences from %s", unicode.Version, tablesFor)
	}
	var want map[string]string
	readJSON(t, "testdata/classes.json", &want)
	not := func(is func(rune) bool) func(rune) bool { return func(r rune) bool { return !is(r) } }
	got := map[string]string{
		"word": hashRunes(rangesOf(isWord)), "numeric": hashRunes(rangesOf(isNumeric)),
		"not mark": hashRunes(rangesOf(not(isCombining))), "not punctuation": hashRunes(rangesOf(not(isPunctuation))),
		"not space": hashRunes(rangesOf(not(unicode.IsSpace))), `\s`: hashRunes(rangesOf(unicode.IsSpace)),
		`\w`: hashRunes(regexWord()), `[\w]`: hashRunes(classWord()), `\d`: hashRunes(propertyRanges("Nd")),
	}
	for _, name := range []string{"Alpha", "Lower", "Upper", "Alnum", "Graph", "Print", "Blank", "Cntrl", "XDigit", "Assigned", "C", "Cn", "LC", "Word", "Any", "ASCII"} {
		pairs, _ := derivedSet(strings.ToLower(name))
		got[name] = hashRunes(withoutSurrogates(pairs))
	}
	for _, name := range []string{"[:punct:]", "[:word:]"} {
		pairs, _, _ := (&regexParser{in: []rune(name)}).posix()
		got[name] = hashRunes(pairs)
	}
	got["joins"], got["prepends"] = hashRunes(rangesOf(joinsBefore)), hashRunes(rangesOf(prependsCluster))
	got["extends"], got["open"] = hashRunes(rangesOf(extendsCluster)), hashRunes(rangesOf(isOpen))
	got["pictures"] = hashRunes(rangesOf(func(r rune) bool { return unicode.Is(pictures, r) || joinsBefore(r) }))
	for _, p := range properties {
		name := p.name
		got[name] = hashRunes(propertyRanges(name))
	}
	delete(want, "ordered") // which differs deliberately, see normalForm
	if len(want) < 190 || len(want) != len(got) {
		t.Errorf("%d sets, want %d", len(got), len(want))
	}
	for name, hash := range want {
		if got[name] != hash {
			t.Errorf("%s has other characters", name)
		}
	}
}

func withoutSurrogates(pairs []rune) []rune {
	return intersect(pairs, []rune{0, 0xD7FF, 0xE000, unicode.MaxRune})
}

func propertyRanges(name string) []rune {
	return propertyOf(name).ranges(tableOf(name))
}
