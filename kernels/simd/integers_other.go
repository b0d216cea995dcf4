//go:build !amd64

package simd

const noIntegers = "simd: there is no product of integers for this processor"

func (integral) arrange(_, _ []float32) { panic(noIntegers) }

func (*Packed) multiplyIntegers(_ integral, _ []float32, _ []byte, _ []float32) { panic(noIntegers) }
