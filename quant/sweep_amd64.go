package quant

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

// sweep adds Σ a[k]·x[k·step+i] to each y[i], in the order of k.
func sweep(y, a, x []float32, step int) {
	n := 0
	if level != vector.None && len(a) > 0 {
		if n = len(y) &^ (lanes - 1); n > 0 {
			_ = x[(len(a)-1)*step+n-1]
			if level == vector.AVX512 {
				sweepAVX512(&y[0], n, &a[0], len(a), &x[0], step)
			} else {
				sweepAVX2(&y[0], n, &a[0], len(a), &x[0], step)
			}
		}
	}
	if n < len(y) {
		sweepGo(y[n:], a, x[n:], step)
	}
}

// dot64 returns a·b. They are equally long.
func dot64(a, b []float64) float64 {
	n := len(a) &^ (dotLanes - 1)
	if n == 0 {
		return dotRest(0, a, b)
	}
	if level == vector.None {
		return dot64Go(a, b)
	}
	b = b[:len(a)]
	sum := 0.0
	if level == vector.AVX512 {
		sum = dot64AVX512(&a[0], &b[0], n)
	} else {
		sum = dot64AVX2(&a[0], &b[0], n)
	}
	return dotRest(sum, a[n:], b[n:])
}

// inner returns x·y, in float64. They are equally long.
func inner(x, y []float32) float64 {
	n := len(x) &^ (dotLanes - 1)
	if level == vector.None || n == 0 {
		return innerGo(x, y)
	}
	y = y[:len(x)]
	sum := 0.0
	if level == vector.AVX512 {
		sum = innerAVX512(&x[0], &y[0], n)
	} else {
		sum = innerAVX2(&x[0], &y[0], n)
	}
	return innerRest(sum, x[n:], y[n:])
}

// n is a multiple of lanes.
//
//go:noescape
func sweepAVX2(y *float32, n int, a *float32, k int, x *float32, step int)

//go:noescape
func sweepAVX512(y *float32, n int, a *float32, k int, x *float32, step int)

// n is a multiple of dotLanes.
//
//go:noescape
func dot64AVX2(a, b *float64, n int) float64

//go:noescape
func dot64AVX512(a, b *float64, n int) float64

//go:noescape
func innerAVX2(x, y *float32, n int) float64

//go:noescape
func innerAVX512(x, y *float32, n int) float64
