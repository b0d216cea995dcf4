package simd

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

func tile(c []float32, cs int, x []float32, xs int, w []float32, ws, k int, add bool) {
	plus := 0
	if add {
		plus = 1
	}
	switch level {
	case vector.AVX512:
		tileAVX512(&c[0], cs*4, &x[0], xs*4, &w[0], ws*4, k/16, plus)
	case vector.AVX2:
		const half = TileTokens / 2
		tileAVX2(&c[0], cs*4, &x[0], xs*4, &w[0], ws*4, k/8, plus)
		tileAVX2(&c[half*cs], cs*4, &x[half*xs], xs*4, &w[0], ws*4, k/8, plus)
	default:
		tileGo(c, cs, x, xs, w, ws, k, add)
	}
}

// tileAVX512 makes a tile; strides are in bytes, n·16 columns.
//
//go:noescape
func tileAVX512(c *float32, cs int, x *float32, xs int, w *float32, ws int, n, add int)

// tileAVX2 makes half of a tile, three rows of x; n·8 columns.
//
//go:noescape
func tileAVX2(c *float32, cs int, x *float32, xs int, w *float32, ws int, n, add int)
