package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/rangetable"
)

// placeEscapes are the escapes that match nothing, at some places.
var placeEscapes = map[rune]termKind{'A': termTextStart, 'z': termTextEnd, 'Z': termLastLineEnd, 'b': termBoundary, 'B': termNotBoundary}

// escape reads what follows a backslash outside of a class.
func (p *regexParser) escape() (*term, error) {
	if p.at == len(p.in) {
		return nil, errors.New("a backslash escapes nothing")
	}
	if s, ok, err := p.named(regexWord); ok || err != nil {
		return p.oneOf(s), err
	}
	c := p.in[p.at]
	if kind, ok := placeEscapes[c]; ok {
		p.at++
		return &term{kind: kind}, nil
	}
	switch c {
	case 'R': // a line break; \r\n is never cut
		p.at++
		crlf := &term{kind: termSequence, parts: []*term{p.char('\r'), p.char('\n')}}
		others := p.oneOf(&runeSet{ranges: []rune{'\n', '\r', '\u0085', '\u0085', '\u2028', '\u2029'}})
		return &term{kind: termAtomic, parts: []*term{{kind: termChoice, parts: []*term{crlf, others}}}}, nil
	case 'X':
		p.at++
		return &term{kind: termCluster}, nil
	case 'O':
		p.at++
		return p.oneOf(&runeSet{negate: true}), nil
	case 'N':
		p.at++
		return p.oneOf(&runeSet{ranges: []rune{'\n', '\n'}, negate: true}), nil
	}
	if c >= '1' && c <= '9' {
		p.at++
		if int(c-'0') > p.groups {
			return nil, fmt.Errorf(`\%c: no such group comes before it`, c)
		}
		p.refers = true
		return &term{kind: termReference, group: int(c - '0'), fold: p.fold}, nil
	}
	r, err := p.escapedChar()
	return p.char(r), err
}

var controls = map[rune]rune{'n': '\n', 'r': '\r', 't': '\t', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1B}

// escapedChar reads an escape that stands for one character.
func (p *regexParser) escapedChar() (rune, error) {
	c := p.in[p.at]
	p.at++
	if r, ok := controls[c]; ok {
		return r, nil
	}
	switch {
	case c == 'x' && p.next("{"):
		digits, _, ok := strings.Cut(p.rest()[1:], "}")
		r, err := strconv.ParseUint(digits, 16, 32)
		if !ok || err != nil || r > unicode.MaxRune {
			return 0, fmt.Errorf(`\x{%s: want a character`, digits)
		}
		p.at += len(digits) + 2
		return rune(r), nil
	case c == 'x':
		return p.hex(2, 0x7F)
	case c == 'u':
		return p.hex(4, 0xFFFF)
	case c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)):
		return 0, fmt.Errorf(`\%c is not supported`, c)
	}
	return c, nil
}

// hex reads n hexadecimal digits.
func (p *regexParser) hex(n int, limit rune) (rune, error) {
	if len(p.in)-p.at < n {
		return 0, errors.New("hexadecimal digits are missing")
	}
	digits := string(p.in[p.at : p.at+n])
	r, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || rune(r) > limit {
		return 0, fmt.Errorf("hexadecimal %q: want up to %X", digits, limit)
	}
	p.at += n
	return rune(r), nil
}

// maxClasses is how many classes may be within each other.
const maxClasses = 20

// class reads what follows the [ of a class, which is depth classes deep.
func (p *regexParser) class(depth int) (*runeSet, error) {
	if depth > maxClasses {
		return nil, fmt.Errorf("classes within each other more than %d deep", maxClasses)
	}
	negate := p.takes("^")
	s := &runeSet{}   // since the last &&
	var before []rune // what the sets before it have in common
	intersects := false
	for empty := true; ; empty = false {
		switch {
		case p.at == len(p.in):
			return nil, errors.New("a [ is not closed")
		case p.next("]") && empty:
			return nil, errors.New("a class is empty")
		case p.takes("]"):
			if intersects {
				s = &runeSet{ranges: intersect(before, s.pairs())}
			}
			s.negate = negate
			return s, nil
		case p.next("[") || p.next("&&"):
			if p.fold {
				return nil, errors.New("a class in a class, or with &&, is not supported where case does not count")
			}
		}
		if p.takes("&&") {
			here := s.pairs()
			if intersects {
				here = intersect(before, here)
			}
			s, before, intersects = &runeSet{}, here, true
			continue
		}
		if err := p.member(s, depth); err != nil {
			return nil, err
		}
	}
}

