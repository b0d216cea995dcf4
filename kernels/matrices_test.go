package kernels_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// emulated ends the names of emulations.
const emulated = "_emulated"

// matrixKernel specializes a kernel of subgroup matrices; where the device has none, an emulation of it.
func matrixKernel(t *testing.T, name string, c kernels.Consts) kernels.Kernel {
	t.Helper()
	k, err := kernels.Specialize(name, c)
	if err == nil && !open(t).Features().Runs(k) {
		k, err = kernels.Parse(name+emulated, gputest.EmulateMatrices(t, name, "."), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// launchMatrix runs a kernel that matrixKernel made. An emulation is not unrolled, which would take a software driver long
// to compile.
func launchMatrix(t *testing.T, k kernels.Kernel, x, y int, operands ...any) {
	t.Helper()
	if strings.HasSuffix(k.Name, emulated) {
		launchPlain(t, k, x, y, operands...)
		return
	}
	launchKernel(t, k, x, y, operands...)
}

// matrixCase is a product by split and matmul_matrix.
type matrixCase struct {
	packing
	rows, width, tokens int
	tile                kernels.Consts
	bias, add           bool
	gated               bool // rows are those of gate and up by turns
	norm                bool // vectors are normalized
	scale, softcap      float64
}

func (c matrixCase) String() string {
	return fmt.Sprintf("%v/%dx%d/%dtokens/%v", c.packing, c.rows, c.width, c.tokens, c.tile.Key("tile"))
}

// TestMatmulMatrix compares products by subgroup matrices with their definition.
func TestMatmulMatrix(t *testing.T) {
	small := kernels.Consts{"HIGH": 1, "WIDE": 2, "DOWN": 2, "ACROSS": 1, "DEPTH": 32}
	double := kernels.Consts{"HIGH": 2, "WIDE": 1, "DOWN": 1, "ACROSS": 2, "BUFFERS": 2}
	for _, c := range []matrixCase{
		{packing: codes(4, 128), rows: 130, width: 256, tokens: 70, tile: kernels.Consts{"WIDE": 2, "DOWN": 1}, scale: 1},
		{packing: codes(4, 32), rows: 37, width: 160, tokens: 19, tile: small, bias: true, add: true, scale: 0.5},
		{packing: codes(8, 64), rows: 33, width: 192, tokens: 33, tile: double, add: true, scale: 1, softcap: 3},
		{packing: codes(2, 256), rows: 40, width: 512, tokens: 9, tile: small, bias: true, scale: 2},
		{packing: codes(2, 32), rows: 16, width: 192, tokens: 16, tile: double, scale: 1},
		{packing: f16, rows: 35, width: 96, tokens: 34, tile: small, scale: 1},
		{packing: codes(4, 64), rows: 35, width: 192, tokens: 20, tile: kernels.Consts{"HIGH": 1, "WIDE": 2, "DOWN": 2, "ACROSS": 1, "FINE": 1}, scale: 1},
		{packing: codes(8, 32), rows: 18, width: 96, tokens: 33, tile: kernels.Consts{"HIGH": 1, "WIDE": 1, "DOWN": 2, "ACROSS": 1, "FINE": 1, "BUFFERS": 2}, scale: 1},
		{packing: codes(4, 128), rows: 70, width: 256, tokens: 33, tile: kernels.Consts{"HIGH": 2, "WIDE": 1, "DOWN": 2, "ACROSS": 2}, add: true, scale: 1},
		{packing: codes(8, 64), rows: 34, width: 192, tokens: 17, tile: kernels.Consts{"HIGH": 1, "WIDE": 1, "DOWN": 2, "ACROSS": 1, "BUFFERS": 2}, scale: 1},
		{packing: codes(2, 32), rows: 33, width: 128, tokens: 17, tile: kernels.Consts{"HIGH": 1, "WIDE": 2, "DOWN": 1, "ACROSS": 1}, scale: 1},
		{packing: codes(4, 32), rows: 40, width: 96, tokens: 18, tile: kernels.Consts{"HIGH": 1, "WIDE": 1, "DOWN": 2, "ACROSS": 2, "FINE": 1}, scale: 1},
		{packing: codes(4, 64), rows: 38, width: 128, tokens: 19, tile: kernels.Consts{"GATED": 1, "HIGH": 1, "WIDE": 1, "DOWN": 2, "ACROSS": 1}, gated: true, norm: true, bias: true, scale: 1},
		{packing: codes(8, 256), rows: 17, width: 300, tokens: 5, tile: kernels.Consts{"LIMBS": 1, "DOWN": 1, "ACROSS": 1, "HIGH": 2, "WIDE": 1}, scale: 1},
	} {
		t.Run(c.String(), func(t *testing.T) { c.test(t) })
	}
}

// inputs makes activations up: those of one token are far beyond float16, those of another are 0.
func (c matrixCase) inputs(stride int) []float32 {
	x := make([]float32, c.tokens*stride)
	rng := random(uint64(c.width))
	for i := range c.tokens {
		spread := 1.0
		switch i % 5 {
		case 2:
			spread = 1e7
		case 3:
			spread = 0
		case 4:
			spread = 1e-9
		}
		copy(x[i*stride:], normals(rng, c.width, 0, spread))
	}
	return x
}

// matrixData is what a product of a case reads and writes.
type matrixData struct {
	shape
	w, h   []uint32  // planes of the weights
	values []float32 // [rows][width], what they stand for
	x      []float32 // [tokens][xStride]
	biases []float32 // [rows]
	y      []float32 // [tokens][yStride], which the kernel writes
	before []float32 // y before
}

func (c matrixCase) data() matrixData {
	rest, values := c.packing.rows(random(uint64(c.rows)), c.rows, c.width)
	stride, yStride := roundUp(c.width, 256), roundUp(c.rows, 256)
	d := matrixData{
		shape: shape{
			cols: c.cols(c.width), rows: c.rows, width: c.width, xStride: stride, yStride: yStride,
			bias: c.bias, add: c.add, scale: c.scale, softcap: c.softcap, eps: fusedEps,
		},
		values: values, x: c.inputs(stride), biases: normals(random(4), c.rows, 0, 1), y: normals(random(3), c.tokens*yStride, 0, 1),
	}
	d.w, d.h = c.planes(rest, c.rows, c.width)
	d.before = slices.Clone(d.y)
	return d
}

// normalize replaces the vectors by what the norm with these weights makes of them.
func (d *matrixData) normalize(g []float32) {
	for at := 0; at < len(d.x); at += d.xStride {
		x := d.x[at:][:d.width]
		var squares float64
		for _, v := range x {
			squares += float64(v) * float64(v)
		}
		root := math.Sqrt(squares/float64(d.width) + fusedEps)
		for k := range x {
			x[k] = float32(float64(x[k]) * float64(g[k]) / root)
		}
	}
}

// element says what an element of y should be: its row, the row's weights, the token's vector, the row's bias, and what was there before.
type element func(row int, w, x []float32, bias, before float32) value

// check compares y with what each element should be, and what lies between the tokens' rows with what was there before.
func (d *matrixData) check(t *testing.T, want element) {
	t.Helper()
	for i := range d.y {
		token, row := i/d.yStride, i%d.yStride
		if row >= d.rows {
			if d.y[i] != d.before[i] {
				t.Fatalf("element %d of token %d was written", row, token)
			}
			continue
		}
		want(row, d.values[row*d.width:][:d.width], d.x[token*d.xStride:][:d.width], d.biases[row], d.before[i]).check(t, "y", i, d.y[i])
	}
}

func (c matrixCase) test(t *testing.T) {
	d := c.data()
	halves, units := make([]uint32, c.tokens*d.cols), make([]float32, c.tokens)
	consts, g := c.consts(), normals(random(6), c.width, 1, 0.3)
	consts["NORM"] = asInt(c.norm)
	launch(t, "split", consts, c.tokens, 1, d.x, g, halves, units, d.words())
	if c.norm {
		d.normalize(g)
	}
	consts = c.consts()
	maps.Copy(consts, c.tile)
	k := matrixKernel(t, "matmul_matrix", consts)
	high, _ := k.Constant("ROWS")
	wide, _ := k.Constant("TOKENS")
	var heads any
	if c.block != 0 {
		heads = d.h
	}
	launchMatrix(t, k, (c.tokens+16*wide-1)/(16*wide), (c.rows+16*high-1)/(16*high), d.w, heads, halves, units, d.biases, d.y, d.words(), []uint32{uint32(c.tokens), 0, 0, 0})
	limbs, _ := k.Constant("LIMBS")
	fine, _ := k.Constant("FINE")
	product := func(_ int, w, x []float32, bias, before float32) value {
		return c.product(w, x, bias, before, limbs, fine == 1 || c.bits == 16)
	}
	if c.gated {
		product, d.rows = d.pair(product), c.rows/2
	}
	d.check(t, product)
}

// pair has check expect what pairs of rows become. Rows' products are worked out one at a time.
func (d *matrixData) pair(product element) element {
	return func(row int, _, x []float32, _, before float32) value {
		of := func(row int) value {
			return product(row, d.values[row*d.width:][:d.width], x, d.biases[row], 0)
		}
		gate := of(2 * row)
		v := activation(silu.act(), gate.want)
		return value{v.want, v.within*1.1 + 1.2*gate.within}.times(of(2*row + 1))
	}
}

// product is an element of y. A weight is rounded to float16 once, off by 2⁻¹¹ of it at most, unless what is lost is multiplied, too; an activation of one limb
// likewise, one of two by 2⁻²¹; and a sum of float32, which may be cut off rather than rounded, by an ulp for each term.
func (c matrixCase) product(w, x []float32, bias, before float32, limbs int, exact bool) value {
	lost := 0x1p-11 * float64(1+asInt(limbs == 1)) * 1.001
	if exact {
		lost -= 0x1p-11
	}
	lost += 0x1p-20 + float64(len(w)+8)*ulp*float64(limbs)
	var sum, size float64
	for k := range w {
		sum += float64(w[k]) * float64(x[k])
		size += math.Abs(float64(w[k]) * float64(x[k]))
	}
	within := lost * size
	if c.bias {
		sum += float64(bias)
	}
	sum, within = sum*c.scale, (within+4*unit*math.Abs(sum))*math.Abs(c.scale)
	if c.softcap != 0 {
		sum, within = c.softcap*math.Tanh(sum/c.softcap), within+32*ulp*c.softcap
	}
	if c.add {
		sum += float64(before)
	}
	return value{sum, within + 4*unit*(math.Abs(sum)+math.Abs(float64(before)))}
}

// TestMatvecMatrix compares products of few tokens by subgroup matrices with their definition.
func TestMatvecMatrix(t *testing.T) {
	for _, c := range []matrixCase{
		{packing: codes(4, 128), rows: 37, width: 384, tokens: 7, tile: kernels.Consts{"HIGH": 1, "ALONG": 2, "CHAINS": 2}, scale: 1},
		{packing: codes(4, 32), rows: 37, width: 128, tokens: 19, tile: kernels.Consts{"HIGH": 2, "WIDE": 2, "ALONG": 1, "BUFFERS": 1}, bias: true, add: true, scale: 0.5},
		{packing: codes(8, 64), rows: 33, width: 192, tokens: 33, tile: kernels.Consts{"HIGH": 1, "WIDE": 3, "ALONG": 2}, add: true, scale: 1, softcap: 3},
		{packing: codes(2, 32), rows: 16, width: 512, tokens: 16, tile: kernels.Consts{"HIGH": 1, "ALONG": 1, "FINE": 1}, scale: 1},
		{packing: codes(4, 64), rows: 19, width: 128, tokens: 20, tile: kernels.Consts{"HIGH": 1, "WIDE": 2, "ALONG": 1, "FINE": 1, "BUFFERS": 1, "EARLY": 0}, scale: 1},
	} {
		t.Run(c.String(), func(t *testing.T) { c.few(t) })
	}
}

func (c matrixCase) few(t *testing.T) {
	d := c.data()
	consts, split := c.consts(), c.consts()
	maps.Copy(consts, kernels.Consts{"COLS": d.cols, "HEIGHT": c.rows})
	maps.Copy(consts, c.tile)
	k := matrixKernel(t, "matvec_matrix", consts)
	rows, _ := k.Constant("ROWS")
	wide, _ := k.Constant("WIDE")
	fine, _ := k.Constant("FINE")
	panels, units := make([]uint32, 16*wide*d.cols), make([]float32, c.tokens)
	maps.Copy(split, kernels.Consts{"COLS": d.cols, "WIDTH": c.width, "STRIDE": d.xStride, "WIDE": wide})
	launch(t, "split_panels", split, c.tokens, 1, d.x, nil, panels, units)
	launchMatrix(t, k, (c.rows+rows-1)/rows, 1, d.w, d.h, panels, units, d.biases, d.y, d.words(), []uint32{uint32(c.tokens), 0, 0, 0})
	d.check(t, func(_ int, w, x []float32, bias, before float32) value {
		return c.product(w, x, bias, before, 2, fine == 1)
	})
}
