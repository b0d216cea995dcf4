package gguf

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/x448/float16"
)

// Type is how the elements of a tensor are stored: in blocks, each of a number of elements of a row.
type Type struct {
	Name     string
	Elements int // of a block
	Bytes    int // of a block

	// decode computes the values of one block.
	decode func(dst []float32, src []byte)
	// integers reads one block as whole numbers, nil if the type is none of those.
	integers *Integers
}

// Integers describes types whose values in a block are (q−z)·s, with whole numbers q and z, and a
// scale s that is not negative.
type Integers struct {
	Low, High int // bounds of q, with which −q+Low+High is within them too
	// Block reads one block. Without codes, it only returns the scale and the zero-point. If ok is
	// false, the values of this block are not of this kind.
	Block func(codes []int16, src []byte) (scale float32, zero int16, ok bool)
}

// Decode fills dst with the values of whole blocks.
func (t *Type) Decode(dst []float32, src []byte) {
	if len(dst)/t.Elements*t.Bytes != len(src) || len(dst)%t.Elements != 0 {
		panic("gguf: " + t.Name + ": not whole blocks")
	}
	for len(dst) > 0 {
		t.decode(dst[:t.Elements:t.Elements], src[:t.Bytes:t.Bytes])
		dst, src = dst[t.Elements:], src[t.Bytes:]
	}
}

// Readable reports whether values of this type can be computed.
func (t *Type) Readable() bool { return t.decode != nil }

// Integers returns how blocks are read as whole numbers, nil if the type is none of those.
func (t *Type) Integers() *Integers { return t.integers }

// Plain reports whether elements are floats, one after the other.
func (t *Type) Plain() bool { return t.Elements == 1 && t.decode != nil }

// super is how many elements the larger blocks have.
const super = 256

// types are those that a file may name, by their numbers. Those without decode are known by their size
// alone: they occur in files, but hold no weights, or weights that are not read.
var types = map[uint32]*Type{
	0:  {Name: "F32", Elements: 1, Bytes: 4, decode: decodeF32},
	1:  {Name: "F16", Elements: 1, Bytes: 2, decode: decodeF16},
	2:  {Name: "Q4_0", Elements: 32, Bytes: 18, decode: decodeQ4_0, integers: symmetric(0, 15, 8, codesQ4_0)},
	3:  {Name: "Q4_1", Elements: 32, Bytes: 20, decode: decodeQ4_1, integers: shifted(15, codesQ4_1)},
	6:  {Name: "Q5_0", Elements: 32, Bytes: 22, decode: decodeQ5_0, integers: symmetric(0, 31, 16, codesQ5_0)},
	7:  {Name: "Q5_1", Elements: 32, Bytes: 24, decode: decodeQ5_1, integers: shifted(31, codesQ5_1)},
	8:  {Name: "Q8_0", Elements: 32, Bytes: 34, decode: decodeQ8_0, integers: symmetric(-128, 127, 0, codesQ8_0)},
	9:  {Name: "Q8_1", Elements: 32, Bytes: 36},
	10: {Name: "Q2_K", Elements: super, Bytes: 84, decode: decodeQ2K},
	11: {Name: "Q3_K", Elements: super, Bytes: 110, decode: decodeQ3K},
	12: {Name: "Q4_K", Elements: super, Bytes: 144, decode: decodeQ4K},
	13: {Name: "Q5_K", Elements: super, Bytes: 176, decode: decodeQ5K},
	14: {Name: "Q6_K", Elements: super, Bytes: 210, decode: decodeQ6K},
	15: {Name: "Q8_K", Elements: super, Bytes: 292},
	16: {Name: "IQ2_XXS", Elements: super, Bytes: 66},
	17: {Name: "IQ2_XS", Elements: super, Bytes: 74},
	18: {Name: "IQ3_XXS", Elements: super, Bytes: 98},
	19: {Name: "IQ1_S", Elements: super, Bytes: 50},
	20: {Name: "IQ4_NL", Elements: 32, Bytes: 18, decode: decodeIQ4NL, integers: symmetric(-127, 127, 0, codesIQ4NL)},
	21: {Name: "IQ3_S", Elements: super, Bytes: 110},
	22: {Name: "IQ2_S", Elements: super, Bytes: 82},
	23: {Name: "IQ4_XS", Elements: super, Bytes: 136, decode: decodeIQ4XS},
	24: {Name: "I8", Elements: 1, Bytes: 1},
	25: {Name: "I16", Elements: 1, Bytes: 2},
	26: {Name: "I32", Elements: 1, Bytes: 4},
	27: {Name: "I64", Elements: 1, Bytes: 8},
	28: {Name: "F64", Elements: 1, Bytes: 8},
	29: {Name: "IQ1_M", Elements: super, Bytes: 56},
	30: {Name: "BF16", Elements: 1, Bytes: 2, decode: decodeBF16},
	34: {Name: "TQ1_0", Elements: super, Bytes: 54, decode: decodeTQ1, integers: symmetric(0, 3, 1, codesTQ1)},
	35: {Name: "TQ2_0", Elements: super, Bytes: 66, decode: decodeTQ2, integers: symmetric(0, 3, 1, codesTQ2)},
	39: {Name: "MXFP4", Elements: 32, Bytes: 17, decode: decodeMXFP4, integers: symmetric(-12, 12, 0, codesMXFP4)},
	40: {Name: "NVFP4", Elements: 64, Bytes: 36, decode: decodeNVFP4},
}

