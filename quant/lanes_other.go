//go:build !amd64

package quant

import "github.com/llama-webgpu/llama-webgpu/format/block"

func extent(w []float32) (lo, hi float32, finite bool) { return extentGo(w) }

func costs(c, w, h []float32, trials []trial) {
	for i, t := range trials {
		c[i] = costGo(w, h, t)
	}
}

func measure(w, h []float32, t trial) moments { return momentsGo(w, h, t) }

func emit(s block.Scheme, dst []byte, u []uint8, w []float32, t trial) (loss, power float32) {
	loss, power = codesGo(u, w, t)
	s.Pack(dst, u)
	return loss, power
}
