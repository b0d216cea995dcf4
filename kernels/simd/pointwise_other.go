//go:build !amd64

package simd

func expShift(x []float32, shift float32) float64             { return expShiftGo(x, shift) }
func gate(x []float32, a, b float32)                          { gateGo(x, a, b) }
func maximum(x []float32) float32                             { return maximumGo(x[1:], x[0]) }
func scale(x []float32, s float32)                            { scaleGo(x, s) }
func multiply(x, y []float32)                                 { multiplyGo(x, y) }
func addScaled(x, y []float32, s float32)                     { addScaledGo(x, y, s) }
func moments(x []float32, mean float32) (sum, square float64) { return momentsGo(x, mean) }
func affine(y, x, w, b []float32, mean, scale float32)        { affineGo(y, x, w, b, mean, scale) }
func round16(x []float32)                                     { round16Go(x) }
func multiplyAdds(rounds int) int                             { return multiplyAddsGo(rounds) }
func read(b []byte) int                                       { return readGo(b) }
func prefetch([]byte)                                         {}
