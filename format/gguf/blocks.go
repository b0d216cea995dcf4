package gguf

import (
	"encoding/binary"
	"math"
)

// Blocks of 32. Products and sums are rounded one by one, as by float32(…), so that no compiler fuses
// them: values are the same on every machine.

// nibbles writes the low halves of src, then the high ones.
func nibbles(dst []int16, src []byte) {
	n := len(src)
	low, high := dst[:n], dst[n:2*n]
	for i, b := range src {
		low[i], high[i] = int16(b&15), int16(b>>4)
	}
}

// fifths writes numbers of five bits: nibbles, and one more bit for each.
func fifths(dst []int16, high uint32, src []byte) {
	nibbles(dst, src)
	for i := range dst {
		dst[i] |= int16(high>>i&1) << 4
	}
}

// scaled computes (q−zero)·d.
func scaled(dst []float32, q []int16, zero int16, d float32) {
	q = q[:len(dst)]
	for i := range dst {
		dst[i] = float32(q[i]-zero) * d
	}
}

// above computes d·q + m.
func above(dst []float32, q []int16, d, m float32) {
	q = q[:len(dst)]
	for i := range dst {
		dst[i] = float32(d*float32(q[i])) + m
	}
}

// codesQ4_0: scale, 16 bytes of nibbles.
func codesQ4_0(codes []int16, src []byte) float32 {
	if codes != nil {
		nibbles(codes, src[2:18])
	}
	return half(src)
}

func decodeQ4_0(dst []float32, src []byte) {
	var q [32]int16
	d := codesQ4_0(q[:], src)
	scaled(dst, q[:], 8, d)
}

// codesQ4_1: scale, least value, 16 bytes of nibbles.
func codesQ4_1(codes []int16, src []byte) (scale, least float32) {
	if codes != nil {
		nibbles(codes, src[4:20])
	}
	return half(src), half(src[2:])
}

func decodeQ4_1(dst []float32, src []byte) {
	var q [32]int16
	d, m := codesQ4_1(q[:], src)
	above(dst, q[:], d, m)
}

// codesQ5_0: scale, the highest bits of all codes, 16 bytes of nibbles.
func codesQ5_0(codes []int16, src []byte) float32 {
	if codes != nil {
		fifths(codes, binary.LittleEndian.Uint32(src[2:]), src[6:22])
	}
	return half(src)
}

func decodeQ5_0(dst []float32, src []byte) {
	var q [32]int16
	d := codesQ5_0(q[:], src)
	scaled(dst, q[:], 16, d)
}

// codesQ5_1: scale, least value, the highest bits of all codes, 16 bytes of nibbles.
func codesQ5_1(codes []int16, src []byte) (scale, least float32) {
	if codes != nil {
		fifths(codes, binary.LittleEndian.Uint32(src[4:]), src[8:24])
	}
	return half(src), half(src[2:])
}

func decodeQ5_1(dst []float32, src []byte) {
	var q [32]int16
	d, m := codesQ5_1(q[:], src)
	above(dst, q[:], d, m)
}

// codesQ8_0: scale, 32 bytes in two's complement.
func codesQ8_0(codes []int16, src []byte) float32 {
	for i := range codes {
		codes[i] = int16(int8(src[2+i]))
	}
	return half(src)
}

func decodeQ8_0(dst []float32, src []byte) {
	d := half(src)
	q := src[2:34]
	dst = dst[:len(q)]
	for i, b := range q {
		dst[i] = float32(int8(b)) * d
	}
}

// levels are the values that the codes of IQ4_NL and IQ4_XS stand for.
var levels = [16]int16{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// lookups writes values of a table: those of the low halves of src, then those of the high ones.
func lookups(dst []int16, table *[16]int16, src []byte) {
	n := len(src)
	low, high := dst[:n], dst[n:2*n]
	for i, b := range src {
		low[i], high[i] = table[b&15], table[b>>4]
	}
}

// codesIQ4NL: scale, 16 bytes of nibbles that choose one of the levels.
func codesIQ4NL(codes []int16, src []byte) float32 {
	if codes != nil {
		lookups(codes, &levels, src[2:18])
	}
	return half(src)
}

func decodeIQ4NL(dst []float32, src []byte) {
	var q [32]int16
	d := codesIQ4NL(q[:], src)
	scaled(dst, q[:], 0, d)
}

// e2m1 are twice the values of floats of four bits.
var e2m1 = [16]int16{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// codesMXFP4: the exponent of the scale, 16 bytes of nibbles that are floats of four bits.
func codesMXFP4(codes []int16, src []byte) float32 {
	if codes != nil {
		lookups(codes, &e2m1, src[1:17])
	}
	e := uint32(src[0]) // half of 2 to the power of e−127
	if e < 2 {
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits((e - 1) << 23)
}

func decodeMXFP4(dst []float32, src []byte) {
	var q [32]int16
	d := codesMXFP4(q[:], src)
	scaled(dst, q[:], 0, d)
}

// decodeNVFP4: for each of four times 16 elements a scale, a float of eight bits without a sign; then
// floats of four bits, of each 16 the low halves of eight bytes and then the high ones.
func decodeNVFP4(dst []float32, src []byte) {
	var q [16]int16
	for k := range 4 {
		lookups(q[:], &e2m1, src[4+8*k:12+8*k])
		scaled(dst[16*k:16*k+16], q[:], 0, halfOfE4M3(src[k]))
	}
}

// halfOfE4M3 returns half of the value of a float of eight bits without a sign.
func halfOfE4M3(x byte) float32 {
	exponent, mantissa := int(x>>3&15), float64(x&7)
	switch {
	case x == 0 || x == 0x7f:
		return 0
	case exponent == 0:
		return float32(math.Ldexp(mantissa, -10))
	}
	return float32(math.Ldexp(1+mantissa/8, exponent-8))
}
