package hf

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/x448/float16"
)

// decoder turns the elements in src into as many float32s.
type decoder func(dst []float32, src []byte)

// decoders are the types that weights may have.
var decoders = map[string]decoder{
	"F16":  decodeF16,
	"BF16": decodeBF16,
	"F32":  decodeF32,
}

// elementSize are the types that a file may hold, with the bytes of an element. Some of them only
// occur in tensors that are left out.
var elementSize = map[string]int{
	"BOOL": 1, "U8": 1, "I8": 1,
	"I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4,
	"I64": 8, "U64": 8, "F64": 8,
}

func supportedDTypes() string {
	return strings.Join(slices.Sorted(maps.Keys(decoders)), ", ")
}

// float16s are the values of all 65536 float16s.
var float16s = sync.OnceValue(func() *[1 << 16]float32 {
	table := new([1 << 16]float32)
	for i := range table {
		table[i] = float16.Frombits(uint16(i)).Float32()
	}
	return table
})

func decodeF16(dst []float32, src []byte) {
	table := float16s()
	for i := range dst {
		dst[i] = table[binary.LittleEndian.Uint16(src[2*i:])]
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
