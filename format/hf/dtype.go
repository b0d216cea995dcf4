package hf

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// decoder turns the elements in src into as many float32s.
type decoder func(dst []float32, src []byte)

// decoders are the types that weights may have.
var decoders = map[string]decoder{
	"F16":  decodeF16,
	"BF16": decodeBF16,
	"F32":  decodeF32,
	"F64":  decodeF64,

	float8E4M3: decodeE4M3,
	float8E5M2: decodeE5M2,
}

// elementSize are the types that a file may hold, with the bytes of an element. Some of them only
// occur in tensors that are left out.
var elementSize = map[string]int{
	"BOOL": 1, "U8": 1, "I8": 1, float8E4M3: 1, float8E5M2: 1, float8E8M0: 1,
	"I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4,
	"I64": 8, "U64": 8, "F64": 8, "C64": 8,
}

// packedBits are types with elements of less than a byte, with their bits.
var packedBits = map[string]int{float4: 4, "F6_E2M3": 6, "F6_E3M2": 6}

// bitsOf returns the bits of an element; ok is false if the type is none that a file may hold.
func bitsOf(dtype string) (bits int, ok bool) {
	if size, ok := elementSize[dtype]; ok {
		return 8 * size, true
	}
	bits, ok = packedBits[dtype]
	return bits, ok
}

func supportedDTypes() string {
	return strings.Join(slices.Sorted(maps.Keys(decoders)), ", ")
}

func decodeF16(dst []float32, src []byte) { float16sTo32(dst, src) }

func decodeBF16(dst []float32, src []byte) { bfloat16sTo32(dst, src) }

func decodeF32(dst []float32, src []byte) { float32s(dst, src) }

// decodeF64 rounds to the nearest float32; what is beyond its range becomes infinite.
func decodeF64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

// The bodies without assembly, which define what the others do.

func float16sTo32Go(dst []float32, src []byte) {
	table := float16s()
	for i := range dst {
		dst[i] = table[binary.LittleEndian.Uint16(src[2*i:])]
	}
}

// float16s are the values of all 65536 float16s.
var float16s = sync.OnceValue(func() *[1 << 16]float32 {
	table := new([1 << 16]float32)
	for i := range table {
		table[i] = float16To32(uint16(i))
	}
	return table
})

// float16To32 returns the value of a float16. A NaN becomes quiet and keeps its other bits.
func float16To32(h uint16) float32 {
	const rebias = 0x1p112 // between the exponents of the two types; it makes subnormals right too
	sign, h := uint32(h&0x8000)<<16, h&0x7fff
	b := math.Float32bits(math.Float32frombits(uint32(h)<<13) * rebias)
	if h >= 0x7c00 {
		b = 0x7f800000 | uint32(h&0x3ff)<<13
	}
	if h > 0x7c00 {
		b |= 0x00400000
	}
	return math.Float32frombits(sign | b)
}

func bfloat16sTo32Go(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func float32sGo(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
