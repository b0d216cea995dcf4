package simd

import "math"

// Softmax turns x into probabilities. An x of one element becomes 1.
func Softmax(x []float32) {
	most := x[0]
	for _, v := range x {
		most = max(most, v)
	}
	scale := float32(1 / expShift(x, most))
	for i := range x {
		x[i] *= scale
	}
}

// SiLU replaces every element by x·σ(x).
func SiLU(x []float32) { gate(x, 1, 0) }

// GELUTanh replaces every element by the tanh approximation of x·Φ(x), which is x·σ(2u) for
// u = √(2/π)·(x+0.044715·x³).
func GELUTanh(x []float32) {
	const a = 2 * 0.7978845608028654
	gate(x, a, a*0.044715)
}

// expShiftGo replaces x by e^(x−shift) and returns the sum of that.
func expShiftGo(x []float32, shift float32) float64 {
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - shift))
		x[i] = float32(e)
		sum += e
	}
	return sum
}

// gateGo replaces x by x/(1+e^(−x·(a+b·x²))).
func gateGo(x []float32, a, b float32) {
	for i, v := range x {
		u := float64(v)
		x[i] = float32(u / (1 + math.Exp(-u*(float64(a)+float64(b)*u*u))))
	}
}
