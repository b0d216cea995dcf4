package hf

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkQuantized computes the values of 16 rows of 4096 columns.
func BenchmarkQuantized(b *testing.B) {
	const rows, cols, size = 256, 4096, 128
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		return data
	}
	half := func(n int) stored {
		m := make([]float32, n)
		for i := range m {
			m[i] = rnd.Float32()
		}
		return stored{dtype: "F16", data: halves(m)}
	}
	codes, zeros := words{random(rows * cols / 2), 4}, words{random(rows * cols / size / 2), 4}
	inputs := byInputs{weights: codes, zeros: zeros, scales: half(rows * cols / size), rows: rows, cols: cols, groups: cols / size, place: inOrder, lessOne: true}
	across := inputs
	across.across, across.place = true, interleaved
	zero := stored{data: zeros.data}
	grids := map[string]*grid{
		"gptq": {layout: &inputs}, "awq": {layout: &across},
		"compressed": {layout: &byRows{weights: codes, packed: true, zeros: &zero, scales: inputs.scales, cols: cols, wide: cols / 8, groups: cols / size}},
	}
	for name, g := range grids {
		g.cols, g.groups, g.size, g.high = cols, cols/size, size, 15
		b.Run(name, func(b *testing.B) {
			dst := make([]float32, 16*cols)
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				g.rows(32, 16, dst)
			}
		})
		b.Run(name+" blocks", func(b *testing.B) {
			dst := make([]byte, 16*cols/size*67)
			b.SetBytes(int64(4 * 16 * cols))
			for b.Loop() {
				g.blocks(32, 16, 4, size, dst)
			}
		})
	}
	nf4 := &coded{codes: random(rows * cols / 2), cols: cols, block: 64, scales: (&stored{dtype: "F32", data: random(4 * rows * cols / 64)}).floats}
	nf4.fill(codebooks["nf4"])
	floats := &grid{layout: &nibbles{data: random(rows * cols / 2), cols: cols, groups: cols / 32, scales: stored{dtype: "U8", data: random(rows * cols / 32)}, global: 1}, cols: cols, groups: cols / 32, size: 32}
	for name, v := range map[string]values{
		"nf4": nf4, "mxfp4": floats,
		"mlx":           &affine{codes: codes, scales: inputs.scales, biases: inputs.scales, cols: cols, groups: cols / size},
		"mlx of 3 bits": &affine{codes: words{codes.data, 3}, scales: inputs.scales, biases: inputs.scales, cols: cols, groups: cols / size},
	} {
		b.Run(name, func(b *testing.B) {
			dst := make([]float32, 16*cols)
			b.SetBytes(int64(4 * len(dst)))
			for b.Loop() {
				v.rows(32, 16, dst)
			}
		})
	}
	f := &scaled{
		weights: stored{dtype: float8E4M3, data: random(rows * cols)}, scales: stored{dtype: "F32", data: random(4 * rows * cols / size / size)},
		cols: cols, high: size, wide: size, across: cols / size,
	}
	b.Run("float8", func(b *testing.B) {
		dst := make([]float32, 16*cols)
		b.SetBytes(int64(4 * len(dst)))
		for b.Loop() {
			f.rows(32, 16, dst)
		}
	})
	first, second := half(16*cols), half(16*rows)
	d := delta{
		left:  func(row, n int, dst []float32) { second.decode(row*16, dst) },
		right: func(k, n int, dst []float32) { first.decode(k*cols, dst) },
		rank:  16, cols: cols, scale: 1,
	}
	b.Run("lora of rank 16", func(b *testing.B) {
		dst := make([]float32, 16*cols)
		b.SetBytes(int64(4 * len(dst)))
		for b.Loop() {
			d.rows(32, 16, dst)
		}
	})
}
