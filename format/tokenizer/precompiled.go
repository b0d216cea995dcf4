package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// charsmap is the table of SentencePiece: strings and their replacements.
type charsmap struct {
	trie []uint32 // of the strings, a double array as Darts-clone builds it
	text string   // their replacements, each ended by a zero
}

// maxMapped is the length in bytes of the longest cluster that is looked up as a whole.
const maxMapped = 5

// parsePrecompiled reads the normalizer of a SentencePiece model. An empty table changes nothing.
func parsePrecompiled(raw strict.Value) (normalizer, error) {
	c, err := read[struct {
		Type string  `json:"type"`
		Map  *string `json:"precompiled_charsmap"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if c.Map == nil || *c.Map == "" {
		return func(*piece) {}, nil
	}
	data, err := base64.StdEncoding.DecodeString(*c.Map)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap: %w", err)
	}
	m, err := newCharsmap(data)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap: %w", err)
	}
	return mapText(m.normalize), nil
}

// newCharsmap reads the size of the trie in bytes, the trie and the text.
func newCharsmap(data []byte) (*charsmap, error) {
	if len(data) < 4 {
		return nil, fmt.Errorf("%d bytes: want at least 4", len(data))
	}
	size := int64(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if size == 0 || size%4 != 0 || size > int64(len(data)) {
		return nil, fmt.Errorf("a trie of %d bytes in %d", size, len(data))
	}
	m := &charsmap{trie: make([]uint32, size/4), text: string(data[size:])}
	for i := range m.trie {
		m.trie[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	if !utf8.ValidString(m.text) {
		return nil, errors.New("its text is not UTF-8")
	}
	return m, nil
}

// find returns the replacement of the shortest string that s starts with.
func (m *charsmap) find(s string) (string, bool) {
	at := offsetOf(m.trie[0])
	for i := 0; i < len(s) && s[i] != 0; i++ {
		at ^= uint32(s[i])
		if int64(at) >= int64(len(m.trie)) {
			return "", false
		}
		unit := m.trie[at]
		if unit&(1<<31|0xFF) != uint32(s[i]) {
			return "", false
		}
		at ^= offsetOf(unit)
		if unit>>8&1 == 0 {
			continue
		}
		if int64(at) >= int64(len(m.trie)) || int64(m.trie[at]&(1<<31-1)) > int64(len(m.text)) {
			return "", false
		}
		with, _, _ := strings.Cut(m.text[m.trie[at]&(1<<31-1):], "\x00")
		return with, true
	}
	return "", false
}

// offsetOf returns the offset from a unit of the trie to its children.
func offsetOf(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// normalize looks up each short cluster of s, and each character of the others. As in the tokenizers library, a
// cluster that starts with a string of the table is replaced as a whole.
func (m *charsmap) normalize(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := cluster(s)
		if with, ok := m.find(s[:n]); ok && n <= maxMapped {
			b.WriteString(with)
		} else {
			for _, r := range s[:n] {
				b.WriteString(m.of(string(r)))
			}
		}
		s = s[n:]
	}
	return b.String()
}

// of returns the replacement of s, or s.
func (m *charsmap) of(s string) string {
	if with, ok := m.find(s); ok {
		return with
	}
	return s
}

// cluster returns the length of the grapheme cluster that s starts with. If that is longer than maxMapped, it may
// be the length of a part: flags, conjuncts, sequences of emoji and syllables of Hangul are not joined.
func cluster(s string) int {
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	r, n := utf8.DecodeRuneInString(s)
	if isControl(r) {
		return n
	}
	for prepends(r) && n < len(s) {
		next, size := utf8.DecodeRuneInString(s[n:])
		if isControl(next) {
			return n
		}
		r, n = next, n+size
	}
	for last := r; n < len(s); {
		next, size := utf8.DecodeRuneInString(s[n:])
		// Of the symbols that a joiner joins, only these signs are short.
		joined := last == zeroWidthJoiner && (r == '©' || r == '®') && unicode.Is(unicode.So, next)
		if !extends(next) && !joined {
			break
		}
		last, n = next, n+size
	}
	return n
}

var (
	nonspacing = propertyOf("Mn").predicate(func(r rune) bool { return unicode.Is(unicode.Mn, r) })
	spacing    = propertyOf("Mc").predicate(func(r rune) bool { return unicode.Is(unicode.Mc, r) })
)

// extends reports whether a character belongs to the cluster of the one before it.
func extends(r rune) bool {
	switch {
	case r < 0x300:
		return false
	case r == zeroWidthJoiner, r == 0xE33, r == 0xEB3, 0x1F3FB <= r && r <= 0x1F3FF: // vowels of Thai and Lao, tones of skin
		return true
	case spacing(r):
		return !unicode.Is(aloof, r)
	}
	return nonspacing(r) || unicode.In(r, unicode.Me, unicode.Other_Grapheme_Extend, recent)
}

// recent are nonspacing marks of Unicode 17.
var recent = rangeTable([]rune{0x1ACF, 0x1ADD, 0x1AE0, 0x1AEB})

const zeroWidthJoiner = 0x200D

// aloof are spacing marks that begin a new cluster.
var aloof = rangeTable([]rune{
	0x102B, 0x102C, 0x1038, 0x1038, 0x1062, 0x1064, 0x1067, 0x106D, 0x1083, 0x1083, 0x1087, 0x108C, 0x108F, 0x108F,
	0x109A, 0x109C, 0x1A61, 0x1A61, 0x1A63, 0x1A64, 0xAA7B, 0xAA7B, 0xAA7D, 0xAA7D, 0x11720, 0x11721,
})

// isControl reports whether a character is a cluster of its own, whatever follows.
func isControl(r rune) bool {
	if r < 0x300 {
		return r < ' ' || 0x7F <= r && r <= 0x9F || r == 0xAD
	}
	switch {
	case 0xFFF0 <= r && r <= 0xFFF8, 0xE0000 <= r && r <= 0xE0FFF && !extends(r):
		return true // some are unassigned
	case r == zeroWidthJoiner, prepends(r):
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && !extends(r) || r == 0x2065
}

// repha are letters that belong to the cluster of the next character, as the marks of numbers do.
var repha = rangeTable([]rune{
	0xD4E, 0xD4E, 0x111C2, 0x111C3, 0x113D1, 0x113D1, 0x1193F, 0x1193F, 0x11941, 0x11941, 0x11A3A, 0x11A3A,
	0x11A84, 0x11A89, 0x11D46, 0x11D46, 0x11F02, 0x11F02,
})

func prepends(r rune) bool {
	return r >= 0x600 && unicode.In(r, unicode.Prepended_Concatenation_Mark, repha)
}
