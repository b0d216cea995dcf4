package simd

// expShift replaces x by e^(x−shift) and returns the sum of that.
func expShift(x []float32, shift float32) float64 {
	n := 0
	sum := 0.0
	if bodies != scalar {
		for len(x)-n >= 8 { // a sum of float32 stays short
			m := min(1024, (len(x)-n)&^7)
			sum += float64(expAVX2(&x[n], m, shift))
			n += m
		}
	}
	return sum + expShiftGo(x[n:], shift)
}

// gate replaces x by x/(1+e^(−x·(a+b·x²))).
func gate(x []float32, a, b float32) {
	n := 0
	if bodies != scalar {
		if n = len(x) &^ 7; n > 0 {
			gateAVX2(&x[0], n, a, b)
		}
	}
	gateGo(x[n:], a, b)
}
