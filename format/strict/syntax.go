package strict

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func (r *reader) space() {
	for r.at < len(r.data) && (r.data[r.at] == ' ' || r.data[r.at] == '\t' || r.data[r.at] == '\n' || r.data[r.at] == '\r') {
		r.at++
	}
}

// next returns the byte that comes next, 0 at the end.
func (r *reader) next() byte {
	if r.at == len(r.data) {
		return 0
	}
	return r.data[r.at]
}

// kind says what comes next.
func (r *reader) kind() string {
	switch c := r.next(); {
	case c == '"':
		return KindName(reflect.String)
	case c == '{':
		return KindName(reflect.Map)
	case c == '[':
		return KindName(reflect.Slice)
	case c == 't' || c == 'f':
		return KindName(reflect.Bool)
	case c == 'n':
		return "null"
	case c == '-' || c >= '0' && c <= '9':
		return KindName(reflect.Float64)
	case r.at == len(r.data):
		return "the end of the text"
	}
	return strconv.QuoteRune(rune(r.next()))
}

func (r *reader) word(w string) error {
	if len(r.data)-r.at < len(w) || string(r.data[r.at:r.at+len(w)]) != w {
		return fmt.Errorf("want %s", w)
	}
	r.at += len(w)
	return nil
}

// skip passes over a value, and returns its text.
func (r *reader) skip() ([]byte, error) {
	r.space()
	begin := r.at
	var err error
	switch c := r.next(); {
	case c == '{':
		err = r.members(reflect.Struct, func(string) error {
			_, err := r.skip()
			return err
		})
	case c == '[':
		err = r.elements(func(int) error {
			_, err := r.skip()
			return err
		})
	case c == '"':
		_, err = r.text()
	case c == 't':
		err = r.word("true")
	case c == 'f':
		err = r.word("false")
	case c == 'n':
		err = r.word("null")
	case c == '-' || c >= '0' && c <= '9':
		_, err = r.digits()
	default:
		err = fmt.Errorf("%s, want a value", r.kind())
	}
	return r.data[begin:r.at], err
}

// members reads an object and calls each at the value of every member, to read it.
func (r *reader) members(want reflect.Kind, each func(name string) error) error {
	if r.next() != '{' {
		return fmt.Errorf("%s, want %s", r.kind(), KindName(want))
	}
	r.at++
	seen := map[string]struct{}{}
	for {
		if r.space(); r.next() == '}' && len(seen) == 0 {
			r.at++
			return nil
		}
		if r.next() != '"' {
			return fmt.Errorf("%s, want the name of a member", r.kind())
		}
		name, err := r.text()
		if err != nil {
			return err
		}
		if _, twice := seen[name]; twice {
			return fmt.Errorf("duplicate member %q", name)
		}
		seen[name] = struct{}{}
		if r.space(); r.next() != ':' {
			return fmt.Errorf("%s, want a colon", r.kind())
		}
		r.at++
		r.space()
		if err := r.within(name, each); err != nil {
			return err
		}
		if more, err := r.more('}'); !more {
			return err
		}
	}
}

// within calls each for a member.
func (r *reader) within(name string, each func(string) error) error {
	if err := r.enter(name); err != nil {
		return err
	}
	if err := each(name); err != nil {
		return err
	}
	r.leave()
	return nil
}

// elements reads a list and calls each at every element, to read it.
func (r *reader) elements(each func(i int) error) error {
	if r.next() != '[' {
		return fmt.Errorf("%s, want a list", r.kind())
	}
	r.at++
	if r.space(); r.next() == ']' {
		r.at++
		return nil
	}
	for i := 0; ; i++ {
		r.space()
		if err := r.within(strconv.Itoa(i), func(string) error { return each(i) }); err != nil {
			return err
		}
		if more, err := r.more(']'); !more {
			return err
		}
	}
}

// more reads the comma between two values, or what ends them.
func (r *reader) more(end byte) (bool, error) {
	r.space()
	switch r.next() {
	case ',':
		r.at++
		return true, nil
	case end:
		r.at++
		return false, nil
	}
	return false, fmt.Errorf("%s, want , or %c", r.kind(), end)
}

// digits reads a number.
func (r *reader) digits() ([]byte, error) {
	begin := r.at
	run := func() (n int) {
		for ; r.next() >= '0' && r.next() <= '9'; n++ {
			r.at++
		}
		return n
	}
	if r.next() == '-' {
		r.at++
	}
	zero := r.next() == '0'
	n := run()
	ok := n > 0 && (!zero || n == 1)
	if r.next() == '.' {
		r.at++
		ok = ok && run() > 0
	}
	if r.next() == 'e' || r.next() == 'E' {
		r.at++
		if r.next() == '+' || r.next() == '-' {
			r.at++
		}
		ok = ok && run() > 0
	}
	if !ok {
		return nil, fmt.Errorf("%s is no number", r.data[begin:r.at])
	}
	return r.data[begin:r.at], nil
}

var errText = errors.New("a string that is not UTF-8, not closed, or has control characters")

// text reads a string.
func (r *reader) text() (string, error) {
	r.at++
	begin := r.at
	for r.at < len(r.data) && r.data[r.at] != '"' && r.data[r.at] != '\\' && r.data[r.at] >= ' ' {
		r.at++
	}
	if r.next() == '"' {
		s := r.data[begin:r.at]
		if r.at++; !utf8.Valid(s) {
			return "", errText
		}
		return string(s), nil
	}
	b := append([]byte(nil), r.data[begin:r.at]...)
	for r.at < len(r.data) && r.data[r.at] >= ' ' {
		c := r.data[r.at]
		r.at++
		if c == '"' {
			if !utf8.Valid(b) {
				return "", errText
			}
			return string(b), nil
		}
		if c != '\\' {
			b = append(b, c)
			continue
		}
		var err error
		if b, err = r.escape(b); err != nil {
			return "", err
		}
	}
	return "", errText
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape appends what an escape stands for; the backslash has been read.
func (r *reader) escape(b []byte) ([]byte, error) {
	c := r.next()
	r.at = min(r.at+1, len(r.data))
	if e, ok := escapes[c]; ok {
		return append(b, e), nil
	}
	if c != 'u' {
		return nil, fmt.Errorf(`\%c is no escape`, c)
	}
	u, err := r.hex()
	if err != nil {
		return nil, err
	}
	if utf16.IsSurrogate(u) {
		if err := r.word(`\u`); err != nil {
			return nil, errors.New("half a surrogate pair")
		}
		low, err := r.hex()
		if err != nil {
			return nil, err
		}
		if u = utf16.DecodeRune(u, low); u == utf8.RuneError {
			return nil, errors.New("half a surrogate pair")
		}
	}
	return utf8.AppendRune(b, u), nil
}

// hex reads the four digits of an escape.
func (r *reader) hex() (rune, error) {
	if len(r.data)-r.at < 4 {
		return 0, errText
	}
	v, err := strconv.ParseUint(string(r.data[r.at:r.at+4]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf(`\u%q is no escape`, r.data[r.at:r.at+4])
	}
	r.at += 4
	return rune(v), nil
}
