package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// What \d, \w and \s stand for: some validators of JSON Schema know no others, so texts with these pass in all of them.
var (
	digits = []span{{'0', '9'}}
	words  = []span{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	spaces = []span{{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}

	// allSpaces are those of JavaScript: what \S or [^\s] leaves out.
	allSpaces = []span{{'\t', '\r'}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}}
)

// escape reads what follows a backslash. single: it is one character. negate: the characters are left out, not taken. Other
// spellings, where case does not matter, are added before a class is turned around: \W takes none of a letter.
func (p *patternParser) escape(negate bool) (spans []span, single bool, err error) {
	if !p.more() {
		return nil, false, errors.New("nothing follows the last backslash")
	}
	c := p.in[p.at]
	p.at++
	switch c {
	case 'd':
		return digits, false, nil
	case 'D':
		return negated(digits), false, nil
	case 'w':
		return words, false, nil
	case 'W':
		return negated(p.folded(words)), false, nil
	case 's', 'S':
		spans = spaces
		if negate == (c == 's') {
			spans = allSpaces
		}
		if c == 'S' {
			spans = negated(spans)
		}
		return spans, false, nil
	case 'p', 'P':
		spans, err := p.property()
		if c == 'P' {
			spans = negated(p.folded(spans))
		}
		return spans, false, err
	}
	r, err := p.character(c)
	return []span{{r, r}}, true, err
}

// character reads the rest of an escape that is one character.
func (p *patternParser) character(c rune) (rune, error) {
	switch c {
	case 't':
		return '\t', nil
	case 'n':
		return '\n', nil
	case 'v':
		return '\v', nil
	case 'f':
		return '\f', nil
	case 'r':
		return '\r', nil
	case '0':
		if p.more() && p.in[p.at] >= '0' && p.in[p.at] <= '9' {
			return 0, errors.New(`\0 before a digit is not supported: write \x00`)
		}
		return 0, nil
	case 'x':
		return p.code(2)
	case 'u':
		r, err := p.code(4)
		if from := p.at; err == nil && utf16.IsSurrogate(r) && p.takes(`\u`) {
			low, err := p.code(4)
			if both := utf16.DecodeRune(r, low); err == nil && both != utf8.RuneError {
				return both, nil
			}
			p.at = from
		}
		return r, err
	case 'c':
		if p.more() && (p.in[p.at] >= 'a' && p.in[p.at] <= 'z' || p.in[p.at] >= 'A' && p.in[p.at] <= 'Z') {
			p.at++
			return p.in[p.at-1] & 0x1f, nil
		}
	}
	switch {
	case c >= '1' && c <= '9', c == 'k':
		return 0, errors.New("back references are not supported")
	case c < utf8.RuneSelf && (unicode.IsLetter(c) || unicode.IsDigit(c)):
		return 0, fmt.Errorf(`the escape \%c is not supported`, c)
	}
	return c, nil
}

// code reads a character's number: that many hexadecimal digits, or any number of them in braces.
func (p *patternParser) code(digits int) (rune, error) {
	text := string(p.in[p.at:min(p.at+digits, len(p.in))])
	size := digits
	if p.more() && p.in[p.at] == '{' {
		var closed bool
		if text, closed = p.braced(p.at + 1); !closed {
			return 0, errors.New("the { of an escape is not closed")
		}
		size = utf8.RuneCountInString(text) + 2
	} else if len(text) < digits {
		return 0, errors.New("an escape is not complete")
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || n > utf8.MaxRune {
		return 0, fmt.Errorf("%s is not the number of a character", text)
	}
	p.at += size
	return rune(n), nil
}

// property reads what follows \p: a letter, or a name in braces.
func (p *patternParser) property() ([]span, error) {
	if !p.more() {
		return nil, errors.New(`nothing follows \p`)
	}
	name := string(p.in[p.at])
	p.at++
	if name == "{" {
		var closed bool
		if name, closed = p.braced(p.at); !closed {
			return nil, errors.New(`a \p{ is not closed`)
		}
		p.at += utf8.RuneCountInString(name) + 1
	}
	negate := strings.HasPrefix(name, "^")
	of, value, ok := strings.Cut(strings.TrimPrefix(name, "^"), "=") // Script=Greek
	if !ok {
		value = of
	}
	table := property(value)
	if table == nil || ok && !slices.Contains([]string{"Script", "sc", "General_Category", "gc"}, of) {
		return nil, fmt.Errorf(`\p{%s} is not supported: write ranges, as in [a-zà-ÿ]`, name)
	}
	spans := spansOf(table)
	if negate {
		spans = negated(spans)
	}
	return spans, nil
}

// spansOf returns the characters of a table.
func spansOf(t *unicode.RangeTable) (spans []span) {
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			spans = append(spans, span{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			spans = append(spans, span{r, r})
		}
	}
	for _, r := range t.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return spans
}