// Supported lists the types that tensors of weights may have.
func Supported() (names []string) {
	for _, id := range slices.Sorted(mapKeys(types)) {
		if t := types[id]; t.decode != nil {
			names = append(names, t.Name)
		}
	}
	return names
}

func mapKeys(m map[uint32]*Type) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// symmetric describes a type of which every block has the same zero-point. Read fills codes, if there
// are any, and returns the scale; one below 0 turns the codes around.
func symmetric(low, high, zero int, read func(codes []int16, src []byte) float32) *Integers {
	return &Integers{low, high, func(codes []int16, src []byte) (float32, int16, bool) {
		scale := read(codes, src)
		if scale >= 0 {
			return scale, int16(zero), true
		}
		turn(codes, low, high)
		return -scale, int16(low + high - zero), true
	}}
}

// turn replaces each code by the one at the same distance from the other end.
func turn(codes []int16, low, high int) {
	for i, q := range codes {
		codes[i] = int16(low+high) - q
	}
}

// shifted describes a type of which every block has a least value beside its scale. Where that is a
// multiple of the scale by a whole number, the block has a zero-point.
func shifted(high int, read func(codes []int16, src []byte) (scale, least float32)) *Integers {
	return &Integers{0, high, func(codes []int16, src []byte) (float32, int16, bool) {
		scale, least := read(codes, src)
		if scale == 0 { // all values are the least one: 1 or −1 times its size
			for i := range codes {
				codes[i] = 1
			}
			if least < 0 {
				return -least, 2, true
			}
			return least, 0, true
		}
		zero := -least / scale
		if zero != float32(int16(zero)) || float32(-zero*scale) != least {
			return 0, 0, false
		}
		if scale < 0 {
			turn(codes, 0, high)
			return -scale, int16(high) - int16(zero), true
		}
		return scale, int16(zero), true
	}}
}

func half(src []byte) float32 {
	return float16.Frombits(binary.LittleEndian.Uint16(src)).Float32()
}

func decodeF32(dst []float32, src []byte) {
	dst[0] = math.Float32frombits(binary.LittleEndian.Uint32(src))
}

func decodeF16(dst []float32, src []byte) { dst[0] = half(src) }

func decodeBF16(dst []float32, src []byte) {
	dst[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src)) << 16)
}
