package gpu_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// axpy: y[i] = y[i]·A + x[i] + bias, for i < n.
const axpy = `
const A: u32 = 3u;
const SIZE: u32 = 64u;
struct Params { n: u32, bias: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
	if (id.x < p.n) { y[id.x] = y[id.x] * A + x[id.x] + p.bias; }
}
`

// spin: burns time that grows with the number of workgroups and ROUNDS, then writes it.
const spin = `
const ROUNDS: u32 = 1000u;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
	var s = id.x + y[id.x % 64u];
	for (var i = 0u; i < ROUNDS; i++) { s = s * 1664525u + 1013904223u; }
	y[id.x % 64u] = s | 1u;
}
`

func parse(t testing.TB, name, src string, c kernels.Consts) kernels.Kernel {
	t.Helper()
	k, err := kernels.Parse(name, src, c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pipeline(t testing.TB, d *gpu.Device, name, src string, c kernels.Consts) *gpu.Pipeline {
	t.Helper()
	p, err := d.Pipeline(parse(t, name, src, c))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func buffer(t testing.TB, d *gpu.Device, size uint64, u gpu.Usage) *gpu.Buffer {
	t.Helper()
	b, err := d.NewBuffer("test", size, u)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func group(t testing.TB, d *gpu.Device, p *gpu.Pipeline, r ...gpu.Range) *gpu.BindGroup {
	t.Helper()
	g, err := d.BindGroup(p, r...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func words(ws ...uint32) []byte {
	var b []byte
	for _, w := range ws {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// wantErr checks that err is target and contains all texts.
func wantErr(t *testing.T, err, target error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %v %q", target, texts)
		return
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %q is not %q", err, target)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestAdapters(t *testing.T) {
	d := gputest.Open(t)
	as, err := gpu.Adapters(gpu.Select{})
	check(t, err)
	if len(as) == 0 || as[0] != d.Info() {
		t.Fatalf("adapters %v, opened %v", as, d.Info())
	}
	for i, a := range as {
		if a.Index != i || a.Name == "" || a.Backend == "" || a.Type == "" {
			t.Errorf("adapter %d: %+v", i, a)
		}
	}
	wants := []string{"0"}
	if len(as) == 1 {
		wants = append(wants, strings.ToUpper(as[0].Name[:4]))
	}
	for _, want := range wants {
		d, err := gpu.Open(t.Context(), gpu.Options{Select: gpu.Select{Adapter: want}})
		check(t, err)
		if d.Info() != as[0] {
			t.Errorf("adapter %q: got %v", want, d.Info())
		}
		d.Close()
		d.Close()
	}
	for _, want := range []string{"no such adapter", "99", "-1"} {
		_, err = gpu.Open(t.Context(), gpu.Options{Select: gpu.Select{Adapter: want}})
		wantErr(t, err, gpu.ErrNoAdapter, want, as[0].Name)
	}
	l := d.Limits()
	if l.MaxBinding < 128<<20 || l.MaxBufferSize < 256<<20 || l.MaxWorkgroupBytes < 16384 || l.MaxInvocations < 256 ||
		l.MaxWorkgroupsPerDim != 65535 || l.StorageBuffersPerStage < 8 || l.UniformBuffersPerStage < 12 {
		t.Errorf("limits below WebGPU's defaults: %+v", l)
	}
	small := gputest.OpenWith(t, gpu.Options{MaxBinding: 4096})
	if got := small.Limits().MaxBinding; got != 4096 {
		t.Errorf("MaxBinding is %d, want 4096", got)
	}
}

func TestWriteRead(t *testing.T) {
	d := gputest.Open(t)
	for _, size := range []int{1, 3, 4, 5, 1001, 65536, 65537, 17<<20 + 7, 40 << 20} {
		b := buffer(t, d, uint64(size), gpu.Storage)
		got := make([]byte, size)
		got[size-1] = 1
		check(t, d.Read(t.Context(), b, 0, got))
		if !bytes.Equal(got, make([]byte, size)) {
			t.Fatalf("size %d: a new buffer is not zero", size)
		}
		want := noise(size, 1)
		check(t, b.Write(0, want))
		check(t, d.Read(t.Context(), b, 0, got))
		if !bytes.Equal(got, want) {
			t.Fatalf("size %d: read what was not written", size)
		}
		if off := 4 * (size / 12); off > 0 {
			copy(want[off:], "ABCD")
			check(t, b.Write(uint64(off), []byte("ABCD")))
		}
		for _, off := range []int{0, 1, 2, 3, size / 2, size - 1} {
			if off >= size {
				continue
			}
			for _, n := range []int{1, 2, 5, size - off} {
				n = min(n, size-off)
				check(t, d.Read(t.Context(), b, uint64(off), got[:n]))
				if !bytes.Equal(got[:n], want[off:off+n]) {
					t.Fatalf("size %d: bytes %d+%d are wrong", size, off, n)
				}
			}
		}
		b.Release()
	}
	if m := d.Memory(); m["test"] != 0 || m["staging"] == 0 || m["staging"] > 64<<20 {
		t.Errorf("memory in use: %v", m)
	}
}

func TestProgram(t *testing.T) {
	d := gputest.Open(t)
	const n = 1000
	by3 := pipeline(t, d, "axpy", axpy, nil)
	by5 := pipeline(t, d, "axpy", axpy, kernels.Consts{"A": 5, "SIZE": 32})
	if by3.Key() != "axpy" || by5.Key() != "axpy/A=5/SIZE=32" {
		t.Fatalf("keys %q, %q", by3.Key(), by5.Key())
	}
	params := buffer(t, d, 2*256, gpu.Uniform)
	x, y, z := buffer(t, d, 4*n, gpu.Storage), buffer(t, d, 4*n, gpu.Storage), buffer(t, d, 4*n, gpu.Storage)
	check(t, params.Write(0, words(n, 1)))
	check(t, params.Write(256, words(n, 2)))
	check(t, x.Write(0, noise(4*n, 2)))
	g3 := group(t, d, by3, gpu.Range{Buffer: params}, gpu.Range{Buffer: x}, gpu.Range{Buffer: y})
	g5 := group(t, d, by5, gpu.Range{Buffer: params, Offset: 256}, gpu.Range{Buffer: x}, gpu.Range{Buffer: y})
	h3 := group(t, d, by3, gpu.Range{Buffer: params, Size: 8}, gpu.Range{Buffer: z}, gpu.Range{Buffer: y})
	var p, q gpu.Program
	p.Dispatch(by3, g3, (n+63)/64, 1, 1)
	p.Copy(gpu.Range{Buffer: z}, gpu.Range{Buffer: y})
	p.Dispatch(by5, g5, (n+31)/32, 1, 1)
	q.Dispatch(by3, h3, (n+63)/64, 1, 1)
	q.Copy(gpu.Range{Buffer: z, Offset: 8}, gpu.Range{Buffer: y, Offset: 4, Size: 4})
	check(t, d.Run(&p, &q, &p))

	xs, ys, zs := make([]uint32, n), make([]uint32, n), make([]uint32, n)
	check(t, binary.Read(bytes.NewReader(noise(4*n, 2)), binary.LittleEndian, xs))
	runP := func() {
		for i := range n {
			zs[i] = ys[i]*3 + xs[i] + 1
			ys[i] = zs[i]*5 + xs[i] + 2
		}
	}
	runP()
	for i := range n {
		ys[i] = ys[i]*3 + zs[i] + 1
	}
	zs[2] = ys[1]
	runP()
	for name, c := range map[string]struct {
		b    *gpu.Buffer
		want []uint32
	}{"y": {y, ys}, "z": {z, zs}} {
		got := make([]byte, 4*n)
		check(t, d.Read(t.Context(), c.b, 0, got))
		if !bytes.Equal(got, words(c.want...)) {
			t.Errorf("%s is wrong", name)
		}
	}
	s := d.Stats()
	if s.Pipelines != 2 || s.CompileTime <= 0 || s.Dispatches != 5 || s.Copies != 3 || s.BytesRead != 8*n || s.BytesWritten != 16+4*n {
		t.Errorf("stats %+v", s)
	}
	if got := fmt.Sprint(p.Keys()); got != "[axpy axpy/A=5/SIZE=32]" || p.Len() != 3 {
		t.Errorf("keys %s, %d steps", got, p.Len())
	}
	check(t, d.Run()) // nothing to do is not an error
	check(t, d.Run(new(gpu.Program)))
}

func TestRunTimed(t *testing.T) {
	d := gputest.Open(t)
	if !d.Features().TimestampQuery {
		_, err := d.RunTimed(new(gpu.Program))
		wantErr(t, err, nil, "timestamp")
		return
	}
	y, z := buffer(t, d, 4*64, gpu.Storage), buffer(t, d, 4*64, gpu.Storage)
	var p gpu.Program
	for _, rounds := range []int{10, 20000} {
		pl := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": rounds})
		p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: y}), 64, 1, 1)
		p.Copy(gpu.Range{Buffer: z}, gpu.Range{Buffer: y})
	}
	least := []time.Duration{time.Hour, time.Hour}
	for range 5 {
		start := time.Now()
		times, err := d.RunTimed(&p, &p)
		wall := time.Since(start)
		check(t, err)
		if len(times) != 4 || times[0].Begin != 0 || times[3].End > wall {
			t.Fatalf("times %v of %v", times, wall)
		}
		for i, x := range times {
			if x.Time() <= 0 || i > 0 && x.Begin < times[i-1].End {
				t.Fatalf("times %v: dispatch %d", times, i)
			}
			least[i%2] = min(least[i%2], x.Time())
		}
	}
	if least[1] < 5*least[0] {
		t.Errorf("times %v: the second does 2000 times the first's work", least)
	}
	times, err := d.RunTimed(new(gpu.Program))
	check(t, err)
	if len(times) != 0 {
		t.Errorf("times %v of no dispatch", times)
	}
}

func TestManyDispatchesTimed(t *testing.T) {
	d := gputest.Open(t)
	if !d.Features().TimestampQuery {
		t.Skip("this adapter has no timestamp queries")
	}
	pl := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": 1})
	g := group(t, d, pl, gpu.Range{Buffer: buffer(t, d, 256, gpu.Storage)})
	var p gpu.Program
	for range 2100 { // more than one query set holds
		p.Dispatch(pl, g, 1, 1, 1)
	}
	times, err := d.RunTimed(&p)
	check(t, err)
	if len(times) != 2100 {
		t.Fatalf("%d times", len(times))
	}
}

func TestTwoWrittenRanges(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "two", `
@group(0) @binding(0) var<storage, read_write> a: array<u32>;
@group(0) @binding(1) var<storage, read_write> b: array<u32>;
@compute @workgroup_size(1) fn main() { a[0] = 7u; b[0] = 9u; }`, nil)
	s := buffer(t, d, 1024, gpu.Storage)
	_, err := d.BindGroup(pl, gpu.Range{Buffer: s, Size: 260}, gpu.Range{Buffer: s, Offset: 256})
	wantErr(t, err, nil, "overlap")
	var p gpu.Program
	p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: s, Size: 256}, gpu.Range{Buffer: s, Offset: 256}), 1, 1, 1)
	check(t, d.Run(&p))
	got := make([]byte, 260)
	check(t, d.Read(t.Context(), s, 0, got))
	if got[0] != 7 || got[256] != 9 {
		t.Errorf("got %d and %d", got[0], got[256])
	}
}

func TestCancel(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": 20000})
	y := buffer(t, d, 256, gpu.Storage)
	var p gpu.Program
	for range 10 {
		p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: y}), 100, 1, 1)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, d.Wait(done), context.Canceled)
	wantErr(t, d.Read(done, y, 0, make([]byte, 4)), context.Canceled)
	_, err := gpu.Open(done, gpu.Options{})
	wantErr(t, err, context.Canceled)

	for tries := 5; ; tries-- { // a machine that is busy may let the device be done before the deadline is seen
		check(t, d.Run(&p))
		start := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		err = d.Read(soon, y, 0, make([]byte, 4))
		cancel()
		took := time.Since(start)
		got := make([]byte, 4)
		check(t, d.Read(t.Context(), y, 0, got)) // and the device still works
		all := time.Since(start)
		t.Logf("cancelled after %v, done after %v", took, all)
		if got[0]&1 == 0 {
			t.Error("the program has not run")
		}
		if err == nil && all > 100*time.Millisecond && tries > 1 {
			continue
		}
		if err == nil && all > 100*time.Millisecond || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v of %v: error %v", took, all, err)
		}
		break
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	check(t, d.Run(&p))
	if err := d.Wait(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
	check(t, d.Wait(t.Context()))
}

