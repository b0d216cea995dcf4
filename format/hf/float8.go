package hf

import "math"

// The types of 8-bit floats. E4M3 is the one without infinities that PyTorch calls float8_e4m3fn; E8M0
// holds powers of two, and only scales have it.
const (
	float8E4M3 = "F8_E4M3"
	float8E5M2 = "F8_E5M2"
	float8E8M0 = "F8_E8M0"
)

// isFloat8 reports whether a weight may have this type of 8 bits.
func isFloat8(dtype string) bool { return dtype == float8E4M3 || dtype == float8E5M2 }

// The values of all bytes.
var (
	e4m3 = float8Table(4, 3)
	e5m2 = float8Table(5, 2)
	e8m0 = powersOfTwo()
)

func decodeE4M3(dst []float32, src []byte) { lookUp(dst, src, &e4m3) }

func decodeE5M2(dst []float32, src []byte) { lookUp(dst, src, &e5m2) }

func decodeE8M0(dst []float32, src []byte) { lookUp(dst, src, &e8m0) }

func lookUp(dst []float32, src []byte, table *[256]float32) {
	src = src[:len(dst)]
	for i, b := range src {
		dst[i] = table[b]
	}
}

// float8Table lists the values of a sign, an exponent and a mantissa. With 5 bits of exponent, the
// largest one stands for infinity and NaN as in IEEE 754; with 4 bits, only the largest mantissa with
// it does, for NaN.
func float8Table(exponent, mantissa int) (table [256]float32) {
	bias := 1<<(exponent-1) - 1
	for b := range table {
		e, m := b>>mantissa&(1<<exponent-1), b&(1<<mantissa-1)
		v := math.Ldexp(float64(m|1<<mantissa), e-bias-mantissa)
		top := e == 1<<exponent-1
		switch {
		case e == 0:
			v = math.Ldexp(float64(m), 1-bias-mantissa)
		case top && exponent == 5 && m == 0:
			v = math.Inf(1)
		case top && (exponent == 5 || m == 1<<mantissa-1):
			v = math.NaN()
		}
		if b >= 128 {
			v = -v
		}
		table[b] = float32(v)
	}
	return table
}

// powersOfTwo lists 2^(b−127), and NaN for 255.
func powersOfTwo() (table [256]float32) {
	for b := range table {
		table[b] = float32(math.Ldexp(1, b-127))
	}
	table[255] = float32(math.NaN())
	return table
}
