// Package strict reads JSON and lets nothing pass: members that are not known or there twice, names in another
// case, numbers that do not fit, text that is not UTF-8, and anything behind the value are errors. It knows what this
// module's files need and no more, and never writes, but for the canonical form that hashes are made of.
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Value is the text of a JSON value that is to be read later; nothing stands for an absent one.
type Value []byte

// Absent reports whether there is no value, or null.
func (v Value) Absent() bool { return len(v) == 0 || v[0] == 'n' }

// MarshalJSON returns the text, for packages that write JSON.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v) == 0 {
		return []byte("null"), nil
	}
	return v, nil
}

// A Reader reads itself from the text of a value. (A method that other types have as well would keep theirs in the program.)
type Reader interface {
	ReadJSON(text []byte) error
}

// Unmarshal reads data into what v points at. Members that its structs do not name are errors.
func Unmarshal(data []byte, v any) error { return unmarshal(data, v, false) }

// UnmarshalSome reads the members that v's structs name, and passes over others.
func UnmarshalSome(data []byte, v any) error { return unmarshal(data, v, true) }

func unmarshal(data []byte, v any, some bool) error {
	r := &reader{data: data, some: some}
	err := r.value(reflect.ValueOf(v).Elem())
	if err == nil {
		if r.space(); r.at < len(data) {
			err = errors.New("there is more behind the value")
		}
	}
	if err != nil {
		return r.located(err)
	}
	return nil
}

// reader reads values one after the other.
type reader struct {
	data []byte
	at   int      // byte
	path []string // of the value, as names and indexes
	some bool     // unknown members are passed over
}

// located says where an error is.
func (r *reader) located(err error) error {
	if len(r.path) == 0 {
		return fmt.Errorf("JSON, byte %d: %w", r.at, err)
	}
	return fmt.Errorf("JSON, byte %d, /%s: %w", r.at, strings.Join(r.path, "/"), err)
}

// maxDepth is how deep values may lie in others.
const maxDepth = 1000

// enter goes into a member or an element; if all goes well, leave goes out.
func (r *reader) enter(name string) error {
	if r.path = append(r.path, name); len(r.path) > maxDepth {
		return fmt.Errorf("values more than %d deep", maxDepth)
	}
	return nil
}

func (r *reader) leave() { r.path = r.path[:len(r.path)-1] }

var (
	valueType    = reflect.TypeFor[Value]()
	readerType   = reflect.TypeFor[Reader]()
	tokenIDsType = reflect.TypeFor[map[string]int32]()
)

// value reads the next value into v.
func (r *reader) value(v reflect.Value) error {
	r.space()
	if v.Type() == valueType || reflect.PointerTo(v.Type()).Implements(readerType) {
		text, err := r.skip()
		if err != nil {
			return err
		}
		if v.Type() == valueType {
			v.SetBytes(bytes.Clone(text))
			return nil
		}
		return v.Addr().Interface().(Reader).ReadJSON(text)
	}
	if r.next() == 'n' {
		v.SetZero()
		return r.word("null")
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		v.Set(p)
		return r.value(p.Elem())
	case reflect.Struct:
		return r.object(v)
	case reflect.Map:
		return r.mapping(v)
	case reflect.Slice:
		return r.slice(v)
	case reflect.Array:
		return r.array(v)
	}
	return r.scalar(v)
}

// scalar reads a string, a boolean or a number.
func (r *reader) scalar(v reflect.Value) error {
	c := r.next()
	switch k := v.Kind(); {
	case k == reflect.String && c == '"':
		s, err := r.text()
		v.SetString(s)
		return err
	case k == reflect.Bool && c == 't':
		v.SetBool(true)
		return r.word("true")
	case k == reflect.Bool && c == 'f':
		v.SetBool(false)
		return r.word("false")
	case (v.CanInt() || v.CanUint() || v.CanFloat()) && (c == '-' || c >= '0' && c <= '9'):
		return r.number(v)
	}
	return fmt.Errorf("%s, want %s", r.kind(), KindName(v.Kind()))
}

func (r *reader) number(v reflect.Value) error {
	text, err := r.digits()
	if err != nil {
		return err
	}
	if v.CanFloat() {
		f, err := strconv.ParseFloat(string(text), v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%s is out of range", text)
		}
		v.SetFloat(f)
		return nil
	}
	if v.CanInt() {
		var n int64
		n, err = strconv.ParseInt(string(text), 10, v.Type().Bits())
		v.SetInt(n)
	} else {
		var n uint64
		n, err = strconv.ParseUint(string(text), 10, v.Type().Bits())
		v.SetUint(n)
	}
	if err != nil {
		return fmt.Errorf("%s is not an integer, or out of range", text)
	}
	return nil
}

// KindName names the JSON type that is read into a kind of Go types, for errors.
func KindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "an integer"
}

// object reads an object into a struct.
func (r *reader) object(v reflect.Value) error {
	fields := map[string][]int{}
	addFields(fields, v.Type(), nil)
	return r.members(reflect.Struct, func(name string) error {
		if i, ok := fields[name]; ok {
			return r.value(v.FieldByIndex(i))
		}
		if !r.some {
			return fmt.Errorf("unknown member %q", name)
		}
		_, err := r.skip()
		return err
	})
}

// addFields adds the fields of a struct by the names of their members. Those of embedded structs are its own.
func addFields(fields map[string][]int, t reflect.Type, at []int) {
	for i := range t.NumField() {
		f, at := t.Field(i), append(slices.Clone(at), i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			addFields(fields, f.Type, at)
		case !f.IsExported() || name == "-":
		case name == "":
			fields[f.Name] = at
		default:
			fields[name] = at
		}
	}
}

// mapping reads an object into a map with strings for keys.
func (r *reader) mapping(v reflect.Value) error {
	m := reflect.MakeMap(v.Type())
	v.Set(m)
	if v.Type() == tokenIDsType { // of a hundred thousand members and more
		ids := m.Interface().(map[string]int32)
		return r.members(reflect.Map, func(name string) error {
			var id int32
			err := r.value(reflect.ValueOf(&id).Elem())
			ids[name] = id
			return err
		})
	}
	return r.members(reflect.Map, func(name string) error {
		element := reflect.New(v.Type().Elem()).Elem()
		err := r.value(element)
		m.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
		return err
	})
}

// slice reads a list of any length.
func (r *reader) slice(v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return r.elements(func(i int) error {
		if i == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(i + 1)
		v.Index(i).SetZero()
		return r.value(v.Index(i))
	})
}

// array reads a list of one length.
func (r *reader) array(v reflect.Value) error {
	n := 0
	err := r.elements(func(i int) error {
		if n = i + 1; n > v.Len() {
			return fmt.Errorf("a list of more than %d", v.Len())
		}
		return r.value(v.Index(i))
	})
	if err == nil && n < v.Len() {
		err = fmt.Errorf("a list of %d, want %d", n, v.Len())
	}
	return err
}
