package gpu_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

func TestPipelineErrors(t *testing.T) {
	d := gputest.Open(t)
	l := d.Limits()
	mem := "var<workgroup> m: array<u32, N>;\n"
	main := "@compute @workgroup_size(S) fn main() { m[0] = 1u; }\n"
	size := func(n, s int) string { return fmt.Sprintf("const N: u32 = %du;\nconst S: u32 = %du;\n", n, s) }
	many := ""
	for i := range l.StorageBuffersPerStage + 1 {
		many += fmt.Sprintf("@group(0) @binding(%d) var<storage, read> b%d: array<u32>;\n", i, i)
	}
	for name, c := range map[string]struct {
		src  string
		want []string
	}{
		"syntax":      {"@compute @workgroup_size(1) fn main() { let a = ; }", []string{"let a"}},
		"type":        {"@compute @workgroup_size(1) fn main() { var a: u32 = 1.5; }", []string{"u32"}},
		"unknown":     {"@compute @workgroup_size(1) fn main() { var a = nothing; }", []string{"nothing"}},
		"memory":      {size(l.MaxWorkgroupBytes/4+1, 1) + mem + main, []string{"workgroup memory", fmt.Sprint(l.MaxWorkgroupBytes)}},
		"invocations": {size(1, l.MaxInvocations+1) + mem + main, []string{fmt.Sprint(l.MaxInvocations)}},
		"storages":    {many + "@compute @workgroup_size(1) fn main() { }", []string{"storage buffers"}},
	} {
		_, err := d.Pipeline(parse(t, name, c.src, nil))
		wantErr(t, err, nil, append(c.want, "kernel "+name)...)
	}
	k := parse(t, "utf-8", axpy, nil)
	k.Source += "// \xff"
	_, err := d.Pipeline(k)
	wantErr(t, err, nil, "kernel utf-8", "UTF-8")
	k = parse(t, "binding", axpy, nil)
	k.Bindings, k.MinSizes = k.Bindings[:2], k.MinSizes[:2]
	_, err = d.Pipeline(k) // the layout lacks what the shader uses
	wantErr(t, err, nil, "kernel binding")
	k = parse(t, "same", axpy, nil)
	_, err = d.Pipeline(k)
	check(t, err)
	k.Source += "\n"
	_, err = d.Pipeline(k)
	wantErr(t, err, nil, "kernel same")
	// After all this the device still works.
	pipeline(t, d, "axpy", axpy, nil)
	pipeline(t, d, "fits", size(l.MaxWorkgroupBytes/4, l.MaxInvocations)+mem+main, nil)
	check(t, d.Wait(t.Context()))
	if n := d.Stats().Pipelines; n != 3 {
		t.Errorf("%d pipelines compiled, want 3", n)
	}
}

func TestBufferErrors(t *testing.T) {
	d := gputest.Open(t)
	l := d.Limits()
	for _, size := range []uint64{0, l.MaxBufferSize + 1, math.MaxUint64, math.MaxUint64 - 3} {
		_, err := d.NewBuffer("weights", size, gpu.Storage)
		wantErr(t, err, nil, "weights", fmt.Sprint(size))
	}
	_, err := d.NewBuffer("weights", 4, 0)
	wantErr(t, err, nil, "weights")
	_, err = d.NewBuffer("weights", 4, 0x80)
	wantErr(t, err, nil, "weights")
	b := buffer(t, d, 10, gpu.Storage)
	for _, c := range []struct {
		off uint64
		n   int
	}{{0, 11}, {8, 3}, {12, 1}, {2, 4}, {4, 3}, {math.MaxUint64, 4}, {math.MaxUint64 - 3, 4}} {
		wantErr(t, b.Write(c.off, make([]byte, c.n)), nil, "test", fmt.Sprint(c.off))
	}
	check(t, b.Write(8, []byte{1, 2}))
	check(t, b.Write(10, nil))
	for _, c := range []struct {
		off uint64
		n   int
	}{{0, 13}, {12, 1}, {math.MaxUint64, 4}} {
		wantErr(t, d.Read(t.Context(), b, c.off, make([]byte, c.n)), nil, "test", fmt.Sprint(c.off))
	}
	wantErr(t, d.Read(t.Context(), nil, 0, make([]byte, 4)), nil, "no buffer")
	b.Release()
	b.Release()
	wantErr(t, b.Write(0, make([]byte, 4)), gpu.ErrReleased, "test")
	wantErr(t, d.Read(t.Context(), b, 0, make([]byte, 4)), gpu.ErrReleased, "test")
	var none *gpu.Buffer
	none.Release()
	odd, err := d.NewBuffer("not\xffUTF-8\x00", 4, gpu.Storage) // a label that Rust would not take
	check(t, err)
	odd.Release()
	check(t, d.Wait(t.Context()))
}

