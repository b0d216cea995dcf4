package gguf

import "encoding/binary"

// Blocks of 256, which consist of smaller ones with scales of a few bits.

// decodeQ2K: 16 bytes with a scale (low half) and a least value (high half) for each 16 elements; 64
// bytes of codes of two bits; the factors of scales and of least values.
func decodeQ2K(dst []float32, src []byte) {
	d, dmin := half(src[80:]), half(src[82:])
	for k := range 16 {
		s := src[k]
		scale, least := d*float32(s&15), dmin*float32(s>>4)
		// elements 128·h + 32·j + 0…31 are bits 2j and 2j+1 of bytes 32·h + 0…31
		q, shift := src[16+k/8*32+k%2*16:][:16], k/2%4*2
		to := dst[16*k : 16*k+16]
		for i, b := range q {
			to[i] = float32(scale*float32(b>>shift&3)) - least
		}
	}
}

// decodeQ3K: 32 bytes with the highest bit of each code, 64 with the two others, 12 with 16 scales of
// six bits, the factor of the scales.
func decodeQ3K(dst []float32, src []byte) {
	high, low, scales, d := src[:32], src[32:96], src[96:108], half(src[108:])
	for k := range 16 {
		s := scales[k%8] >> (k / 8 * 4) & 15
		s |= scales[8+k%4] >> (k / 4 * 2) & 3 << 4
		scale := d * float32(int(s)-32)
		q, h := low[k/8*32+k%2*16:][:16], high[k%2*16:][:16]
		shift, bit := k/2%4*2, k/2
		to := dst[16*k : 16*k+16]
		for i, b := range q {
			code := int(b>>shift&3) - 4 + int(h[i]>>bit&1)*4
			to[i] = scale * float32(code)
		}
	}
}

// scaleAndLeast returns the scale and least value of the 32 elements of index k, of 12 bytes with eight
// of each, of six bits.
func scaleAndLeast(src []byte, k int) (scale, least byte) {
	if k < 4 {
		return src[k] & 63, src[k+4] & 63
	}
	return src[k+4]&15 | src[k-4]>>6<<4, src[k+4]>>4 | src[k]>>6<<4
}

// decodeQ4K: the factors of scales and least values, 12 bytes with these, 128 of nibbles: each 32 bytes
// hold 32 elements in their low halves and the next 32 in their high ones.
func decodeQ4K(dst []float32, src []byte) {
	d, dmin := half(src), half(src[2:])
	for j := range 4 {
		q := src[16+32*j:][:32]
		s, m := scaleAndLeast(src[4:16], 2*j)
		low, lowLeast := d*float32(s), dmin*float32(m)
		s, m = scaleAndLeast(src[4:16], 2*j+1)
		high, highLeast := d*float32(s), dmin*float32(m)
		to, next := dst[64*j:][:32], dst[64*j+32:][:32]
		for i, b := range q {
			to[i] = float32(low*float32(b&15)) - lowLeast
			next[i] = float32(high*float32(b>>4)) - highLeast
		}
	}
}

// decodeQ5K is decodeQ4K with 32 more bytes before the nibbles: of byte i, bit k is the highest of
// element 32·k + i.
func decodeQ5K(dst []float32, src []byte) {
	d, dmin := half(src), half(src[2:])
	h := src[16:48]
	for k := range 8 {
		s, m := scaleAndLeast(src[4:16], k)
		scale, least := d*float32(s), dmin*float32(m)
		q, shift := src[48+k/2*32:][:32], k%2*4
		to := dst[32*k:][:32]
		for i, b := range q {
			code := b>>shift&15 | h[i]>>k&1<<4
			to[i] = float32(scale*float32(code)) - least
		}
	}
}

// decodeQ6K: 128 bytes with the four low bits of each code, 64 with the two high ones, 16 scales in
// two's complement, their factor.
func decodeQ6K(dst []float32, src []byte) {
	d := half(src[208:])
	for k := range 16 {
		scale := d * float32(int8(src[192+k]))
		// elements 128·h + 32·j + 0…31: nibble j/2 of bytes 64·h + 32·(j%2) + 0…31, and bits 2j and
		// 2j+1 of bytes 32·h + 0…31
		half, j, part := k/8, k/2%4, k%2*16
		low, nibble := src[64*half+j%2*32+part:][:16], j/2*4
		high, shift := src[128+32*half+part:][:16], 2*j
		to := dst[16*k:][:16]
		for i, b := range low {
			code := int(b>>nibble&15|high[i]>>shift&3<<4) - 32
			to[i] = scale * float32(code)
		}
	}
}

// decodeIQ4XS: the factor of the scales, eight times their two high bits, eight times their four low
// ones, 128 bytes of nibbles that choose one of the levels.
func decodeIQ4XS(dst []float32, src []byte) {
	d, high := half(src), binary.LittleEndian.Uint16(src[2:])
	var q [32]int16
	for k := range 8 {
		s := int(src[4+k/2]>>(k%2*4)&15) | int(high>>(2*k)&3)<<4
		lookups(q[:], &levels, src[8+16*k:][:16])
		scaled(dst[32*k:][:32], q[:], 0, d*float32(s-32))
	}
}

// codesTQ1: 52 bytes of five digits to the base of three, and then four with four; the scale. A byte is the
// digits, as a fraction, times 256.
func codesTQ1(codes []int16, src []byte) float32 {
	if codes == nil {
		return half(src[52:])
	}
	at := 0
	for _, run := range []struct{ from, bytes, digits int }{{0, 32, 5}, {32, 16, 5}, {48, 4, 4}} {
		power := byte(1)
		for range run.digits {
			for _, b := range src[run.from : run.from+run.bytes] {
				codes[at] = int16(uint16(b*power) * 3 >> 8)
				at++
			}
			power *= 3
		}
	}
	return half(src[52:])
}

func decodeTQ1(dst []float32, src []byte) {
	var q [super]int16
	d := codesTQ1(q[:], src)
	scaled(dst, q[:], 1, d)
}

// codesTQ2: 64 bytes with codes of two bits; the scale. Elements 128·h + 32·j + 0…31 are bits 2j and
// 2j+1 of bytes 32·h + 0…31.
func codesTQ2(codes []int16, src []byte) float32 {
	for i := range codes {
		codes[i] = int16(src[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3)
	}
	return half(src[64:])
}

func decodeTQ2(dst []float32, src []byte) {
	var q [super]int16
	d := codesTQ2(q[:], src)
	scaled(dst, q[:], 1, d)
}
