package jinja

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A value is nil (none), bool, int, float64, string, or one of these.
type (
	undefined struct{ why string } // why is what using it says
	list      struct{ items []any }
	tuple     struct{ items []any }
	// sequence is what range, reversed, map, items and their like make: read in order. A spent
	// iterator is empty the next time, as in Python.
	sequence struct {
		kind  string // Python's name of the type
		items []any
	}
	dict struct {
		keys, vals []any
		at         map[any]int // place of a key, by hashKey
	}
	namespace struct{ vars map[string]any }
	function  struct {
		name string
		call func(c *call) any
	}
)

// Fields is a mapping in the order of writing, as a variable.
type Fields []struct {
	Name  string
	Value any
}

func newDict() *dict { return &dict{at: map[any]int{}} }

// hashKey is what a key is looked up by: 1, 1.0 and true are the same key.
func hashKey(key any) (any, bool) {
	switch k := key.(type) {
	case nil, string, int:
		return k, true
	case bool:
		if k {
			return 1, true
		}
		return 0, true
	case float64:
		if n := int(k); k == math.Trunc(k) && math.Abs(k) < 1<<62 {
			return n, true
		}
		return k, true
	}
	return nil, false
}

func (d *dict) get(key any) (any, bool) {
	if h, ok := hashKey(key); ok {
		if i, ok := d.at[h]; ok {
			return d.vals[i], true
		}
	}
	return nil, false
}

// set puts a value; it reports false for a key that is none.
func (d *dict) set(key, val any) bool {
	h, ok := hashKey(key)
	if !ok {
		return false
	}
	if i, ok := d.at[h]; ok {
		d.vals[i] = val
		return true
	}
	d.at[h] = len(d.keys)
	d.keys, d.vals = append(d.keys, key), append(d.vals, val)
	return true
}

// pairs are the (key, value) tuples in order.
func (d *dict) pairs() []any {
	out := make([]any, len(d.keys))
	for i := range out {
		out[i] = &tuple{[]any{d.keys[i], d.vals[i]}}
	}
	return out
}

// convert makes a value of a Go value: nil, booleans, numbers, strings, slices, maps with string
// keys (in the order of the keys), Fields and json.RawMessage (in their own order). size counts its bytes.
func convert(v any, size *int, depth int) any {
	if depth > maxNest {
		fail(0, "a variable is nested more than %d deep", maxNest)
	}
	*size += workPerStep
	if raw, ok := v.(json.RawMessage); ok {
		return convertJSON(raw, size)
	}
	if fields, ok := v.(Fields); ok {
		d := newDict()
		for _, f := range fields {
			d.set(convert(f.Name, size, depth), convert(f.Value, size, depth+1))
		}
		return d
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Bool:
		return r.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(r.Int())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int(r.Uint())
	case reflect.Float32, reflect.Float64:
		return r.Float()
	case reflect.String:
		if !utf8.ValidString(r.String()) {
			fail(0, "a variable is not valid UTF-8: %.40q", r.String())
		}
		*size += r.Len()
		return r.String()
	case reflect.Slice, reflect.Array:
		items := make([]any, r.Len())
		for i := range items {
			items[i] = convert(r.Index(i).Interface(), size, depth+1)
		}
		return &list{items}
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String {
			return convertMap(r, size, depth)
		}
	}
	fail(0, "a variable of type %T is not supported", v)
	return nil
}

func convertMap(r reflect.Value, size *int, depth int) any {
	keys := r.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	d := newDict()
	for _, k := range keys {
		d.set(convert(k.String(), size, depth), convert(r.MapIndex(k).Interface(), size, depth+1))
	}
	return d
}

func convertJSON(raw []byte, size *int) any {
	*size += len(raw)
	dec := jsontext.NewDecoder(strings.NewReader(string(raw)))
	v, err := decodeJSON(dec, size, 0)
	if err == nil && len(strings.TrimSpace(string(raw[dec.InputOffset():]))) > 0 {
		err = fmt.Errorf("something follows the value")
	}
	if err != nil {
		fail(0, "a JSON variable: %v", err)
	}
	return v
}