func TestBindGroupErrors(t *testing.T) {
	d := gputest.OpenWith(t, gpu.Options{MaxBinding: 4096})
	other := gputest.Open(t)
	pl := pipeline(t, d, "axpy", axpy, nil)
	u, s, w := buffer(t, d, 1024, gpu.Uniform), buffer(t, d, 8192, gpu.Storage), buffer(t, d, 4096, gpu.Storage)
	gone := buffer(t, d, 1024, gpu.Storage)
	gone.Release()
	for name, c := range map[string]struct {
		r    [3]gpu.Range
		want string
	}{
		"nil":         {[3]gpu.Range{{Buffer: u}, {}, {Buffer: w}}, "binding 1"},
		"released":    {[3]gpu.Range{{Buffer: u}, {Buffer: gone}, {Buffer: w}}, "released"},
		"other":       {[3]gpu.Range{{Buffer: u}, {Buffer: buffer(t, other, 64, gpu.Storage)}, {Buffer: w}}, "another device"},
		"usage":       {[3]gpu.Range{{Buffer: s, Size: 256}, {Buffer: w}, {Buffer: w}}, "uniform"},
		"usage2":      {[3]gpu.Range{{Buffer: u}, {Buffer: u}, {Buffer: w}}, "binding 1"},
		"alignment":   {[3]gpu.Range{{Buffer: u}, {Buffer: s, Offset: 128, Size: 64}, {Buffer: w}}, "multiple of 256"},
		"size":        {[3]gpu.Range{{Buffer: u}, {Buffer: s, Size: 63}, {Buffer: w}}, "multiple of 4"},
		"end":         {[3]gpu.Range{{Buffer: u}, {Buffer: s, Offset: 8192}, {Buffer: w}}, "8192"},
		"beyond":      {[3]gpu.Range{{Buffer: u}, {Buffer: s, Offset: 7936, Size: 512}, {Buffer: w}}, "7936"},
		"overflow":    {[3]gpu.Range{{Buffer: u}, {Buffer: s, Offset: 256, Size: math.MaxUint64}, {Buffer: w}}, "binding 1"},
		"limit":       {[3]gpu.Range{{Buffer: u}, {Buffer: s}, {Buffer: w}}, "4096"},
		"read, write": {[3]gpu.Range{{Buffer: u}, {Buffer: s, Size: 256}, {Buffer: s, Offset: 256, Size: 256}}, "bindings 1 and 2"},
	} {
		_, err := d.BindGroup(pl, c.r[:]...)
		wantErr(t, err, nil, "kernel axpy", c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	_, err := d.BindGroup(pl, gpu.Range{Buffer: u})
	wantErr(t, err, nil, "binds 3")
	_, err = d.BindGroup(nil)
	wantErr(t, err, nil, "nil")
	_, err = other.BindGroup(pl, gpu.Range{Buffer: u}, gpu.Range{Buffer: w}, gpu.Range{Buffer: w})
	wantErr(t, err, nil, "another device")
	group(t, d, pl, gpu.Range{Buffer: u}, gpu.Range{Buffer: s, Offset: 4096}, gpu.Range{Buffer: w})
}

func TestProgramErrors(t *testing.T) {
	d, other := gputest.Open(t), gputest.Open(t)
	pl := pipeline(t, d, "spin", spin, nil)
	pl2 := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": 2})
	a, b := buffer(t, d, 256, gpu.Storage), buffer(t, d, 256, gpu.Storage)
	foreign := buffer(t, other, 256, gpu.Storage)
	g := group(t, d, pl, gpu.Range{Buffer: a})
	opl := pipeline(t, other, "spin", spin, nil)
	og := group(t, other, opl, gpu.Range{Buffer: foreign})
	for name, c := range map[string]struct {
		record func(p *gpu.Program)
		want   string
	}{
		"zero":       {func(p *gpu.Program) { p.Dispatch(pl, g, 0, 1, 1) }, "0×1×1"},
		"many":       {func(p *gpu.Program) { p.Dispatch(pl, g, 1, 65536, 1) }, "65536"},
		"pipeline":   {func(p *gpu.Program) { p.Dispatch(pl2, g, 1, 1, 1) }, "was made for"},
		"nil":        {func(p *gpu.Program) { p.Dispatch(pl, nil, 1, 1, 1) }, "nil"},
		"nil2":       {func(p *gpu.Program) { p.Dispatch(nil, g, 1, 1, 1) }, "nil"},
		"mixed":      {func(p *gpu.Program) { p.Dispatch(pl, g, 1, 1, 1); p.Dispatch(opl, og, 1, 1, 1) }, "step 1"},
		"foreign":    {func(p *gpu.Program) { p.Dispatch(opl, og, 1, 1, 1) }, "another device"},
		"copy self":  {func(p *gpu.Program) { p.Copy(gpu.Range{Buffer: a, Size: 4}, gpu.Range{Buffer: a, Offset: 8}) }, "itself"},
		"copy odd":   {func(p *gpu.Program) { p.Copy(gpu.Range{Buffer: b}, gpu.Range{Buffer: a, Size: 3}) }, "multiples of 4"},
		"copy off":   {func(p *gpu.Program) { p.Copy(gpu.Range{Buffer: b, Offset: 2}, gpu.Range{Buffer: a, Size: 4}) }, "multiples of 4"},
		"copy long":  {func(p *gpu.Program) { p.Copy(gpu.Range{Buffer: b, Offset: 4}, gpu.Range{Buffer: a}) }, "256"},
		"copy sizes": {func(p *gpu.Program) { p.Copy(gpu.Range{Buffer: b, Size: 8}, gpu.Range{Buffer: a, Size: 4}) }, "4 bytes to 8"},
		"copy nil":   {func(p *gpu.Program) { p.Copy(gpu.Range{}, gpu.Range{Buffer: a}) }, "no buffer"},
		"copy other": {func(p *gpu.Program) { p.Copy(gpu.Range{Buffer: foreign}, gpu.Range{Buffer: a}) }, "another device"},
	} {
		var p gpu.Program
		c.record(&p)
		wantErr(t, d.Run(&p), nil, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// Released buffers and bind groups: the driver would abort the process.
	var p, q gpu.Program
	p.Dispatch(pl, g, 1, 1, 1)
	q.Copy(gpu.Range{Buffer: b}, gpu.Range{Buffer: a})
	check(t, d.Run(&p, &q))
	check(t, a.Write(0, words(1)))
	a.Release()
	wantErr(t, d.Run(&p), gpu.ErrReleased, "kernel spin", "test")
	wantErr(t, d.Run(&q), gpu.ErrReleased, "test")
	g.Release()
	g.Release()
	wantErr(t, d.Run(&p), gpu.ErrReleased, "bind group")
	q.Release()
	p.Release()
	check(t, d.Run(&p))
	check(t, d.Wait(t.Context()))
}

// TestRefusedSubmission makes the driver refuse a dispatch: later errors must make sense.
func TestRefusedSubmission(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "small", `
struct Params { a: array<vec4<u32>, 8> }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1) fn main() { y[0] = p.a[7].x; }`, nil)
	u, b := buffer(t, d, 64, gpu.Uniform), buffer(t, d, 64, gpu.Storage)
	g, err := d.BindGroup(pl, gpu.Range{Buffer: u}, gpu.Range{Buffer: b}) // u is smaller than the struct
	if err != nil {
		wantErr(t, err, nil, "kernel small")
		return
	}
	var p gpu.Program
	p.Dispatch(pl, g, 1, 1, 1)
	err = d.Run(&p)
	if err == nil { // under js the error comes later
		err = d.Wait(t.Context())
	}
	wantErr(t, err, nil, "128")
	wantErr(t, d.Read(t.Context(), b, 0, make([]byte, 4)), nil, "failed before", "128")
	wantErr(t, b.Write(0, words(1)), nil, "failed before", "128")
	wantErr(t, d.Run(&p), nil, "failed before", "128")
	wantErr(t, d.Wait(t.Context()), nil, "failed before", "128")
}

// TestFixedArray: the driver does not notice that a buffer is smaller than the shader's array.
func TestFixedArray(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "fixed", `
@group(0) @binding(0) var<storage, read_write> y: array<u32, 256>;
@compute @workgroup_size(1) fn main() { y[255] = 1u; }`, nil)
	_, err := d.BindGroup(pl, gpu.Range{Buffer: buffer(t, d, 1020, gpu.Storage)})
	wantErr(t, err, nil, "kernel fixed", "1024")
	group(t, d, pl, gpu.Range{Buffer: buffer(t, d, 1024, gpu.Storage)})
}
