package kernels

import "strings"

// scanner reads WGSL without comments piece by piece. If a piece is missing, ok becomes false and stays so.
type scanner struct {
	rest string
	ok   bool
}

func scan(src string) *scanner { return &scanner{src, true} }

const space = " \t\r\n\v\f"

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// word reads letters, digits and underscores.
func (s *scanner) word() string {
	s.rest = strings.TrimLeft(s.rest, space)
	n := 0
	for n < len(s.rest) && isWordByte(s.rest[n]) {
		n++
	}
	w := s.rest[:n]
	s.ok = s.ok && n > 0
	s.rest = s.rest[n:]
	return w
}

// name reads a word that does not start with a digit.
func (s *scanner) name() string {
	w := s.word()
	s.ok = s.ok && (w == "" || w[0] < '0' || w[0] > '9')
	return w
}

// is reads the given pieces, skipping white space before each.
func (s *scanner) is(pieces ...string) {
	for _, p := range pieces {
		s.rest = strings.TrimLeft(s.rest, space)
		s.ok = s.ok && strings.HasPrefix(s.rest, p)
		s.rest = strings.TrimPrefix(s.rest, p)
	}
}

// until reads through the next byte end, and returns what is before it.
func (s *scanner) until(end byte) string {
	text, rest, found := strings.Cut(s.rest, string(end))
	s.ok = s.ok && found
	s.rest = rest
	return text
}

// word returns the index of the first w in src[from:] that is a whole word, −1 if there is none.
func word(src, w string, from int) int {
	for from <= len(src) {
		i := strings.Index(src[from:], w)
		if i < 0 {
			return -1
		}
		i += from
		from = i + len(w)
		before := i == 0 || !isWordByte(src[i-1]) || !isWordByte(w[0])
		if before && (from == len(src) || !isWordByte(src[from])) {
			return i
		}
	}
	return -1
}

// words returns the index of each w that is a whole word.
func words(src, w string) []int {
	var at []int
	for i := word(src, w, 0); i >= 0; i = word(src, w, i+len(w)) {
		at = append(at, i)
	}
	return at
}
