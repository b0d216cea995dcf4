//go:build !amd64

package block

func (s Scheme) decodeCodes([]float32, []byte, Params) int { return 0 }

// FromFloat16s fills dst with the values of float16s, little-endian, 2·len(dst) bytes.
func FromFloat16s(dst []float32, src []byte) { fromFloat16sGo(dst, src) }
