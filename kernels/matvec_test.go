package kernels_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// fusedCase is what matvec does besides a product: the end of a norm before, the activation of pairs of
// rows after, and what prepares the next norm.
type fusedCase struct {
	packing
	rows, width, tokens, norm, act, bias, add, next int
	scale, softcap                                  float64
}

// TestMatvecFused; products alone are tested with the program that launches them.
func TestMatvecFused(t *testing.T) {
	for _, c := range []fusedCase{
		{packing{4, 128}, 22, 300, 1, 1, 0, 0, 0, 0, 1, 0},
		{packing{2, 32}, 7, 65, 2, 1, 0, 1, 1, 0, 0.5, 0},
		{packing{8, 256}, 18, 513, 4, 1, 1, 0, 0, 0, 1, 0},
		{packing{4, 32}, 10, 97, 2, 0, 3, 1, 0, 0, 1, 0},
		{packing{16, 0}, 6, 2100, 1, 1, 3, 1, 1, 0, 0.3, 0},
		{packing{32, 0}, 4, 33, 8, 0, 1, 0, 0, 0, 1, 0},
		{packing{2, 256}, 9, 255, 1, 0, 0, 1, 1, 1, 0.1, 2},
		{packing{4, 64}, 261, 130, 4, 0, 0, 1, 1, 1, 1, 0},
		{packing{8, 128}, 18, 300, 8, 0, 0, 0, 1, 1, 0.5, 0},
		{packing{16, 0}, 18, 300, 4, 0, 0, 0, 1, 1, 0.5, 0},
		{packing{4, 128}, 70, 5000, 8, 1, 1, 1, 0, 0, 1, 0},
		{packing{4, 32}, 70, 1100, 8, 1, 0, 0, 1, 1, 1, 0},
		{packing{2, 32}, 66, 2100, 8, 0, 0, 1, 1, 1, 1, 0},
		{packing{2, 256}, 66, 1300, 4, 1, 3, 0, 0, 0, 1, 0},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.test(t, "matvec") })
		if c.tokens >= 4 {
			t.Run(fmt.Sprintf("batch %+v", c), func(t *testing.T) { c.test(t, "matvec_batch") })
		}
		if c.bits == 16 {
			t.Run(fmt.Sprintf("f16 %+v", c), func(t *testing.T) { c.test(t, "matvec_f16") })
		}
	}
}

