// Package gguftest writes GGUF files for tests.
package gguftest

import (
	"encoding/binary"
	"fmt"
	"math"
)

// File is what is to be written.
type File struct {
	Values  []Value
	Tensors []Tensor
}

// Value is an entry of the metadata: a uint32, int32, float32, bool, string, []string, []int32 or
// []float32.
type Value struct {
	Key   string
	Value any
}

// Tensor is a tensor with its bytes.
type Tensor struct {
	Name  string
	Shape []int // rows first
	Type  uint32
	Data  []byte
}

const alignment = 32

// Bytes returns the file.
func (f *File) Bytes() []byte {
	b := []byte("GGUF")
	b = binary.LittleEndian.AppendUint32(b, 3)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Values)))
	for _, v := range f.Values {
		b = appendValue(appendString(b, v.Key), v.Value)
	}
	offset := 0
	for _, t := range f.Tensors {
		b = binary.LittleEndian.AppendUint32(appendString(b, t.Name), uint32(len(t.Shape)))
		for i := range t.Shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(t.Shape[len(t.Shape)-1-i]))
		}
		b = binary.LittleEndian.AppendUint32(b, t.Type)
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
		offset = aligned(offset + len(t.Data))
	}
	b = append(b, make([]byte, aligned(len(b))-len(b))...)
	for _, t := range f.Tensors {
		b = append(b, t.Data...)
		b = append(b, make([]byte, aligned(len(t.Data))-len(t.Data))...)
	}
	return b
}

func aligned(n int) int { return (n + alignment - 1) / alignment * alignment }

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// kind is the number of a value's type.
func kind(v any) uint32 {
	switch v.(type) {
	case uint32:
		return 4
	case int32:
		return 5
	case float32:
		return 6
	case bool:
		return 7
	case string:
		return 8
	}
	panic(fmt.Sprintf("gguftest: a value of type %T", v))
}

func appendValue(b []byte, v any) []byte {
	switch list := v.(type) {
	case []string:
		return appendArray(b, list)
	case []bool:
		return appendArray(b, list)
	case []int32:
		return appendArray(b, list)
	case []float32:
		return appendArray(b, list)
	}
	return appendBare(binary.LittleEndian.AppendUint32(b, kind(v)), v)
}

func appendArray[T any](b []byte, list []T) []byte {
	var zero T
	b = binary.LittleEndian.AppendUint32(b, 9)
	b = binary.LittleEndian.AppendUint32(b, kind(zero))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(list)))
	for _, v := range list {
		b = appendBare(b, v)
	}
	return b
}

func appendBare(b []byte, v any) []byte {
	switch v := v.(type) {
	case uint32:
		return binary.LittleEndian.AppendUint32(b, v)
	case int32:
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	case float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	case bool:
		if v {
			return append(b, 1)
		}
		return append(b, 0)
	case string:
		return appendString(b, v)
	}
	panic(fmt.Sprintf("gguftest: a value of type %T", v))
}
