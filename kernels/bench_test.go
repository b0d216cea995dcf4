package kernels_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// BenchmarkSpecialize assembles and specializes kernels.
func BenchmarkSpecialize(b *testing.B) {
	for _, c := range []struct {
		name   string
		consts kernels.Consts
	}{
		{"matvec", kernels.Consts{"BITS": 4, "BLOCK": 128, "NORM": 1}},
		{"matmul", kernels.Consts{"BITS": 4, "BLOCK": 128}},
		{"norm", kernels.Consts{"WIDTH": 4096}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := kernels.Specialize(c.name, c.consts); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUnrolled unrolls the loops of kernels.
func BenchmarkUnrolled(b *testing.B) {
	for _, name := range []string{"matvec", "matvec_batch", "matmul"} {
		k, err := kernels.Specialize(name, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := k.Unrolled(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkProduct runs the products of a layer: one token, four, and a prompt. The rate counts the weights' bytes.
func BenchmarkProduct(b *testing.B) {
	const rows, width = 1024, 1024
	for _, p := range []packing{f16, codes(8, 128), codes(4, 128), codes(2, 256)} {
		rest, _ := p.rows(random(1), rows, width)
		w, h := p.planes(rest, rows, width)
		heads := any(h)
		if p.block == 0 {
			heads = nil
		}
		at := shape{cols: p.cols(width), rows: rows, width: width, xStride: width, yStride: rows, scale: 1}.words()
		run := func(name string, tokens int, c kernels.Consts, groups, along int, operands ...any) {
			b.Run(fmt.Sprintf("%s/%v/tokens=%d", name, p, tokens), func(b *testing.B) {
				k := benchKernel(b, name, p.consts(), c)
				program, buffers := record(b, k, groups, along, operands...)
				b.SetBytes(int64(4 * (len(w) + len(h))))
				timeProgram(b, program)
				program.Release()
				for _, buffer := range buffers {
					buffer.Release()
				}
			})
		}
		inputs := func(tokens int) (x, y []float32) {
			return normals(random(2), tokens*width, 0, 1), make([]float32, tokens*rows)
		}
		x, y := inputs(1)
		run("matvec", 1, kernels.Consts{"STEP": max(1, 16/p.bits)}, rows/4, 1, w, heads, x, nil, nil, y, nil, at)
		x, y = inputs(4)
		run("matvec_batch", 4, kernels.Consts{"TOKENS": 4}, rows/64, 1, w, heads, x, nil, nil, y, nil, at)
		x, y = inputs(64)
		run("matmul", 64, nil, rows/64, 1, w, heads, x, nil, y, at, []uint32{64, 0, 0, 0})
	}
}

// BenchmarkAttention runs the attention of a token of an 8B shape, and of 16 at once, over several contexts: by attention_split, and by
// attention_subgroups where the device has subgroups, for queries that are turned already. The rate counts keys and values.
func BenchmarkAttention(b *testing.B) {
	const heads, kvHeads, dim, queries = 32, 8, 128, 4
	for _, c := range []struct{ context, tokens, splits int }{{64, 1, 1}, {512, 1, 4}, {2048, 1, 16}, {8192, 1, 32}, {64, 16, 1}, {2048, 16, 4}} {
		kv, _ := packCache(normals(random(1), c.tokens*kvHeads*c.context*dim, 0, 1), 16)
		q := normals(random(2), c.tokens*heads*dim, 0, 0.1)
		o := make([]float32, c.tokens*heads*(dim+2)*c.splits)
		var rows []uint32
		for t := range c.tokens {
			rows = append(rows, 0, uint32(c.context-1), uint32(t), 0)
		}
		run := func(name string, operands []any, own kernels.Consts) {
			b.Run(fmt.Sprintf("%s/context=%d/sequences=%d", name, c.context, c.tokens), func(b *testing.B) {
				k := benchKernel(b, name, own, kernels.Consts{
					"HEADS": heads, "KV_HEADS": kvHeads, "DIM": dim, "QUERIES": queries, "O_STRIDE": heads * dim, "CAP": c.context, "WINDOW": c.context, "SPLITS": c.splits,
				})
				program, buffers := record(b, k, heads/queries*c.splits, c.tokens, operands...)
				b.SetBytes(int64(2 * 4 * len(kv)))
				timeProgram(b, program)
				program.Release()
				for _, buffer := range buffers {
					buffer.Release()
				}
			})
		}
		run("attention_split", []any{rows, q, kv, kv, nil, o, nil}, kernels.Consts{"Q_STRIDE": heads * dim, "VALUE": dim})
		if f := open(b).Features(); f.Subgroups && f.SubgroupSize >= dim/8 {
			run("attention_subgroups", []any{rows, q, nil, kv, kv, nil, o, nil}, kernels.Consts{"X_STRIDE": heads * dim, "TURN": 0, "SPAN": dim / 8, "SIZE": f.SubgroupSize})
		}
	}
}

// benchKernel returns a kernel in the form that the device gets.
func benchKernel(b *testing.B, name string, consts ...kernels.Consts) kernels.Kernel {
	b.Helper()
	all := kernels.Consts{}
	for _, c := range consts {
		maps.Copy(all, c)
	}
	k, err := kernels.Specialize(name, all)
	if err == nil && !open(b).OnCPU() {
		k, err = k.Unrolled()
	}
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// timeProgram times a program from its submission to its end.
func timeProgram(b *testing.B, p *gpu.Program) {
	b.Helper()
	dev := open(b)
	for b.Loop() {
		if err := dev.Run(p); err != nil {
			b.Fatal(err)
		}
		if err := dev.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
