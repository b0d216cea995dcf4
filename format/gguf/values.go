package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// valueType says what a value of the metadata is.
type valueType uint32

const (
	typeUint8 valueType = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// valueSizes are the fewest bytes that a value of a type takes.
var valueSizes = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

const maxDepth = 4 // of arrays in arrays

// errCutOff: a file whose head is longer than the file.
var errCutOff = errors.New("the file ends in its head: it is cut off; fetch it again")

// reader reads the head of a file. After an error, it reads zeros.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.data)-r.at) {
		r.err = errCutOff
	}
	if r.err != nil {
		return nil
	}
	r.at += int(n)
	return r.data[r.at-int(n) : r.at]
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() string { return string(r.take(r.uint64())) }

// value reads a value: an int64, a uint64 that is too large for one, a float64, a bool, a string, or
// an array: []string, []int64, []float64, or of whatever else []any.
func (r *reader) value(t valueType, depth int) any {
	if int(t) >= len(valueSizes) {
		r.fail("type %d of a value is unknown", t)
		return nil
	}
	switch t {
	case typeString:
		return r.string()
	case typeArray:
		return r.array(depth)
	}
	b := r.take(uint64(valueSizes[t]))
	if b == nil {
		return nil
	}
	switch t {
	case typeUint8:
		return int64(b[0])
	case typeInt8:
		return int64(int8(b[0]))
	case typeUint16:
		return int64(binary.LittleEndian.Uint16(b))
	case typeInt16:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case typeUint32:
		return int64(binary.LittleEndian.Uint32(b))
	case typeInt32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case typeInt64:
		return int64(binary.LittleEndian.Uint64(b))
	case typeFloat32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case typeFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case typeUint64:
		if v := binary.LittleEndian.Uint64(b); v > math.MaxInt64 {
			return v
		}
		return int64(binary.LittleEndian.Uint64(b))
	}
	if b[0] > 1 { // typeBool
		r.fail("a bool is %d", b[0])
	}
	return b[0] == 1
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) array(depth int) any {
	of, n := valueType(r.uint32()), r.uint64()
	switch {
	case r.err != nil:
		return nil
	case int(of) >= len(valueSizes):
		r.fail("type %d of the values of an array is unknown", of)
		return nil
	case depth == maxDepth:
		r.fail("arrays lie too deep in each other")
		return nil
	case n > uint64(len(r.data)-r.at)/uint64(valueSizes[of]):
		r.err = errCutOff
		return nil
	}
	switch of {
	case typeString:
		return collect[string](r, of, n, depth)
	case typeFloat32, typeFloat64:
		return collect[float64](r, of, n, depth)
	case typeBool, typeArray:
		return collect[any](r, of, n, depth)
	}
	return collect[int64](r, of, n, depth)
}

func collect[T any](r *reader, of valueType, n uint64, depth int) []T {
	list := make([]T, n)
	for i := range list {
		v, ok := r.value(of, depth+1).(T)
		if !ok {
			r.fail("a number in an array is too large")
		}
		if r.err != nil {
			return nil
		}
		list[i] = v
	}
	return list
}

// lookup returns the value of a key as a T; ok tells whether it is there.
func lookup[T any](f *File, key, want string) (value T, ok bool, err error) {
	v, ok := f.values[key]
	if !ok {
		return value, false, nil
	}
	if value, ok = v.(T); !ok {
		return value, false, fmt.Errorf("metadata %q: want %s, have %s", key, want, describe(v))
	}
	return value, true, nil
}

// describe says what a value is, for people.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 40 {
			return fmt.Sprintf("%.40q…", v)
		}
		return fmt.Sprintf("%q", v)
	case []string:
		return fmt.Sprintf("%d strings", len(v))
	case []int64:
		return fmt.Sprintf("%d whole numbers", len(v))
	case []float64:
		return fmt.Sprintf("%d numbers", len(v))
	case []any:
		return fmt.Sprintf("an array of %d", len(v))
	}
	return fmt.Sprint(v)
}

// Has reports whether the metadata has a key.
func (f *File) Has(key string) bool {
	_, ok := f.values[key]
	return ok
}

// Int returns the whole number under a key; ok tells whether it is there.
func (f *File) Int(key string) (n int, ok bool, err error) {
	v, ok, err := lookup[int64](f, key, "a whole number")
	return int(v), ok, err
}

// Float returns the number under a key; ok tells whether it is there.
func (f *File) Float(key string) (x float64, ok bool, err error) {
	if v, isInt := f.values[key].(int64); isInt {
		return float64(v), true, nil
	}
	return lookup[float64](f, key, "a number")
}

// Bool returns the switch under a key; ok tells whether it is there.
func (f *File) Bool(key string) (b, ok bool, err error) { return lookup[bool](f, key, "true or false") }

// String returns the string under a key; ok tells whether it is there.
func (f *File) String(key string) (s string, ok bool, err error) {
	return lookup[string](f, key, "a string")
}

// Strings returns the array of strings under a key; ok tells whether it is there.
func (f *File) Strings(key string) (list []string, ok bool, err error) {
	if f.empty(key) {
		return nil, true, nil
	}
	return lookup[[]string](f, key, "an array of strings")
}

// Ints returns the array of whole numbers under a key; ok tells whether it is there.
func (f *File) Ints(key string) (list []int64, ok bool, err error) {
	if f.empty(key) {
		return nil, true, nil
	}
	return lookup[[]int64](f, key, "an array of whole numbers")
}

// Bools returns the array of bools under a key; ok tells whether it is there.
func (f *File) Bools(key string) (list []bool, ok bool, err error) {
	if f.empty(key) {
		return nil, true, nil
	}
	const want = "an array of bools"
	all, ok, err := lookup[[]any](f, key, want)
	for _, v := range all {
		b, isBool := v.(bool)
		if !isBool {
			return nil, false, fmt.Errorf("metadata %q: want %s, have %s", key, want, describe(all))
		}
		list = append(list, b)
	}
	return list, ok, err
}

// Floats returns the array of numbers under a key; ok tells whether it is there.
func (f *File) Floats(key string) (list []float64, ok bool, err error) {
	if f.empty(key) {
		return nil, true, nil
	}
	if v, isInts := f.values[key].([]int64); isInts {
		for _, n := range v {
			list = append(list, float64(n))
		}
		return list, true, nil
	}
	return lookup[[]float64](f, key, "an array of numbers")
}

// empty reports whether there is an array of nothing under a key, whatever its type.
func (f *File) empty(key string) bool {
	switch v := f.values[key].(type) {
	case []string:
		return len(v) == 0
	case []int64:
		return len(v) == 0
	case []float64:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// IsArray reports whether there is an array under a key.
func (f *File) IsArray(key string) bool {
	switch f.values[key].(type) {
	case []string, []int64, []float64, []any:
		return true
	}
	return false
}
