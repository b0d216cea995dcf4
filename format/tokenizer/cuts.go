package tokenizer

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

func parseDelimiter(raw strict.Value) (preTokenizer, error) {
	c, err := read[struct {
		Type      string `json:"type"`
		Delimiter string `json:"delimiter"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(c.Delimiter) != 1 {
		return nil, fmt.Errorf("delimiter %q: want one character", c.Delimiter)
	}
	return splitBy(literal(c.Delimiter), removed, false), nil
}

func parseFixedLength(raw strict.Value) (preTokenizer, error) {
	c, err := read[struct {
		Type   string `json:"type"`
		Length *int   `json:"length"`
	}](raw)
	if err != nil {
		return nil, err
	}
	n := 5 // if it is missing
	if c.Length != nil {
		n = *c.Length
	}
	if n < 1 {
		return nil, fmt.Errorf("length %d: want 1 or more", n)
	}
	return func(p piece, out []piece) []piece {
		from, count := 0, 0
		for at := range p.text {
			if count == n {
				out = append(out, p.part(from, at))
				from, count = at, 0
			}
			count++
		}
		return append(out, p.part(from, len(p.text)))
	}, nil
}

// anyScript is the script of characters that belong to those before them.
const anyScript = ""

// scriptOf names the script of a character. The scripts of Japanese count as one.
func scriptOf(r rune) string {
	switch {
	case r == ' ':
		return anyScript
	case r == 0x30FC:
		return "Han"
	}
	for _, p := range properties {
		if len(p.name) <= 2 || contains(p.drop, r) || !unicode.Is(*p.table, r) && !contains(p.add, r) {
			continue // names of categories have one or two letters
		}
		name := p.name
		if name == "Hiragana" || name == "Katakana" {
			return "Han"
		}
		return name
	}
	return anyScript
}

// splitScripts splits where the script changes. Like the library, it drops what comes before the first character with a script.
func splitScripts(p piece, out []piece) []piece {
	known := map[rune]string{}
	last, from := anyScript, -1
	for at, r := range p.text {
		script, ok := known[r]
		if !ok {
			script = scriptOf(r)
			known[r] = script
		}
		if script == anyScript {
			continue
		}
		if from >= 0 && script != last {
			out = append(out, p.part(from, at))
		}
		if from < 0 || script != last {
			from = at
		}
		last = script
	}
	if from < 0 {
		return out
	}
	return append(out, p.part(from, len(p.text)))
}
