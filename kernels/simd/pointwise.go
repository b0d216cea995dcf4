package simd

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// Softmax turns x into probabilities. An x of one element becomes 1.
func Softmax(x []float32) {
	Scale(x, float32(1/expShift(x, maximum(x))))
}

// SiLU replaces every element by x·σ(x).
func SiLU(x []float32) { gate(x, 1, 0) }

// Swish replaces every element by x·σ(slope·x).
func Swish(x []float32, slope float32) { gate(x, slope, 0) }

// GELUTanh replaces every element by the tanh approximation of x·Φ(x), which is x·σ(2u) for
// u = √(2/π)·(x+0.044715·x³).
func GELUTanh(x []float32) {
	const a = 2 * 0.7978845608028654
	gate(x, a, a*0.044715)
}

// Scale multiplies every element by s.
func Scale(x []float32, s float32) { scale(x, s) }

// Multiply multiplies x by y, element by element; y is at least as long.
func Multiply(x, y []float32) { multiply(x, y[:len(x)]) }

// Add adds s·y to x; y is at least as long.
func Add(x, y []float32, s float32) { addScaled(x, y[:len(x)], s) }

// RMSNorm sets y to x/√(mean(x²)+eps)·w+b. All are of one length.
func RMSNorm(y, x, w, b []float32, eps float32) {
	_, square := moments(x, 0)
	affine(y, x, w, b, 0, float32(1/math.Sqrt(square/float64(len(x))+float64(eps))))
}

// LayerNorm sets y to (x−mean(x))/√(variance(x)+eps)·w+b. All are of one length.
func LayerNorm(y, x, w, b []float32, eps float32) {
	sum, _ := moments(x, 0)
	mean := float32(sum / float64(len(x)))
	rest, square := moments(x, mean) // rest: what rounding left of the mean
	n := float64(len(x))
	affine(y, x, w, b, mean, float32(1/math.Sqrt(square/n-rest/n*(rest/n)+float64(eps))))
}

// RoundFloat16 rounds every element to float16.
func RoundFloat16(x []float32) { round16(x) }

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

func maximumGo(x []float32, most float32) float32 {
	for _, v := range x {
		most = max(most, v)
	}
	return most
}

func scaleGo(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

func multiplyGo(x, y []float32) {
	for i, v := range y {
		x[i] *= v
	}
}

func addScaledGo(x, y []float32, s float32) {
	for i, v := range y {
		x[i] += s * v
	}
}

// momentsGo returns Σ(x−mean) and Σ(x−mean)².
func momentsGo(x []float32, mean float32) (sum, square float64) {
	for _, v := range x {
		d := float64(v - mean)
		sum += d
		square += d * d
	}
	return sum, square
}

// affineGo sets y to (x−mean)·scale·w+b.
func affineGo(y, x, w, b []float32, mean, scale float32) {
	for i, v := range x {
		y[i] = (v-mean)*scale*w[i] + b[i]
	}
}

func round16Go(x []float32) {
	for i, v := range x {
		x[i] = block.FromFloat16(block.Float16(v))
	}
}
