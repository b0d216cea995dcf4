package tools

import (
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// maxDepth is how deep values of arguments may lie in others.
const maxDepth = 64

// value reads a JSON value and hands its text to put as it comes. Line breaks within strings, which some models forget to
// escape, are escaped. It reports whether it was a value.
func (s *scan) value(put func(string), depth int) bool {
	b, _ := s.peek()
	switch {
	case depth > maxDepth:
		return false
	case b == '"':
		return s.quoted(put)
	case b == '{' || b == '[':
		return s.nested(put, depth)
	}
	return s.scalar(put)
}

// quoted reads a string.
func (s *scan) quoted(put func(string)) bool {
	put(string([]byte{s.next()}))
	for {
		b, ok := s.peek()
		if !ok {
			return false
		}
		s.pos++
		switch {
		case b == '"':
			put(`"`)
			return true
		case b == '\\':
			from := s.pos - 1
			escape, ok := s.escape()
			if !ok {
				s.pos = from
				return false
			}
			put(escape)
		case b < 0x20:
			put(strings.Trim(strict.Quote(string([]byte{b})), `"`))
		default:
			put(string([]byte{b}))
		}
	}
}

// escape reads what follows a backslash in a string.
func (s *scan) escape() (string, bool) {
	b := s.next()
	if b != 'u' {
		return `\` + string([]byte{b}), b != 0 && strings.IndexByte(`"\/bfnrt`, b) >= 0
	}
	text := `\u`
	for range 4 {
		b := s.next()
		if b == 0 || strings.IndexByte("0123456789abcdefABCDEF", b) < 0 {
			return "", false
		}
		text += string([]byte{b})
	}
	return text, true
}

// nested reads an object or a list.
func (s *scan) nested(put func(string), depth int) bool {
	open := s.next()
	put(string([]byte{open}))
	end := byte(']')
	if open == '{' {
		end = '}'
	}
	for first := true; ; first = false {
		s.blank(put)
		b, _ := s.peek()
		if b == end && first {
			break
		}
		if open == '{' {
			if b != '"' || !s.quoted(put) || !s.punctuation(put, ":") {
				return false
			}
		}
		if !s.value(put, depth+1) {
			return false
		}
		if s.blank(put); !s.at(",") {
			break
		}
		s.pos++
		put(",")
	}
	return s.punctuation(put, string([]byte{end}))
}

func (s *scan) punctuation(put func(string), text string) bool {
	s.blank(put)
	if !s.skip(text) {
		return false
	}
	put(text)
	s.blank(put)
	return true
}

// blank hands blanks over.
func (s *scan) blank(put func(string)) {
	for {
		b, ok := s.peek()
		if !ok || !isBlank(b) {
			return
		}
		s.pos++
		put(string([]byte{b}))
	}
}

// word reads letters, digits and what numbers are made of.
func (s *scan) word() string {
	var text []byte
	for {
		b, ok := s.peek()
		if !ok || !isNameRune(rune(b)) && b != '+' {
			return string(text)
		}
		s.pos++
		text = append(text, b)
	}
}

// scalar reads a number, true, false or null.
func (s *scan) scalar(put func(string)) bool {
	from := s.pos
	text := s.word()
	if !isScalar(text) {
		s.pos = from
		return false
	}
	put(text)
	return true
}

func isScalar(text string) bool {
	switch text {
	case "true", "false", "null":
		return true
	}
	tree, err := strict.Tree([]byte(text))
	_, isNumber := tree.(strict.Number)
	return err == nil && isNumber
}

// textValue reads a JSON string and returns what it stands for.
func (s *scan) textValue() (string, bool) {
	if b, _ := s.peek(); b != '"' {
		return "", false
	}
	var written strings.Builder
	if !s.quoted(func(t string) { written.WriteString(t) }) {
		return "", false
	}
	tree, err := strict.Tree([]byte(written.String()))
	text, ok := tree.(string)
	return text, ok && err == nil
}
