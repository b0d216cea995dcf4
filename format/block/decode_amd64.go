package block

// decodeCodes fills dst with the weights of codes, the first of a block, and returns how many it did.
func (s Scheme) decodeCodes(dst []float32, codes []byte, p Params) int {
	n := len(dst) &^ 15
	if n == 0 || !hasF16C {
		return 0
	}
	_ = codes[n*s.Bits/8-1]
	switch s.Bits {
	case 8:
		decode8AVX2(&dst[0], &codes[0], n, int32(p.Zero), p.Scale)
	case 4:
		decode4AVX2(&dst[0], &codes[0], n, int32(p.Zero), p.Scale)
	default:
		decode2AVX2(&dst[0], &codes[0], n, int32(p.Zero), p.Scale)
	}
	return n
}

// FromFloat16s fills dst with the values of float16s, little-endian, 2·len(dst) bytes.
func FromFloat16s(dst []float32, src []byte) {
	n := 0
	if hasF16C {
		if n = len(dst) &^ 15; n > 0 {
			singlesAVX2(&dst[0], &src[:2*n][0], n)
		}
	}
	fromFloat16sGo(dst[n:], src[2*n:])
}

//go:noescape
func decode8AVX2(dst *float32, codes *byte, n int, zero int32, scale float32)

//go:noescape
func decode4AVX2(dst *float32, codes *byte, n int, zero int32, scale float32)

//go:noescape
func decode2AVX2(dst *float32, codes *byte, n int, zero int32, scale float32)

//go:noescape
func singlesAVX2(dst *float32, src *byte, n int)
