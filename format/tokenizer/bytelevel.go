package tokenizer

import (
	"strings"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// byteChars represents each byte by a printable character, as GPT-2's vocabulary does: printable bytes
// by themselves, the others by U+0100 and following, in order.
var byteChars = func() (chars [256]rune) {
	next := rune(0x100)
	for b := range chars {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			chars[b] = rune(b)
			continue
		}
		chars[b] = next
		next++
	}
	return chars
}()

// charBytes is the inverse of byteChars, -1 for characters that represent no byte.
var charBytes = func() (bytes [0x144]int16) {
	for i := range bytes {
		bytes[i] = -1
	}
	for b, c := range byteChars {
		bytes[c] = int16(b)
	}
	return bytes
}()

// gpt2 is the expression by which ByteLevel splits unless use_regex is false.
var gpt2 = sync.OnceValue(func() pattern {
	find, err := compileRegex(`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`)
	if err != nil {
		panic(err)
	}
	return find
})

type byteLevelJSON struct {
	Type           string `json:"type"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	TrimOffsets    *bool  `json:"trim_offsets"` // about offsets, which we do not report
	UseRegex       *bool  `json:"use_regex"`    // true if missing
}

func readByteLevel(raw strict.Value) (byteLevelJSON, error) {
	c, err := read[byteLevelJSON](raw)
	if err != nil {
		return c, err
	}
	return c, need(map[string]bool{"add_prefix_space": c.AddPrefixSpace != nil, "trim_offsets": c.TrimOffsets != nil})
}

func (c byteLevelJSON) preTokenizer() preTokenizer {
	return func(p piece, out []piece) []piece {
		if *c.AddPrefixSpace && !strings.HasPrefix(p.text, " ") {
			p.text = " " + p.text
		}
		if c.UseRegex != nil && !*c.UseRegex {
			p.text = spellBytes(p.text)
			return append(out, p)
		}
		n := len(out)
		out = isolated.apply(p, partsOf(len(p.text), gpt2()(p.text), false), out)
		for i := range out[n:] {
			out[n+i].text = spellBytes(out[n+i].text)
		}
		return out
	}
}

// spellBytes replaces each byte of s by its character.
func spellBytes(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := range len(s) {
		b.WriteRune(byteChars[s[i]])
	}
	return b.String()
}

// bytesOf returns the bytes that a token represents. A token with any other character represents
// its own bytes.
func bytesOf(token string) []byte {
	out := make([]byte, 0, len(token))
	for _, r := range token {
		if int(r) >= len(charBytes) || charBytes[r] < 0 {
			return []byte(token)
		}
		out = append(out, byte(charBytes[r]))
	}
	return out
}
