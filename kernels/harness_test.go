package kernels_test

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Errors of float32 arithmetic, relative to the result. A sum, difference or product is off by at most unit,
// a division by 2.5·ulp, exp(x) by (3+2|x|)·ulp: the bounds that WGSL sets.
const (
	ulp  = 0x1p-23
	unit = ulp / 2
)

// expError bounds the relative error of exp(x).
func expError(x float64) float64 { return (3 + 2*math.Abs(x)) * ulp }

var (
	device *gpu.Device // of all tests
	atExit []func()
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range atExit {
		f()
	}
	os.Exit(code)
}

// lasting is the test that opens the device, which outlives the test.
type lasting struct{ testing.TB }

func (lasting) Cleanup(f func()) { atExit = append(atExit, f) }

func open(t testing.TB) *gpu.Device {
	t.Helper()
	if device == nil {
		device = gputest.Open(lasting{t})
	}
	return device
}

// launch runs a kernel with x·y workgroups. Operands are a []float32 or []uint32 for each
// binding; what the kernel may write is read back into them. nil stands for a buffer that the
// kernel does not use.
func launch(t *testing.T, name string, c kernels.Consts, x, y int, operands ...any) {
	t.Helper()
	k, err := kernels.Specialize(name, c)
	if err != nil {
		t.Fatal(err)
	}
	launchKernel(t, k, x, y, operands...)
}

// launchKernel does the same for a specialized kernel, in the unrolled form, which GPUs get; models are tested with the
// plain one on the software driver.
func launchKernel(t *testing.T, k kernels.Kernel, x, y int, operands ...any) {
	t.Helper()
	k, err := k.Unrolled()
	if err != nil {
		t.Fatal(err)
	}
	launchPlain(t, k, x, y, operands...)
}

// launchPlain does it for a kernel as it is, but for workgroup memory, in which another kernel may have left something.
func launchPlain(t *testing.T, k kernels.Kernel, x, y int, operands ...any) {
	t.Helper()
	p, buffers := record(t, uncleared(t, k), x, y, operands...)
	defer p.Release()
	dev := open(t)
	if err := dev.Run(p); err != nil {
		t.Fatal(err)
	}
	for i, o := range kernels.Bound(k, operands) {
		if k.Bindings[i] == kernels.Storage {
			download(t, dev, buffers[i], o)
		}
		buffers[i].Release()
	}
}

// record returns a program that dispatches a kernel once, and a buffer for each operand that it binds.
func record(t testing.TB, k kernels.Kernel, x, y int, operands ...any) (*gpu.Program, []*gpu.Buffer) {
	t.Helper()
	dev := open(t)
	pipeline, err := dev.Pipeline(k)
	if err != nil {
		t.Fatal(err)
	}
	if operands = kernels.Bound(k, operands); len(operands) != len(k.Bindings) {
		t.Fatalf("%s: %d operands for %d bindings", k.Key, len(operands), len(k.Bindings))
	}
	ranges, buffers := make([]gpu.Range, len(operands)), make([]*gpu.Buffer, len(operands))
	for i, o := range operands {
		buffers[i] = upload(t, dev, k.Bindings[i], o)
		ranges[i] = gpu.Range{Buffer: buffers[i]}
	}
	group, err := dev.BindGroup(pipeline, ranges...)
	if err != nil {
		t.Fatal(err)
	}
	p := &gpu.Program{}
	p.Dispatch(pipeline, group, uint32(x), uint32(y), 1)
	return p, buffers
}

// upload makes a buffer of exactly the operand's size, so that reads and writes past its end
// are noticed; the size of a uniform is rounded up to 16 bytes, as that of a struct is.
func upload(t testing.TB, dev *gpu.Device, kind kernels.Binding, operand any) *gpu.Buffer {
	t.Helper()
	var data []byte
	switch v := operand.(type) {
	case nil:
		data = make([]byte, 256)
	case []float32:
		for _, f := range v {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
		}
	case []uint32:
		for _, w := range v {
			data = binary.LittleEndian.AppendUint32(data, w)
		}
	default:
		t.Fatalf("operand of type %T", operand)
	}
	usage := gpu.Storage
	if kind == kernels.Uniform {
		usage = gpu.Uniform
		data = append(data, make([]byte, -len(data)&15)...)
	}
	b, err := dev.NewBuffer("test", uint64(len(data)), usage)
	if err == nil {
		err = b.Write(0, data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func download(t *testing.T, dev *gpu.Device, b *gpu.Buffer, operand any) {
	t.Helper()
	raw := make([]byte, b.Size())
	if err := dev.Read(context.Background(), b, 0, raw); err != nil {
		t.Fatal(err)
	}
	switch v := operand.(type) {
	case []float32:
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case []uint32:
		for i := range v {
			v[i] = binary.LittleEndian.Uint32(raw[4*i:])
		}
	}
}

// shape is the Shape of shared/shape.wgsl.
type shape struct {
	cols, rows, width    int // columns stored, rows, columns of the model
	xStride, yStride, y0 int
	nextStride, squares  int // squares: sums after x
	first, here          int // experts
	bias, add            bool
	scale, softcap, eps  float64
}

func (s shape) words() []uint32 {
	const exponent = 0x4b000000 // of 2²³
	return []uint32{
		uint32(s.cols), uint32(s.rows), uint32(s.xStride), uint32(s.yStride), uint32(s.y0), uint32(asInt(s.bias)), uint32(asInt(s.add)),
		bits(float32(s.scale)), bits(float32(s.softcap)), uint32(s.first), uint32(s.here), uint32(s.width), bits(float32(s.eps)),
		uint32(s.squares / 4), uint32(s.nextStride), exponent,
	}
}

// asInt is b as the value of a kernel's constant.
func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// value is the expected value of an element, and how far off it may be.
type value struct{ want, within float64 }

// check compares an element; NaN is never right.
func (v value) check(t *testing.T, what string, i int, got float32) {
	t.Helper()
	if d := math.Abs(float64(got) - v.want); !(d <= v.within) {
		t.Fatalf("%s: element %d: got %v, want %v: off by %g, bound %g", what, i, got, v.want, d, v.within)
	}
}

// untouched fills what a kernel must either not write, or overwrite.
const untouched = float32(-77.25)

func filled(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = untouched
	}
	return v
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// normals returns n numbers with the given mean and spread.
func normals(rng *rand.Rand, n int, mean, spread float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(mean + spread*rng.NormFloat64())
	}
	return v
}

func bits(f float32) uint32 { return math.Float32bits(f) }

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
