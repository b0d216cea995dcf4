package gpu_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// BenchmarkRun measures what a dispatch costs the CPU.
func BenchmarkRun(b *testing.B) {
	d := gputest.Open(b)
	pl := pipeline(b, d, "spin", spin, kernels.Consts{"ROUNDS": 0})
	g := group(b, d, pl, gpu.Range{Buffer: buffer(b, d, 256, gpu.Storage)})
	const dispatches = 500
	var p gpu.Program
	for range dispatches {
		p.Dispatch(pl, g, 1, 1, 1)
	}
	b.ReportAllocs()
	var submit time.Duration
	for b.Loop() {
		start := time.Now()
		check(b, d.Run(&p))
		submit += time.Since(start)
		check(b, d.Wait(b.Context()))
	}
	b.ReportMetric(float64(submit.Nanoseconds())/float64(b.N)/dispatches, "ns/dispatch")
}

// BenchmarkStep measures the minimum cost of a token: a write, a dispatch, and a result that is read.
func BenchmarkStep(b *testing.B) {
	d := gputest.Open(b)
	pl := pipeline(b, d, "spin", spin, kernels.Consts{"ROUNDS": 0})
	out := buffer(b, d, 256, gpu.Storage)
	g := group(b, d, pl, gpu.Range{Buffer: out})
	back, err := d.NewReadback("test", 256)
	check(b, err)
	defer back.Release()
	var p gpu.Program
	p.Dispatch(pl, g, 1, 1, 1)
	p.Copy(back.Range(256), gpu.Range{Buffer: out})
	data := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		check(b, out.Write(0, data[:4]))
		check(b, d.Run(&p))
		check(b, back.Read(b.Context(), data))
	}
}

// BenchmarkTransfer measures the speed of copies to the device and back.
func BenchmarkTransfer(b *testing.B) {
	d := gputest.Open(b)
	for _, size := range []int{4 << 10, 4 << 20} {
		buf, data := buffer(b, d, uint64(size), gpu.Storage), make([]byte, size)
		run := func(name string, once func() error) {
			b.Run(fmt.Sprintf("%s/%dK", name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					check(b, once())
				}
				check(b, d.Wait(b.Context()))
			})
		}
		run("write", func() error {
			if err := buf.Write(0, data); err != nil {
				return err
			}
			return d.Wait(b.Context())
		})
		stage, err := d.NewStage("test", uint64(size))
		check(b, err)
		run("stage", func() error {
			mem, err := stage.Bytes(b.Context())
			if err != nil {
				return err
			}
			copy(mem, data)
			return stage.Send([]gpu.StageCopy{{Dst: gpu.Range{Buffer: buf}}})
		})
		run("read", func() error { return d.Read(b.Context(), buf, 0, data) })
		stage.Release()
		buf.Release()
	}
}

// BenchmarkRecord measures the cost of recording a program: an existing pipeline, a bind group, a dispatch.
func BenchmarkRecord(b *testing.B) {
	d := gputest.Open(b)
	k := parse(b, "axpy", axpy, kernels.Consts{"A": 5, "SIZE": 32})
	params, x, y := buffer(b, d, 256, gpu.Uniform), buffer(b, d, 256, gpu.Storage), buffer(b, d, 256, gpu.Storage)
	b.ReportAllocs()
	for b.Loop() {
		pl, err := d.Pipeline(k)
		check(b, err)
		g, err := d.BindGroup(pl, gpu.Range{Buffer: params}, gpu.Range{Buffer: x}, gpu.Range{Buffer: y})
		check(b, err)
		var p gpu.Program
		p.Dispatch(pl, g, 1, 1, 1)
		check(b, p.Err())
		p.Release()
	}
}

// BenchmarkEncode measures what a dispatch costs the CPU, of a program of 100 that take turns with two pipelines: to encode it and
// to send it to the driver, by the number of buffers that it binds.
func BenchmarkEncode(b *testing.B) {
	d := gputest.Open(b)
	const each = 50
	for _, bindings := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("bindings=%d", bindings), func(b *testing.B) {
			var pipelines [2]*gpu.Pipeline
			var groups [2]*gpu.BindGroup
			for i := range pipelines {
				pipelines[i] = pipeline(b, d, fmt.Sprintf("sum%d of %d", i, bindings), manyBindings(bindings, i), nil)
				ranges := make([]gpu.Range, bindings)
				for k := range ranges {
					ranges[k].Buffer = buffer(b, d, 256, gpu.Storage)
				}
				groups[i] = group(b, d, pipelines[i], ranges...)
			}
			var p gpu.Program
			for i := range 2 * each {
				p.Dispatch(pipelines[i%2], groups[i%2], 1, 1, 1)
			}
			check(b, p.Err())
			var encode, send time.Duration
			for b.Loop() {
				var s gpu.Submission
				begin := time.Now()
				check(b, d.Encode(&s, []*gpu.Program{&p}, true))
				encoded := time.Now()
				check(b, s.Send())
				encode, send = encode+encoded.Sub(begin), send+time.Since(encoded)
				check(b, d.Wait(b.Context()))
			}
			b.ReportMetric(float64(encode.Nanoseconds())/float64(2*each*b.N), "encode-ns/dispatch")
			b.ReportMetric(float64(send.Nanoseconds())/float64(2*each*b.N), "send-ns/dispatch")
			b.ReportMetric(float64(aside(b, d, &p).Nanoseconds())/float64(2*each), "aside-ns/dispatch")
		})
	}
}

// aside returns how long it takes to send a program that is encoded aside, over and over, by submissions that take turns.
func aside(b *testing.B, d *gpu.Device, p *gpu.Program) time.Duration {
	var turns [2]gpu.Submission
	var took time.Duration
	const rounds = 200
	for i := range rounds {
		s := &turns[i%2]
		if i < len(turns) {
			check(b, d.Encode(s, []*gpu.Program{p}, true))
		}
		begin := time.Now()
		check(b, s.Send())
		check(b, d.EncodeAside(s, []*gpu.Program{p}, true))
		took += time.Since(begin)
		if i%20 == 19 {
			check(b, d.Wait(b.Context()))
		}
	}
	for i := range turns {
		turns[i].Release()
	}
	return took / rounds
}

// manyBindings is a kernel that adds up the first elements of all but the last of its buffers, and i.
func manyBindings(n, i int) string {
	var s strings.Builder
	for k := range n - 1 {
		fmt.Fprintf(&s, "@group(0) @binding(%d) var<storage, read> x%d: array<u32>;\n", k, k)
	}
	fmt.Fprintf(&s, "@group(0) @binding(%d) var<storage, read_write> y: array<u32>;\n@compute @workgroup_size(1)\nfn main() {\n  y[0] = %du", n-1, i)
	for k := range n - 1 {
		fmt.Fprintf(&s, " + x%d[0]", k)
	}
	return s.String() + ";\n}\n"
}
