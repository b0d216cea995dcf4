//go:build !amd64

package simd

func tile(c []float32, cs int, x []float32, xs int, w []float32, ws, k int, add bool) {
	tileGo(c, cs, x, xs, w, ws, k, add)
}

func expShift(x []float32, shift float32) float64 { return expShiftGo(x, shift) }
func gate(x []float32, a, b float32)              { gateGo(x, a, b) }
