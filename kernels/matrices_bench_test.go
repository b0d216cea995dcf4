package kernels_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// BenchmarkMatrices runs products of 512 tokens by subgroup matrices, with several tiles, and reports how many operations
// a second that is; the second product of a pair of float16 does not count as one. It wants a device that has these matrices.
func BenchmarkMatrices(b *testing.B) {
	const tokens = 512
	dev := open(b)
	for _, size := range [][2]int{{28672, 4096}, {4096, 4096}, {4096, 14336}} {
		for _, p := range []packing{codes(4, 128), codes(8, 128)} {
			m := benchMatrix(b, p, size[0], size[1], tokens)
			for _, c := range []kernels.Consts{
				{"DOWN": 2, "ACROSS": 2},
				{"DOWN": 2, "ACROSS": 2, "GATED": 1},
				{"DOWN": 2, "ACROSS": 2, "LIMBS": 1},
				{"DOWN": 2, "ACROSS": 2, "DEPTH": 32},
				{"HIGH": 2, "DOWN": 4, "ACROSS": 2, "DEPTH": 32},
				{"HIGH": 2, "DOWN": 4, "ACROSS": 2, "BUFFERS": 2},
				{"WIDE": 2, "DOWN": 2, "ACROSS": 2},
				{"WIDE": 2, "DOWN": 2, "ACROSS": 2, "FINE": 1},
			} {
				b.Run(fmt.Sprintf("%dx%d/%v%s", size[0], size[1], p, c.Key("")), func(b *testing.B) {
					c := maps.Clone(c)
					maps.Copy(c, p.consts())
					m.run(b, dev, c)
				})
			}
			for _, buffer := range m.buffers {
				buffer.Release()
			}
		}
	}
}

// matrixBench is a product on the device.
type matrixBench struct {
	rows, cols, tokens int
	buffers            []*gpu.Buffer // as matmul_matrix binds them
}

func benchMatrix(b *testing.B, p packing, rows, cols, tokens int) *matrixBench {
	b.Helper()
	dev := open(b)
	k, err := kernels.Specialize("matmul_matrix", p.consts())
	if err != nil {
		b.Fatal(err)
	}
	if !dev.Features().Runs(k) {
		b.Skipf("%s has no subgroup matrices of float16", dev.Info())
	}
	rng := rand.New(rand.NewPCG(1, 2))
	words := func(n int, keep, set uint32) []uint32 {
		v := make([]uint32, n)
		for i := range v {
			v[i] = rng.Uint32()&keep | set
		}
		return v
	}
	const one, scales, small = 0x3f800000, 0x00082000, 0xb7ffb7ff // zero-points of 8; float16 below 2
	at := shape{cols: cols, rows: rows, width: cols, xStride: cols, yStride: rows, scale: 1}
	m := &matrixBench{rows: rows, cols: cols, tokens: tokens}
	for i, o := range []any{
		words(rows*cols*p.bits/32, ^uint32(0), 0), words(rows*cols/p.block, 0x3ff, scales), words(tokens*cols, small, 0),
		words(tokens, 0, one), nil, make([]float32, tokens*rows), at.words(),
		[]uint32{uint32(tokens), 0, 0, 0},
	} {
		m.buffers = append(m.buffers, upload(b, dev, k.Bindings[i], o))
	}
	return m
}

// run times the product: eight at once, after a second of them in which a GPU reaches its clock.
func (m *matrixBench) run(b *testing.B, dev *gpu.Device, c kernels.Consts) {
	k := benchKernel(b, "matmul_matrix", c)
	pipeline, err := dev.Pipeline(k)
	if err != nil {
		b.Skip(err) // more workgroup memory than this device has
	}
	ranges := make([]gpu.Range, len(m.buffers))
	for i, buffer := range m.buffers {
		ranges[i].Buffer = buffer
	}
	group, err := dev.BindGroup(pipeline, ranges...)
	if err != nil {
		b.Fatal(err)
	}
	high, _ := k.Constant("ROWS")
	wide, _ := k.Constant("TOKENS")
	const times = 8
	program := &gpu.Program{}
	defer program.Release()
	for range times {
		program.Dispatch(pipeline, group, uint32((m.tokens+16*wide-1)/(16*wide)), uint32((m.rows+16*high-1)/(16*high)), 1)
	}
	run := func() {
		if err := dev.Run(program); err != nil {
			b.Fatal(err)
		}
		if err := dev.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for begun := time.Now(); time.Since(begun) < time.Second; {
		run()
	}
	for b.Loop() {
		run()
	}
	operations := times * 2 * float64(m.rows) * float64(m.cols) * float64(m.tokens)
	b.ReportMetric(operations/(b.Elapsed().Seconds()/float64(b.N))/1e12, "TFLOP/s")
}
