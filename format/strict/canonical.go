package strict

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"unicode/utf16"
)

// Canonical returns a value in the form of RFC 8785, in which texts that say the same are the same.
func Canonical(data []byte) ([]byte, error) {
	r := &reader{data: data}
	r.space()
	b, err := r.canonical(nil)
	if err == nil {
		if r.space(); r.at < len(data) {
			err = fmt.Errorf("there is more behind the value")
		}
	}
	if err != nil {
		return nil, r.located(err)
	}
	return b, nil
}

// canonical appends the next value.
func (r *reader) canonical(b []byte) ([]byte, error) {
	switch c := r.next(); {
	case c == '{':
		return r.canonicalObject(b)
	case c == '[':
		b = append(b, '[')
		err := r.elements(func(i int) (err error) {
			if i > 0 {
				b = append(b, ',')
			}
			b, err = r.canonical(b)
			return err
		})
		return append(b, ']'), err
	case c == '"':
		s, err := r.text()
		return appendText(b, s), err
	case c == '-' || c >= '0' && c <= '9':
		text, err := r.digits()
		if err != nil {
			return b, err
		}
		f, _ := strconv.ParseFloat(string(text), 64) // the text is a number; one that is out of range is the largest
		return appendNumber(b, min(max(f, -math.MaxFloat64), math.MaxFloat64)), nil
	}
	text, err := r.skip()
	return append(b, text...), err
}

// canonicalMember is a member of an object: its name in UTF-16, and all of it as text.
type canonicalMember struct {
	name []uint16
	text []byte
}

type byName []canonicalMember

func (b byName) Len() int           { return len(b) }
func (b byName) Less(i, j int) bool { return slices.Compare(b[i].name, b[j].name) < 0 }
func (b byName) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// canonicalObject appends an object, its members in the order of their names in UTF-16.
func (r *reader) canonicalObject(b []byte) ([]byte, error) {
	var list []canonicalMember
	err := r.members(reflect.Struct, func(name string) (err error) {
		m := canonicalMember{name: utf16.Encode([]rune(name)), text: append(appendText(nil, name), ':')}
		m.text, err = r.canonical(m.text)
		list = append(list, m)
		return err
	})
	sort.Sort(byName(list)) // slices.SortFunc would be a larger download for the browser
	b = append(b, '{')
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m.text...)
	}
	return append(b, '}'), err
}

func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		default:
			if j := bytes.IndexByte([]byte("\b\t\n\f\r"), c); j >= 0 {
				b = append(b, '\\', "btnfr"[j])
			} else {
				b = fmt.Appendf(b, `\u%04x`, c)
			}
		}
	}
	return append(b, '"')
}

// appendNumber writes a number as ECMAScript does.
func appendNumber(b []byte, f float64) []byte {
	if f == 0 {
		return append(b, '0') // −0 too
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-2] == '0' && (b[n-3] == '-' || b[n-3] == '+') { // e-07
		b = append(b[:n-2], b[n-1])
	}
	return b
}
