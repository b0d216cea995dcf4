package kernels_test

import (
	"fmt"
	"maps"
	"slices"
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
// attention_subgroups where the device has subgroups, for queries that are turned already, divided as graph divides it. Caches come
// from memory, and hundreds of dispatches are sent at a time. The rate counts keys and values.
func BenchmarkAttention(b *testing.B) {
	const heads, kvHeads, dim = 32, 8, 128
	shape := kernels.Consts{"HEADS": heads, "KV_HEADS": kvHeads, "DIM": dim, "O_STRIDE": heads * dim}
	divided := func(queries, lanes, each, splits, join int) kernels.Consts {
		return kernels.Consts{"QUERIES": queries, "LANES": lanes, "EACH": each, "SPLITS": splits, "JOIN": join}
	}
	for _, c := range []struct {
		context, tokens  int
		plain, subgroups kernels.Consts
	}{
		{64, 1, divided(1, 128, 4, 1, 0), divided(1, 256, 4, 1, 0)},
		{512, 1, divided(4, 128, 2, 4, 0), divided(1, 256, 8, 4, 1)},
		{1024, 1, divided(4, 128, 2, 8, 0), divided(2, 256, 8, 8, 1)},
		{2048, 1, divided(4, 128, 2, 16, 0), divided(4, 128, 8, 33, 0)},
		{8192, 1, divided(4, 128, 2, 64, 0), divided(4, 128, 8, 33, 0)},
		{64, 16, divided(4, 128, 2, 1, 0), divided(2, 128, 4, 1, 0)},
		{2048, 16, divided(4, 128, 2, 1, 0), divided(4, 512, 4, 1, 0)},
	} {
		kv, _ := packCache(normals(random(1), c.tokens*kvHeads*c.context*dim, 0, 1), 16)
		q := normals(random(2), c.tokens*heads*dim, 0, 0.1)
		var rows []uint32
		for t := range c.tokens {
			rows = append(rows, 0, uint32(c.context-1), uint32(t), 0)
		}
		run := func(name string, own kernels.Consts, operands func(parts, o []float32) []any) {
			b.Run(fmt.Sprintf("%s/context=%d/sequences=%d", name, c.context, c.tokens), func(b *testing.B) {
				splits := own["SPLITS"].(int)
				o := make([]float32, c.tokens*heads*dim)
				parts := o
				if splits > 1 {
					parts = make([]float32, c.tokens*heads*(splits*(dim+2)+1))
				}
				steps := []benchStep{{benchKernel(b, name, shape, own, kernels.Consts{"CAP": c.context, "WINDOW": c.context}), heads / own["QUERIES"].(int) * splits, operands(parts, o)}}
				if splits > 1 && own["JOIN"] != 1 {
					join := benchKernel(b, "attention_join", kernels.Consts{"HEADS": heads, "DIM": dim, "SPLITS": splits, "O_STRIDE": heads * dim})
					steps = append(steps, benchStep{join, heads, []any{parts, o, nil}})
				}
				timeSteps(b, steps, c.tokens, 8*len(kv))
			})
		}
		own := maps.Clone(c.plain)
		delete(own, "JOIN")
		own["Q_STRIDE"], own["VALUE"] = heads*dim, dim
		run("attention_split", own, func(parts, _ []float32) []any { return []any{rows, q, kv, kv, nil, parts, nil} })
		if f := open(b).Features(); f.Subgroups && f.SubgroupSize >= dim/8 {
			own = maps.Clone(c.subgroups)
			own["X_STRIDE"], own["TURN"], own["SPAN"], own["SIZE"] = heads*dim, 0, dim/8, f.SubgroupSize
			run("attention_subgroups", own, func(parts, o []float32) []any {
				if own["JOIN"] == 1 {
					return []any{rows, q, nil, nil, kv, kv, nil, parts, o}
				}
				return []any{rows, q, nil, nil, kv, kv, nil, nil, parts}
			})
		}
	}
}

// benchStep is a dispatch of x workgroups for each token. Floats that several operands share are one buffer.
type benchStep struct {
	kernel   kernels.Kernel
	x        int
	operands []any
}

// timeSteps times steps that follow each other, for y tokens, with several copies of their buffers in turn, as a model's layers have
// them: of this many bytes, so that no cache holds all. A driver can translate what comes next while the device computes.
func timeSteps(b *testing.B, steps []benchStep, y, bytes int) {
	b.Helper()
	const memory = 256 << 20
	dev, program := open(b), &gpu.Program{}
	rounds, submissions := 32, 8
	if dev.OnCPU() {
		rounds, submissions = 2, 1
	}
	copies := max(2, min(rounds, memory/bytes))
	var all []*gpu.Buffer
	for range copies {
		shared := map[*float32]*gpu.Buffer{}
		for _, step := range steps {
			pipeline, err := dev.Pipeline(step.kernel)
			if err != nil {
				b.Fatal(err)
			}
			var ranges []gpu.Range
			for i, o := range kernels.Bound(step.kernel, step.operands) {
				f, floats := o.([]float32)
				if !floats || shared[&f[0]] == nil {
					all = append(all, upload(b, dev, step.kernel.Bindings[i], o))
					ranges = append(ranges, gpu.Range{Buffer: all[len(all)-1]})
				} else {
					ranges = append(ranges, gpu.Range{Buffer: shared[&f[0]]})
				}
				if floats {
					shared[&f[0]] = ranges[i].Buffer
				}
			}
			group, err := dev.BindGroup(pipeline, ranges...)
			if err != nil {
				b.Fatal(err)
			}
			program.Dispatch(pipeline, group, uint32(step.x), uint32(y), 1)
		}
	}
	defer func() {
		program.Release()
		for _, buffer := range all {
			buffer.Release()
		}
	}()
	programs := slices.Repeat([]*gpu.Program{program}, max(1, rounds/copies))
	n := copies * len(programs) * submissions
	b.SetBytes(int64(n * bytes))
	for b.Loop() {
		for range submissions {
			if err := dev.Run(programs...); err != nil {
				b.Fatal(err)
			}
		}
		if err := dev.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1e3/float64(b.N*n), "µs/step")
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
