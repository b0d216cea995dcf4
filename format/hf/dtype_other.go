//go:build !amd64

package hf

func float16sTo32(dst []float32, src []byte)  { float16sTo32Go(dst, src) }
func bfloat16sTo32(dst []float32, src []byte) { bfloat16sTo32Go(dst, src) }
func float32s(dst []float32, src []byte)      { float32sGo(dst, src) }
