package simd

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

// expShift replaces x by e^(x−shift) and returns the sum of that.
func expShift(x []float32, shift float32) float64 {
	n := 0
	sum := 0.0
	if level != vector.None {
		for len(x)-n >= 8 { // a sum of float32 stays short
			m := min(1024, (len(x)-n)&^7)
			var lanes [8]float32
			expAVX2(&x[n], m, shift, &lanes)
			sum += float64(fold(&lanes))
			n += m
		}
	}
	return sum + expShiftGo(x[n:], shift)
}

// gate replaces x by x/(1+e^(−x·(a+b·x²))).
func gate(x []float32, a, b float32) {
	n := 0
	if level != vector.None {
		if n = len(x) &^ 7; n > 0 {
			gateAVX2(&x[0], n, a, b)
		}
	}
	gateGo(x[n:], a, b)
}

// fold adds up lanes: l and l+4, then l and l+2, then the last two.
func fold(l *[8]float32) float32 {
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}
