package simd

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

// whole returns how many of n elements the assembly takes: eight at a time.
func whole(n int) int {
	if level == vector.None {
		return 0
	}
	return n &^ 7
}

// piece is how many elements a sum of float32 takes at most before it is added to one of float64.
const piece = 1024

// expShift replaces x by e^(x−shift) and returns the sum of that.
func expShift(x []float32, shift float32) float64 {
	n, sum := whole(len(x)), 0.0
	for i := 0; i < n; i += piece {
		var lanes [8]float32
		expAVX2(&x[i], min(piece, n-i), shift, &lanes)
		sum += float64(fold(&lanes))
	}
	return sum + expShiftGo(x[n:], shift)
}

// gate replaces x by x/(1+e^(−x·(a+b·x²))).
func gate(x []float32, a, b float32) {
	n := whole(len(x))
	if n > 0 {
		gateAVX2(&x[0], n, a, b)
	}
	gateGo(x[n:], a, b)
}

func maximum(x []float32) float32 {
	n := whole(len(x))
	if n == 0 {
		return maximumGo(x[1:], x[0])
	}
	var lanes [8]float32
	maxAVX2(&x[0], n, &lanes)
	return maximumGo(x[n:], maximumGo(lanes[1:], lanes[0]))
}

func scale(x []float32, s float32) {
	n := whole(len(x))
	if n > 0 {
		scaleAVX2(&x[0], n, s)
	}
	scaleGo(x[n:], s)
}

func multiply(x, y []float32) {
	n := whole(len(x))
	if n > 0 {
		mulAVX2(&x[0], &y[0], n)
	}
	multiplyGo(x[n:], y[n:])
}

func addScaled(x, y []float32, s float32) {
	n := whole(len(x))
	if n > 0 {
		addAVX2(&x[0], &y[0], n, s)
	}
	addScaledGo(x[n:], y[n:], s)
}

func moments(x []float32, mean float32) (sum, square float64) {
	n := whole(len(x))
	for i := 0; i < n; i += piece {
		var lanes [2][8]float32
		momentsAVX2(&x[i], min(piece, n-i), mean, &lanes)
		sum += float64(fold(&lanes[0]))
		square += float64(fold(&lanes[1]))
	}
	s, q := momentsGo(x[n:], mean)
	return sum + s, square + q
}

func affine(y, x, w, b []float32, mean, scale float32) {
	y, w, b = y[:len(x)], w[:len(x)], b[:len(x)]
	n := whole(len(x))
	if n > 0 {
		affineAVX2(&y[0], &x[0], &w[0], &b[0], n, mean, scale)
	}
	affineGo(y[n:], x[n:], w[n:], b[n:], mean, scale)
}

func round16(x []float32) {
	n := whole(len(x))
	if n > 0 {
		round16AVX2(&x[0], n)
	}
	round16Go(x[n:])
}

// fold adds up lanes: l and l+4, then l and l+2, then the last two.
func fold(l *[8]float32) float32 {
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

// In all of these, n is a multiple of 8 and not 0.

// expAVX2 replaces x by e^(x−shift) and sets sums to the sums of that by lane.
//
//go:noescape
func expAVX2(x *float32, n int, shift float32, sums *[8]float32)

// gateAVX2 replaces x by x/(1+e^(−x·(a+b·x²))).
//
//go:noescape
func gateAVX2(x *float32, n int, a, b float32)

// maxAVX2 sets most to the largest elements by lane.
//
//go:noescape
func maxAVX2(x *float32, n int, most *[8]float32)

//go:noescape
func scaleAVX2(x *float32, n int, scale float32)

//go:noescape
func mulAVX2(x, y *float32, n int)

//go:noescape
func addAVX2(x, y *float32, n int, scale float32)

// momentsAVX2 sets sums to those of x−mean and of its square, by lane.
//
//go:noescape
func momentsAVX2(x *float32, n int, mean float32, sums *[2][8]float32)

// affineAVX2 sets y to (x−mean)·scale·w+b.
//
//go:noescape
func affineAVX2(y, x, w, b *float32, n int, mean, scale float32)

// round16AVX2 rounds x to float16.
//
//go:noescape
func round16AVX2(x *float32, n int)