func decodeJSON(dec *jsontext.Decoder, size *int, depth int) (any, error) {
	if depth > maxNest {
		return nil, fmt.Errorf("nested more than %d deep", maxNest)
	}
	*size += workPerStep
	t, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return t.Bool(), nil
	case '"':
		return t.String(), nil
	case '0':
		if n, err := strconv.Atoi(t.String()); err == nil {
			return n, nil
		}
		return strconv.ParseFloat(t.String(), 64)
	case '[':
		l := &list{}
		for dec.PeekKind() != ']' {
			v, err := decodeJSON(dec, size, depth+1)
			if err != nil {
				return nil, err
			}
			l.items = append(l.items, v)
		}
		_, err = dec.ReadToken()
		return l, err
	}
	d := newDict()
	for dec.PeekKind() != '}' {
		key, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := key.String()
		v, err := decodeJSON(dec, size, depth+1)
		if err != nil {
			return nil, err
		}
		d.set(name, v)
	}
	_, err = dec.ReadToken()
	return d, err
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case undefined:
		return "Undefined"
	case *list:
		return "list"
	case *tuple:
		return "tuple"
	case *dict:
		return "dict"
	case *sequence:
		return v.kind
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	}
	return "function"
}

// missing is the undefined that reading key of v gives.
func missing(v, key any) undefined {
	name := typeName(v) + " object"
	if v == nil {
		name = "None"
	}
	if s, ok := key.(string); ok {
		return undefined{fmt.Sprintf("'%s' has no attribute %s", name, repr(s))}
	}
	return undefined{fmt.Sprintf("%s has no element %v", name, key)}
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *tuple:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	case *sequence:
		return v.iterator() || len(v.items) > 0
	}
	return true
}

// iterator tells whether reading the sequence spends it.
func (s *sequence) iterator() bool {
	return s.kind != "range" && !strings.HasPrefix(s.kind, "dict_")
}

// number reads an int, or a bool as one.
func integer(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// float reads any number as a float.
func float(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := integer(v)
	return float64(n), ok
}

// elements are what a loop over v sees.
func (in *interp) elements(line int, v any) []any {
	var items []any
	switch v := v.(type) {
	case undefined:
	case string:
		in.spendTimes(line, len(v), workPerStep)
		for _, r := range v {
			items = append(items, string(r))
		}
		return items
	case *list:
		items = v.items
	case *tuple:
		items = v.items
	case *dict:
		items = v.keys
	case *sequence:
		items = v.items
		if v.iterator() {
			v.items = nil
		}
	default:
		fail(line, "'%s' object is not iterable", typeName(v))
	}
	in.spendTimes(line, len(items), workPerStep)
	return items
}

// length is Python's len; ok is false for what has none.
func length(v any) (n int, ok bool) {
	switch v := v.(type) {
	case undefined:
		return 0, true
	case string:
		return utf8.RuneCountInString(v), true
	case *list:
		return len(v.items), true
	case *tuple:
		return len(v.items), true
	case *dict:
		return len(v.keys), true
	case *sequence:
		return len(v.items), !v.iterator()
	case *loop:
		return v.length(), true
	}
	return 0, false
}

// str is Python's str.
func (in *interp) str(line int, v any) string {
	if s, ok := v.(string); ok {
		in.spend(line, len(s))
		return s
	}
	if _, ok := v.(undefined); ok {
		return ""
	}
	var b strings.Builder
	in.repr(line, &b, v)
	return b.String()
}

// repr writes Python's repr.
func (in *interp) repr(line int, b *strings.Builder, v any) {
	in.spend(line, workPerStep)
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int:
		b.WriteString(strconv.Itoa(v))
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		in.spend(line, len(v))
		b.WriteString(repr(v))
	case undefined:
		b.WriteString("Undefined")
	case *list:
		in.reprItems(line, b, "[", v.items, "]")
	case *tuple:
		end := ")"
		if len(v.items) == 1 {
			end = ",)"
		}
		in.reprItems(line, b, "(", v.items, end)
	case *dict:
		b.WriteByte('{')
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			in.repr(line, b, key)
			b.WriteString(": ")
			in.repr(line, b, v.vals[i])
		}
		b.WriteByte('}')
	case *sequence:
		if !strings.HasPrefix(v.kind, "dict_") {
			fail(line, "text of a %s object is not supported", v.kind)
		}
		in.reprItems(line, b, v.kind+"([", v.items, "])")
	default:
		fail(line, "text of a %s object is not supported", typeName(v))
	}
}

func (in *interp) reprItems(line int, b *strings.Builder, begin string, items []any, end string) {
	b.WriteString(begin)
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		in.repr(line, b, item)
	}
	b.WriteString(end)
}

// repr is Python's repr of a string.
func repr(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := []byte{quote}
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r < 0x100:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, quote))
}

// floatRepr is Python's repr of a float: the shortest digits that read back, with an exponent
// below 1e-4 and from 1e16.
func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