// member adds a class in a class, a named set, a character or a range to s.
func (p *regexParser) member(s *runeSet, depth int) error {
	if pairs, ok, err := p.posix(); ok || err != nil {
		s.ranges = append(s.ranges, pairs...)
		return err
	}
	if p.takes("[") {
		inner, err := p.class(depth + 1)
		if err == nil {
			s.ranges = append(s.ranges, inner.pairs()...)
		}
		return err
	}
	if p.in[p.at] == '\\' && p.at+1 < len(p.in) {
		p.at++
		set, ok, err := p.named(classWord)
		if ok || err != nil {
			s.addSet(set)
			return err
		}
		p.at--
	}
	low, err := p.classChar()
	if err != nil {
		return err
	}
	high := low
	if p.next("-") && !p.next("-]") && !p.next("-[") && !p.next("-&&") {
		p.at++
		if high, err = p.classChar(); err == nil && high < low {
			err = fmt.Errorf("range %c-%c is empty", low, high)
		}
	}
	s.add(low, high)
	return err
}

// classChar reads one character of a class.
func (p *regexParser) classChar() (rune, error) {
	if p.at == len(p.in) {
		return 0, errors.New("a [ is not closed")
	}
	c := p.in[p.at]
	p.at++
	if c != '\\' {
		return c, nil
	}
	if p.at == len(p.in) {
		return 0, errors.New("a backslash escapes nothing")
	}
	if p.takes("b") {
		return '\b', nil
	}
	return p.escapedChar()
}

// posix reads [:name:] or [:^name:] in a class, if there is one.
func (p *regexParser) posix() (pairs []rune, ok bool, err error) {
	if !p.next("[:") {
		return nil, false, nil
	}
	body, _, found := strings.Cut(strings.TrimPrefix(p.rest(), "[:"), ":]")
	if !found {
		return nil, false, nil
	}
	name := strings.TrimPrefix(body, "^")
	switch name {
	case "punct":
		pairs = union(exactly("P"), exactly("S"))
	case "word":
		pairs = classWord()
	case "digit":
		pairs = exactly("Nd")
	case "alpha", "lower", "upper", "alnum", "space", "blank", "cntrl", "xdigit", "graph", "print", "ascii":
		pairs, _ = derivedSet(name)
	default:
		return nil, false, fmt.Errorf("[:%s:] is not supported", body)
	}
	if name != body {
		pairs = complement(pairs)
	}
	p.at += len([]rune(body)) + len("[::]")
	return pairs, true, nil
}

// What \w matches: Oniguruma takes ² ³ ¹ ¼ ½ ¾ for word characters, but not within [ ].
var (
	regexWord = sync.OnceValue(func() []rune { return regexWordDifference.ranges(rangetable.Merge(wordTables...)) })
	classWord = sync.OnceValue(func() []rune { return classWordDifference.ranges(rangetable.Merge(wordTables...)) })
)

// named reads the escape of a set, if there is one: \d \w \s \h, \p{…} and their negations.
// The set that \w stands for is word.
func (p *regexParser) named(word func() []rune) (s *runeSet, ok bool, err error) {
	c := p.in[p.at]
	negate := unicode.IsUpper(c)
	switch unicode.ToLower(c) {
	case 's':
		s = ofTable(unicode.White_Space, negate)
	case 'd':
		s, err = property("Nd", negate)
	case 'w':
		s = ofPairs(word(), negate)
	case 'h':
		s = ofPairs([]rune{'0', '9', 'A', 'F', 'a', 'f'}, negate)
	case 'p':
		name, _, found := strings.Cut(strings.TrimPrefix(string(p.in[p.at+1:]), "{"), "}")
		if !found || p.in[p.at+1] != '{' {
			return nil, false, fmt.Errorf(`\%c: want a name in braces`, c)
		}
		p.at += len([]rune(name)) + len("{}")
		bare := strings.TrimPrefix(name, "^")
		s, err = property(bare, negate != (bare != name))
	default:
		return nil, false, nil
	}
	p.at++
	return s, err == nil, err
}

// property returns a general category, a script, or another set that has a name.
func property(name string, negate bool) (*runeSet, error) {
	key := squeezed(name)
	if pairs, ok := derivedSet(key); ok {
		return ofPairs(pairs, negate), nil
	}
	plain, d, ok := propertyNamed(key)
	if !ok {
		return nil, fmt.Errorf(`\p{%s} is not supported`, name)
	}
	if len(d.drop) > 0 || negate && len(d.add) > 0 {
		return ofPairs(d.ranges(tableOf(plain)), negate), nil
	}
	s := ofTable(tableOf(plain), negate)
	s.ranges = d.add
	return s, nil
}
