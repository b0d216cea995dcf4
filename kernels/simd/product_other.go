//go:build !amd64 && !arm64

package simd

func tile(c []float32, cs int, x []float32, xs int, w []float32, ws, k int, add bool) {
	tileGo(c, cs, x, xs, w, ws, k, add)
}

func (m *Packed) lanes() int                                  { return 1 }
func (m *Packed) multiply(y []float32, w []byte, x []float32) { m.multiplyGo(y, w, x) }
func dots(y, w []float32, stride int, x []float32)            { dotsGo(y, w, stride, x) }