func TestClosed(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "spin", spin, nil)
	b := buffer(t, d, 256, gpu.Storage)
	g := group(t, d, pl, gpu.Range{Buffer: b})
	var p gpu.Program
	p.Dispatch(pl, g, 1, 1, 1)
	check(t, d.Run(&p))
	d.Close()
	if m := d.Memory(); len(m) != 0 {
		t.Errorf("memory in use after Close: %v", m)
	}
	_, err := d.NewBuffer("x", 4, gpu.Storage)
	wantErr(t, err, gpu.ErrClosed)
	_, err = d.Pipeline(pl.Kernel())
	wantErr(t, err, gpu.ErrClosed)
	_, err = d.BindGroup(pl, gpu.Range{Buffer: b})
	wantErr(t, err, gpu.ErrClosed)
	wantErr(t, b.Write(0, words(1)), gpu.ErrClosed)
	wantErr(t, d.Read(t.Context(), b, 0, make([]byte, 4)), gpu.ErrClosed)
	wantErr(t, d.Run(&p), gpu.ErrClosed)
	wantErr(t, d.Wait(t.Context()), gpu.ErrClosed)
	g.Release()
	p.Release()
	b.Release()
	d.Close()
}

// TestConcurrent uses one device from many goroutines while the garbage collector runs.
func TestConcurrent(t *testing.T) {
	d := gputest.Open(t)
	stop := make(chan struct{})
	var collect, work sync.WaitGroup
	collect.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
				time.Sleep(100 * time.Microsecond) // under js nothing else would ever run
			}
		}
	})
	for w := range 4 {
		work.Go(func() {
			params, x, y := buffer(t, d, 8, gpu.Uniform), buffer(t, d, 4096, gpu.Storage), buffer(t, d, 4096, gpu.Storage)
			for i := range 25 {
				pl := pipeline(t, d, "axpy", axpy, kernels.Consts{"A": i % 5})
				data := noise(4096, uint64(w*100+i))
				check(t, params.Write(0, words(1024, 0)))
				check(t, x.Write(0, data))
				check(t, y.Write(0, make([]byte, 4096)))
				var p gpu.Program
				p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: params}, gpu.Range{Buffer: x}, gpu.Range{Buffer: y}), 16, 1, 1)
				check(t, d.Run(&p))
				got := make([]byte, 4096)
				check(t, d.Read(t.Context(), y, 0, got))
				if !bytes.Equal(got, data) {
					t.Errorf("worker %d, round %d: wrong result", w, i)
				}
				p.Release()
			}
		})
	}
	work.Wait()
	close(stop)
	collect.Wait()
	if n := d.Stats().Pipelines; n != 5 {
		t.Errorf("%d pipelines compiled, want 5", n)
	}
}

// TestCloseWhileUsed closes a device under running calls: they finish or say ErrClosed.
func TestCloseWhileUsed(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "spin", spin, nil)
	var work sync.WaitGroup
	for range 3 {
		b := buffer(t, d, 256, gpu.Storage)
		var p gpu.Program
		p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: b}), 100, 1, 1)
		work.Go(func() {
			for {
				if err := errors.Join(d.Run(&p), d.Read(t.Context(), b, 0, make([]byte, 256))); err != nil {
					wantErr(t, err, gpu.ErrClosed)
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	d.Close()
	work.Wait()
}