// specializedFor returns a kernel for the native compiler, which does not know float16: what matvec_f16 reads
// as vec4<f16> is unpacked instead, the rest of it stays as it is. The other kernels of this kind run in the
// tests of package web.
func specializedFor(t *testing.T, name string, c kernels.Consts) kernels.Kernel {
	t.Helper()
	source := readKernel(t, name)
	if name == "matvec_f16" {
		delete(c, "BLOCK")
		for _, r := range [][2]string{
			{"enable f16;", "fn unpacked(v: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y)); }"},
			{"array<vec4<f16>>", "array<vec2<u32>>"},
			{"vec4<f32>(w[", "unpacked(w["},
		} {
			if strings.Count(source, r[0]) != 1 {
				t.Fatalf("%s has %q %d times", name, r[0], strings.Count(source, r[0]))
			}
			source = strings.Replace(source, r[0], r[1], 1)
		}
	}
	k, err := kernels.Parse(name, source, c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const fusedEps = 0.1 // large enough to be missed

func (c fusedCase) test(t *testing.T, name string) {
	cols := c.cols(c.width)
	rng := random(uint64(c.rows * c.width))
	rest, values := c.packing.rows(rng, c.rows, c.width)
	w, h := c.planes(rest, c.rows, c.width)
	made := c.rows // elements of y
	if c.act > 0 {
		made /= 2
	}
	const y0 = 2       // rows
	const squares = 12 // sums behind x
	behind := roundUp(cols, 256)
	xStride, yStride := behind+squares, made+y0+3
	x, y := make([]float32, c.tokens*xStride), filled(c.tokens*yStride)
	for i := range c.tokens {
		copy(x[i*xStride:], normals(rng, c.width, 0, 1))
		for j := range squares {
			x[i*xStride+behind+j] = rng.Float32() * float32(c.width)
		}
	}
	g, b := normals(rng, c.rows, 1, 0.3), normals(rng, c.rows+y0, 0, 1)
	heads, weights, next := any(h), any(nil), any(nil)
	if c.block == 0 {
		heads = nil
	}
	each, along := 4, 8 // rows of a workgroup; threads that share a row in matvec_batch
	if name == "matvec_batch" {
		each = 4 * 64 / along
	}
	groups := (c.rows + each - 1) / each
	nextStride := roundUp(c.rows, 256) + groups + 4
	ahead := filled(c.tokens * nextStride)
	if c.next == 1 {
		weights, next = g, ahead
	}
	consts := c.consts()
	consts["TOKENS"], consts["ROWS"], consts["NORM"], consts["NEXT"] = c.tokens, 4, c.norm, c.next
	switch name {
	case "matvec":
		consts["STEP"] = max(1, 32/c.bits/c.tokens)
	case "matvec_batch":
		consts["ALONG"], consts["LANES"] = along, 64
	}
	switch c.act { // 1 SiLU, 3 GELU by tanh
	case 1:
		consts["GATED"] = 1
	case 3:
		consts["GATED"], consts["SLOPE"], consts["CUBIC"] = 1, 1.5957691216057308, 1.5957691216057308*0.044715
	}
	launchKernel(t, specializedFor(t, name, consts), groups, 1, w, heads, x, weights, b, y, next, []uint32{
		uint32(cols), uint32(c.rows), uint32(xStride), uint32(yStride), y0, uint32(c.bias), uint32(c.add),
		bits(float32(c.scale)), bits(float32(c.softcap)), 0, 0, uint32(c.width), bits(fusedEps),
		squares / 4, uint32(nextStride), 0x4b000000,
	})
	first := y0
	if c.act > 0 {
		first = y0 / 2
	}
	for i, got := range y {
		token, k := i/yStride, i%yStride-first
		v := value{want: float64(untouched)}
		if k >= 0 && k < made {
			in := x[token*xStride:][:xStride]
			product := func(r int) value { return c.product(values, r, in, in[behind:], float64(b[y0+r])) }
			v = c.finish(product, k)
		}
		v.check(t, "y", i, got)
	}
	if c.next == 1 {
		c.checkNext(t, y, yStride, y0, g, ahead, nextStride, each)
	}
}

// checkNext compares what is prepared for the next norm with y as the kernel has made it.
func (c fusedCase) checkNext(t *testing.T, y []float32, yStride, y0 int, g, ahead []float32, stride, each int) {
	t.Helper()
	behind := roundUp(c.rows, 256)
	for token := range c.tokens {
		row, made := ahead[token*stride:][:stride], y[token*yStride+y0:]
		sums := make([]float64, (c.rows+each-1)/each+3) // the last three are zero
		for r := range c.rows {
			want := float64(made[r]) * float64(g[r])
			value{want, unit * math.Abs(want)}.check(t, "next", r, row[r])
			sums[r/each] += float64(made[r]) * float64(made[r])
		}
		for i, want := range sums {
			value{want, float64(each+4) * unit * want}.check(t, "squares", i, row[behind+i])
		}
	}
}

// product is one row's product, with its bias. Codes less their zero-points are exact. A term passes fewer
// roundings than there are columns, six halvings of the lanes and a few products.
func (c fusedCase) product(values []float32, r int, x, behind []float32, bias float64) value {
	var sum, size, squares float64
	for _, s := range behind {
		squares += float64(s)
	}
	for k := range c.width {
		p := float64(values[r*c.width+k]) * float64(x[k])
		sum += p
		size += math.Abs(p)
	}
	lost := float64(c.cols(c.width)+12) * unit
	v := value{sum, size * lost}
	if c.norm == 1 {
		root := math.Sqrt(squares/float64(c.width) + fusedEps)
		v = value{sum / root, v.within/root + math.Abs(sum)/root*(lost/2+9*ulp)}
	}
	if c.bias == 1 {
		v = value{v.want + bias, v.within + unit*(math.Abs(v.want)+math.Abs(bias))}
	}
	return v
}

// finish is element k of y: activation, scale, softcap and addition. An activation's slope is
// below 1.2, so it passes on little more than the error of what it is given.
func (c fusedCase) finish(product func(r int) value, k int) value {
	v := product(k)
	if c.act > 0 {
		gate, up := product(2*k), product(2*k+1)
		v = activation(c.act-1, gate.want)
		v = value{v.want, v.within*1.1 + 1.2*gate.within}.times(up)
	}
	v = v.times(value{want: float64(float32(c.scale))})
	if c.softcap != 0 { // tanh may be off by 1e-5
		y := c.softcap * math.Tanh(v.want/c.softcap)
		v = value{y, v.within + 1e-5*c.softcap + 4*ulp*math.Abs(y)}
	}
	if c.add == 1 {
		v = value{v.want + float64(untouched), v.within + unit*(math.Abs(v.want)+math.Abs(float64(untouched)))}
	}
	return v
}
