package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// fusedCase is what matvec does besides a product: completing the norm before it, the activation of pairs of
// rows after it, and preparing the next norm.
type fusedCase struct {
	packing
	rows, width, tokens   int
	gate                  gate
	norm, bias, add, next bool
	scale, softcap        float64
}

func (c fusedCase) String() string {
	return fmt.Sprintf("%v/%dx%d/%dtokens", c.packing, c.rows, c.width, c.tokens)
}

// gate is the activation of pairs of rows.
type gate int

const (
	plain gate = iota
	silu
	geluTanh
)

// act is the activation's number in act.wgsl.
func (g gate) act() int { return map[gate]int{silu: 0, geluTanh: 2}[g] }

// TestMatvecFused tests fused products; plain ones are tested in gpu/transformer, which launches them.
func TestMatvecFused(t *testing.T) {
	for _, c := range []fusedCase{
		{packing: codes(4, 128), rows: 22, width: 300, tokens: 1, norm: true, scale: 1},
		{packing: codes(2, 32), rows: 7, width: 65, tokens: 2, norm: true, bias: true, add: true, scale: 0.5},
		{packing: codes(8, 256), rows: 18, width: 513, tokens: 4, norm: true, gate: silu, scale: 1},
		{packing: codes(4, 32), rows: 10, width: 97, tokens: 2, gate: geluTanh, bias: true, scale: 1},
		{packing: f16, rows: 6, width: 2100, tokens: 1, norm: true, gate: geluTanh, bias: true, add: true, scale: 0.3},
		{packing: f32, rows: 4, width: 33, tokens: 8, gate: silu, scale: 1},
		{packing: codes(2, 256), rows: 9, width: 255, tokens: 1, bias: true, add: true, next: true, scale: 0.1, softcap: 2},
		{packing: codes(4, 64), rows: 261, width: 130, tokens: 4, bias: true, add: true, next: true, scale: 1},
		{packing: codes(8, 128), rows: 18, width: 300, tokens: 8, add: true, next: true, scale: 0.5},
		{packing: f16, rows: 18, width: 300, tokens: 4, add: true, next: true, scale: 0.5},
		{packing: codes(4, 128), rows: 70, width: 5000, tokens: 8, norm: true, gate: silu, bias: true, scale: 1},
		{packing: codes(4, 32), rows: 70, width: 1100, tokens: 8, norm: true, add: true, next: true, scale: 1},
		{packing: codes(2, 32), rows: 66, width: 2100, tokens: 8, bias: true, add: true, next: true, scale: 1},
		{packing: codes(2, 256), rows: 66, width: 1300, tokens: 4, norm: true, gate: geluTanh, scale: 1},
	} {
		t.Run("matvec/"+c.String(), func(t *testing.T) { c.test(t, "matvec") })
		if c.tokens >= 4 {
			t.Run("matvec_batch/"+c.String(), func(t *testing.T) { c.test(t, "matvec_batch") })
		}
		if c.bits == 16 {
			t.Run("matvec_f16/"+c.String(), func(t *testing.T) { c.test(t, "matvec_f16") })
		}
	}
}

// specialize returns a kernel for the native compiler, which does not know float16: in place of matvec_f16 it
// compiles a kernel of the same pieces that reads its weights as u32. Kernels that need other features run in
// the tests of package web.
func specialize(t *testing.T, name string, c kernels.Consts) kernels.Kernel {
	t.Helper()
	k, err := kernels.Specialize(name, c)
	if name == "matvec_f16" {
		delete(c, "BLOCK")
		k, err = kernels.Parse(name, readFile(t, "testdata/matvec_f16.wgsl"), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const fusedEps = 0.1 // large enough that its absence would be noticed

func (c fusedCase) test(t *testing.T, name string) {
	cols := c.cols(c.width)
	rng := random(uint64(c.rows * c.width))
	rest, values := c.packing.rows(rng, c.rows, c.width)
	w, h := c.planes(rest, c.rows, c.width)
	made := c.rows // elements of y
	if c.gate != plain {
		made /= 2
	}
	const y0 = 2       // rows
	const squares = 12 // sums after x
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
	each, along := 4, 8 // rows per workgroup; threads that share a row in matvec_batch
	if name == "matvec_batch" {
		each = 4 * 64 / along
	}
	groups := (c.rows + each - 1) / each
	nextStride := roundUp(c.rows, 256) + groups + 4
	ahead := filled(c.tokens * nextStride)
	if c.next {
		weights, next = g, ahead
	}
	consts := c.consts()
	consts["TOKENS"], consts["ROWS"], consts["NORM"], consts["NEXT"] = c.tokens, 4, asInt(c.norm), asInt(c.next)
	switch name {
	case "matvec":
		consts["STEP"] = max(1, 32/c.bits/c.tokens)
	case "matvec_batch":
		consts["ALONG"], consts["LANES"] = along, 64
	}
	switch c.gate {
	case silu:
		consts["GATED"] = 1
	case geluTanh:
		consts["GATED"], consts["SLOPE"], consts["CUBIC"] = 1, 1.5957691216057308, 1.5957691216057308*0.044715
	}
	launchKernel(t, specialize(t, name, consts), groups, 1, w, heads, x, weights, b, y, next, shape{
		cols: cols, rows: c.rows, width: c.width, xStride: xStride, yStride: yStride, y0: y0, nextStride: nextStride, squares: squares,
		bias: c.bias, add: c.add, scale: c.scale, softcap: c.softcap, eps: fusedEps,
	}.words())
	first := y0
	if c.gate != plain {
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
	if c.next {
		c.checkNext(t, y, yStride, y0, g, ahead, nextStride, each)
	}
}

// checkNext compares what is prepared for the next norm with y as the kernel computed it.
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

// product is one row's product, with its bias. Codes minus zero-points are exact. A term is rounded fewer
// times than there are columns, six halvings of the lanes and a few products.
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
	if c.norm {
		root := math.Sqrt(squares/float64(c.width) + fusedEps)
		v = value{sum / root, v.within/root + math.Abs(sum)/root*(lost/2+9*ulp)}
	}
	if c.bias {
		v = value{v.want + bias, v.within + unit*(math.Abs(v.want)+math.Abs(bias))}
	}
	return v
}

// finish is element k of y: activation, scale, softcap and addition. An activation's slope is
// below 1.2, so it amplifies the error of its input only a little.
func (c fusedCase) finish(product func(r int) value, k int) value {
	v := product(k)
	if c.gate != plain {
		gate, up := product(2*k), product(2*k+1)
		v = activation(c.gate.act(), gate.want)
		v = value{v.want, v.within*1.1 + 1.2*gate.within}.times(up)
	}
	v = v.times(value{want: float64(float32(c.scale))})
	if c.softcap != 0 { // tanh may be off by 1e-5
		y := c.softcap * math.Tanh(v.want/c.softcap)
		v = value{y, v.within + 1e-5*c.softcap + 4*ulp*math.Abs(y)}
	}
	if c.add {
		v = value{v.want + float64(untouched), v.within + unit*(math.Abs(v.want)+math.Abs(float64(untouched)))}
	}
	return v
}
