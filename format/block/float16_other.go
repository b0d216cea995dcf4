//go:build !amd64

package block

func float16s(dst []byte, w []float32) { float16sGo(dst, w) }
