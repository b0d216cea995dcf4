package gpu_test

import (
	"fmt"
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
