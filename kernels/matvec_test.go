package kernels_test

import (
	"fmt"
	"math"
	"testing"
)

// fusedCase is what matvec does besides a product: the norm of its input before, the activation
// of pairs of rows after.
type fusedCase struct {
	packing
	rows, width, tokens, norm, act, bias, add int
	scale, softcap                            float64
}

// TestMatvecFused; products alone are tested with the program that launches them.
func TestMatvecFused(t *testing.T) {
	for _, c := range []fusedCase{
		{packing{4, 128}, 22, 300, 1, 1, 0, 0, 0, 1, 0},
		{packing{2, 32}, 7, 65, 2, 1, 0, 1, 1, 0.5, 0},
		{packing{8, 256}, 18, 513, 4, 1, 1, 0, 0, 1, 0},
		{packing{4, 32}, 10, 97, 2, 0, 3, 1, 0, 1, 0},
		{packing{16, 0}, 6, 2100, 1, 1, 3, 1, 1, 0.3, 0},
		{packing{32, 0}, 4, 33, 8, 0, 1, 0, 0, 1, 0},
		{packing{2, 256}, 9, 255, 1, 0, 0, 1, 1, 0.1, 2},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.test(t) })
	}
}

const fusedEps = 0.1 // large enough to be missed

func (c fusedCase) test(t *testing.T) {
	cols := c.cols(c.width)
	rng := random(uint64(c.rows * c.width))
	rest, values := c.packing.rows(rng, c.rows, c.width)
	w, h := c.planes(rest, c.rows, c.width)
	made := c.rows // elements of y
	if c.act > 0 {
		made /= 2
	}
	const y0 = 2 // rows
	xStride, yStride := roundUp(cols, 4), made+y0+3
	x, y := make([]float32, c.tokens*xStride), filled(c.tokens*yStride)
	for i := range c.tokens {
		copy(x[i*xStride:], normals(rng, c.width, 0, 1))
	}
	g, b := make([]float32, cols), normals(rng, c.rows+y0, 0, 1)
	copy(g, normals(rng, c.width, 1, 0.3))
	heads, weights := any(h), any(nil)
	if c.block == 0 {
		heads = nil
	}
	if c.norm == 1 {
		weights = g
	}
	consts := c.consts()
	consts["TOKENS"], consts["ROWS"], consts["NORM"] = c.tokens, 4, c.norm
	switch c.act { // 1 SiLU, 3 GELU by tanh
	case 1:
		consts["GATED"] = 1
	case 3:
		consts["GATED"], consts["SLOPE"], consts["CUBIC"] = 1, 1.5957691216057308, 1.5957691216057308*0.044715
	}
	launch(t, "matvec", consts, (c.rows+3)/4, 1, w, heads, x, weights, b, y, []uint32{
		uint32(cols), uint32(c.rows), uint32(xStride), uint32(yStride), y0, uint32(c.bias), uint32(c.add),
		bits(float32(c.scale)), bits(float32(c.softcap)), 0, 0, uint32(c.width), bits(fusedEps),
	})
	first := y0
	if c.act > 0 {
		first = y0 / 2
	}
	for i, got := range y {
		token, k := i/yStride, i%yStride-first
		v := value{want: float64(untouched)}
		if k >= 0 && k < made {
			product := func(r int) value { return c.product(w, h, values, r, x[token*xStride:], g, float64(b[y0+r])) }
			v = c.finish(product, k)
		}
		v.check(t, "y", i, got)
	}
}

// product is one row's product, with its bias. The kernel sums scale·Σ code·x and −scale·zero·Σ x
// apart, so its terms are of the size of codes and zero-points, not of their differences. A term
// passes fewer roundings than there are columns, six halvings of the lanes and a few products.
func (c fusedCase) product(w, h []uint32, values []float32, r int, x, g []float32, bias float64) value {
	var sum, size, squares float64
	for k := range c.width {
		in := float64(x[k])
		squares += in * in
		if c.norm == 1 {
			in *= float64(g[k])
		}
		sum += float64(values[r*c.width+k]) * in
		size += c.weightSize(w, h, values, r, k) * math.Abs(in)
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

func (c fusedCase) weightSize(w, h []uint32, values []float32, r, k int) float64 {
	if c.block == 0 {
		return math.Abs(float64(values[r*c.width+k]))
	}
	cols := c.cols(c.width)
	code := w[(r*cols+k)*c.bits/32] >> (k * c.bits % 32) & (1<<c.bits - 1)
	head := h[(r*cols+k)/c.block]
	scale := math.Abs(float64(cached([]uint32{head}, 0, 16)))
	return scale * (float64(code) + math.Abs(float64(int16(head>>16))))
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
