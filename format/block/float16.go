package block

import (
	"encoding/binary"
	"math"
)

// What float16 can hold.
const (
	MaxFloat16    = 65504   // the largest finite float16
	SafeKV        = 16376   // if keys and values of a text stay within it, a quarter of MaxFloat16, float16 is trusted with other texts
	NormalFloat16 = 0x1p-14 // the smallest normal float16
	InfFloat16    = 0x7c00  // bits of +Inf; greater ones are NaN or negative
)

// keepFloat16 are the bits of a float64 fraction beyond those of a float16.
const keepFloat16 = 1<<42 - 1

// unitFloat16 is the smallest subnormal float16.
const unitFloat16 = 0x1p-24

// RoundFloat16 rounds x ≥ 0 to the nearest float16, ties to even; from 65520 on that is +Inf.
func RoundFloat16(x float64) float64 {
	if x < NormalFloat16 {
		return math.RoundToEven(x/unitFloat16) * unitFloat16
	}
	b := math.Float64bits(x)
	r := math.Float64frombits((b + keepFloat16>>1 + b>>42&1) &^ keepFloat16)
	if r > MaxFloat16 {
		return math.Inf(1)
	}
	return r
}

// FloorFloat16 rounds x down to a float16. x is at least NormalFloat16 and at most MaxFloat16.
func FloorFloat16(x float64) float64 {
	return math.Float64frombits(math.Float64bits(x) &^ keepFloat16)
}

// float16sGo writes the float16s nearest to w to dst, little-endian.
func float16sGo(dst []byte, w []float32) {
	for i, v := range w {
		binary.LittleEndian.PutUint16(dst[2*i:], Float16(v))
	}
}

// Float16s writes the float16s nearest to w to dst, little-endian, 2·len(w) bytes.
func Float16s(dst []byte, w []float32) { float16s(dst, w) }

// Float16 returns the bits of the float16 that is nearest to x, ties to even. A NaN keeps the
// upper bits of its fraction.
func Float16(x float32) uint16 {
	b := math.Float32bits(x)
	sign, b := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case b >= 0x477ff000: // 65520, half a step above the largest
		return sign | InfFloat16
	case b < 0x38800000: // 2⁻¹⁴: the sum below leaves the subnormal in the low bits, rounded
		const half = 0.5
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+half)-math.Float32bits(half))
	}
	return sign | uint16((b-0x38000000+0xfff+b>>13&1)>>13)
}

// FromFloat16 returns the value of a float16.
func FromFloat16(h uint16) float32 {
	sign, h := uint32(h&0x8000)<<16, h&0x7fff
	switch {
	case h >= InfFloat16:
		return math.Float32frombits(sign | 0x7f800000 | uint32(h&0x3ff)<<13)
	case h < 0x400: // subnormal
		return math.Float32frombits(sign | math.Float32bits(float32(h)*unitFloat16))
	}
	return math.Float32frombits(sign | uint32(h)<<13 + 0x38000000)
}

// fromFloat16sGo is the definition of FromFloat16s.
func fromFloat16sGo(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = FromFloat16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}
