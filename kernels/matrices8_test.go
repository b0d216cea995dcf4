package kernels_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

const limit8 = 32639 // LIMIT in split_int8.wgsl

// TestMatvecInt8 compares products of few tokens by subgroup matrices of int8 with their definition.
func TestMatvecInt8(t *testing.T) {
	for i, c := range []matrixCase{
		{packing: codes(4, 128), rows: 37, width: 640, tokens: 7, tile: kernels.Consts{"DOWN": 1, "ALONG": 2, "BOTH": 1}, scale: 1},
		{packing: codes(4, 128), rows: 75, width: 384, tokens: 19, tile: kernels.Consts{"HIGH": 2, "WIDE": 2, "DOWN": 2, "ALONG": 1}, bias: true, add: true, scale: 0.5},
		{packing: codes(4, 32), rows: 37, width: 128, tokens: 9, tile: kernels.Consts{"DOWN": 1, "ALONG": 1}, scale: 1},
		{packing: codes(4, 64), rows: 33, width: 256, tokens: 8, tile: kernels.Consts{"DOWN": 2, "ALONG": 1, "BOTH": 1, "AHEAD": 1}, bias: true, scale: 1},
		{packing: codes(8, 64), rows: 33, width: 192, tokens: 33, tile: kernels.Consts{"WIDE": 3, "DOWN": 1, "ALONG": 2}, add: true, scale: 1, softcap: 3},
		{packing: codes(4, 128), rows: 20, width: 1400, tokens: 6, tile: kernels.Consts{"HIGH": 1, "DOWN": 3, "ALONG": 1, "BOTH": 1, "AHEAD": 4, "SQUARES": 2}, scale: 1},
		{packing: codes(4, 128), rows: 17, width: 1500, tokens: 11, tile: kernels.Consts{"HIGH": 2, "DOWN": 1, "ALONG": 2, "AHEAD": 4}, scale: 1},
		{packing: codes(8, 128), rows: 16, width: 256, tokens: 16, tile: kernels.Consts{"DOWN": 1, "ALONG": 2, "AHEAD": 4}, scale: 1},
		{packing: codes(2, 256), rows: 16, width: 512, tokens: 3, tile: kernels.Consts{"DOWN": 1, "ALONG": 1, "BOTH": 1}, scale: 1},
		{packing: codes(2, 64), rows: 19, width: 256, tokens: 12, tile: kernels.Consts{"DOWN": 2, "ALONG": 1}, scale: 1},
		{packing: codes(4, 64), rows: 38, width: 256, tokens: 5, tile: kernels.Consts{"DOWN": 2, "ALONG": 1, "BOTH": 1, "GATED": 1}, gated: true, bias: true, scale: 1},
	} {
		if i%2 == 1 {
			c.packing = c.inOrder()
		}
		t.Run(c.String(), func(t *testing.T) { c.int8(t) })
	}
}

// TestMatvecSlices is the same for the kernel that keeps activations in registers.
func TestMatvecSlices(t *testing.T) {
	for i, c := range []matrixCase{
		{packing: codes(4, 128), rows: 100, width: 1500, tokens: 19, tile: kernels.Consts{"PANELS": 3}, bias: true, add: true, scale: 0.5},
		{packing: codes(4, 128), rows: 64, width: 1536, tokens: 32, tile: kernels.Consts{"PANELS": 2, "AHEAD": 2, "SQUARES": 1}, scale: 1, softcap: 3},
		{packing: codes(4, 128), rows: 16, width: 512, tokens: 9, tile: kernels.Consts{"WIDE": 1, "PANELS": 1}, scale: 1},
		{packing: codes(4, 128), rows: 90, width: 1024, tokens: 25, tile: kernels.Consts{"PANELS": 6, "AHEAD": 2}, scale: 1},
		{packing: codes(4, 128), rows: 70, width: 2048, tokens: 20, tile: kernels.Consts{"PANELS": 3, "PARTS": 2, "SQUARES": 1}, bias: true, add: true, scale: 0.5},
		{packing: codes(4, 128), rows: 150, width: 512, tokens: 17, tile: kernels.Consts{"PANELS": 7, "GATED": 1}, gated: true, bias: true, scale: 1},
		{packing: codes(4, 128), rows: 42, width: 1024, tokens: 18, tile: kernels.Consts{"PANELS": 1, "PARTS": 2, "GATED": 1}, gated: true, scale: 1},
	} {
		if i%2 == 1 {
			c.packing = c.inOrder()
		}
		t.Run(c.String(), func(t *testing.T) { c.int8(t) })
	}
}

func (c matrixCase) int8(t *testing.T) {
	d := c.data()
	name := "matvec_int8"
	if c.tile["PANELS"] != nil {
		name = "matvec_slices"
	}
	consts, split := c.consts(), c.consts()
	delete(consts, "WOVEN")
	maps.Copy(consts, kernels.Consts{"COLS": d.cols, "HEIGHT": c.rows})
	maps.Copy(consts, c.tile)
	parts, _ := c.tile["PARTS"].(int)
	if parts > 1 {
		delete(consts, "GATED") // that is for matvec_join
	}
	k := matrixKernel(t, name, consts)
	if _, err := k.Unrolled(); err != nil { // as GPUs get it
		t.Fatal(err)
	}
	rows, _ := k.Constant("ROWS")
	wide, _ := k.Constant("WIDE")
	both, _ := k.Constant("BOTH")
	chunk, _ := k.Constant("CHUNK")
	x := slices.Clone(d.x)
	fours, _ := c.tile["SQUARES"].(int)
	var squares []float32
	for i := 0; i < c.tokens && fours > 0; i++ { // the norm multiplies by 2 and 4 by turns
		factor := float32(2 + 2*(i%2))
		for k := range d.xStride {
			x[i*d.xStride+k] /= factor
		}
		for range 4 * fours {
			squares = append(squares, (1/(factor*factor)-1.0/64)*float32(c.width)/float32(4*fours))
		}
	}
	d.eps = 1.0 / 64
	limbs, units := make([]uint32, 16*wide*(2-both)*d.cols/4), make([]float32, d.cols/chunk*wide*32)
	for i := range units {
		units[i] = float32(math.NaN()) // of tokens that are not there
	}
	maps.Copy(split, kernels.Consts{"COLS": d.cols, "WIDTH": c.width, "STRIDE": d.xStride, "WIDE": wide, "BOTH": both})
	launch(t, "split_int8", split, c.tokens, (d.cols+1023)/1024, x, nil, nil, nil, limbs, units, nil, []uint32{uint32(c.tokens), 0, 0, 0})
	for len(d.h)%4 != 0 { // which is read by fours
		d.h = append(d.h, 0)
	}
	y, sums := d.y, make([]float32, max(parts, 1)*16*wide*c.rows)
	if parts > 1 {
		y = sums
	}
	launchMatrix(t, k, (c.rows+rows-1)/rows*max(parts, 1), 1, d.w, d.h, limbs, units, squares, d.biases, y, d.words(), []uint32{uint32(c.tokens), 0, 0, 0})
	if parts > 1 {
		launch(t, "matvec_join", kernels.Consts{"PARTS": parts, "HEIGHT": c.rows, "WIDE": wide, "LANES": 32, "GATED": asInt(c.gated)}, (c.rows+31)/32, c.tokens, sums, d.biases, d.y, d.words())
	}
	product := c.inLimbs
	if c.gated {
		product, d.rows = d.pair(product), c.rows/2
	}
	d.check(t, product)
}

// inLimbs is an element of y. An activation is off by half a unit at most, 1/32639 of the largest of those that share a scale;
// sums of float32 are off by an ulp for each term.
func (c matrixCase) inLimbs(_ int, w, x []float32, bias, before float32) value {
	v := c.product(w, x, bias, before, 2, true)
	var lost float64
	for from := 0; from < len(w); from += c.block {
		var most, sizes float64
		for k := from; k < min(len(w), from+c.block); k++ {
			most, sizes = max(most, math.Abs(float64(x[k]))), sizes+math.Abs(float64(w[k]))
		}
		lost += (0.5 + 16*ulp*limit8) * most / limit8 * sizes
	}
	v.within += lost * math.Abs(c.scale)
	return v
}

// TestSplitInt8 normalizes vectors as they are split, also one that ends within a chunk, and one that is added to first.
func TestSplitInt8(t *testing.T) {
	for _, c := range []splitCase{
		{300, 3, 0, false, 1},
		{2050, 3, 0, false, 1},
		{300, 3, 3, true, 0.5},
		{5200, 17, 8, false, 1},
		{4096, 2, 1, true, -2},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.test(t) })
	}
}

type splitCase struct {
	width, tokens, addends int
	bias                   bool
	scale                  float64
}

func (c splitCase) test(t *testing.T) {
	rng, wide := random(uint64(c.width)), (c.tokens+15)/16
	cols, stride := roundUp(c.width, 128), roundUp(c.width, 256)
	x, g, b := normals(rng, c.tokens*stride, 0, 3), normals(random(1), c.width, 1, 0.3), normals(rng, c.width, 0, 1)
	addends := normals(rng, c.addends*16*wide*c.width, 0, 1)
	for i := range c.tokens {
		clear(x[i*stride+c.width : (i+1)*stride])
	}
	if c.addends == 0 {
		clear(x[stride : stride+128])
	}
	x[5] = 1e4
	consts, first := codes(4, 128).inOrder().consts(), 0
	maps.Copy(consts, kernels.Consts{
		"COLS": cols, "WIDTH": c.width, "STRIDE": stride, "WIDE": wide, "NORM": 1, "ADDENDS": c.addends, "BIAS": asInt(c.bias), "SCALE": float32(c.scale),
	})
	if c.addends == 0 {
		first = 2
	}
	groups := (cols + 1023) / 1024
	sums := roundUp(groups, 4)
	limbs, units, squares := make([]uint32, 16*wide*2*cols/4), make([]float32, cols/128*wide*32), filled(c.tokens*sums)
	in := slices.Concat(filled(first*stride), x)
	launch(t, "split_int8", consts, c.tokens, groups, in, g, addends, b, limbs, units, squares, []uint32{uint32(c.tokens), uint32(first), 0, 0})
	in = in[first*stride:]
	for i := range c.tokens {
		c.checkSum(t, i, x[i*stride:][:stride], in[i*stride:][:stride], addends, b)
		row := in[i*stride:][:c.width]
		var want, got float64
		for _, v := range row {
			want += float64(v) * float64(v)
		}
		for _, v := range squares[i*sums:][:sums] {
			got += float64(v)
		}
		value{want, want * 1e-5}.check(t, "sum of squares", i, float32(got))
		for from := 0; from < cols; from += 128 {
			head := (from/128*wide*16 + i/16*16 + i%16) * 2
			sum, unit := 0, float64(units[head])
			var most float64
			for k := from; k < from+128; k++ {
				quad := k % 128 / 4
				limb := func(l int) int { // quads of a chunk come from four threads by turns of eight
					word := ((((from/128*wide+i/16)*2+l)*2+quad%8/4)*64+i%16*4+quad/8)*4 + quad%4
					return int(int8(limbs[word] >> (k % 4 * 8)))
				}
				whole, want := 256*limb(0)+limb(1), 0.0
				if k < c.width {
					want = float64(row[k]) * float64(g[k])
				}
				most, sum = max(most, math.Abs(want)), sum+whole
				value{want, unit*(0.5+limit8*8*ulp) + 1e-30}.check(t, "element", k, float32(unit*float64(whole)))
			}
			value{most / limit8, 8 * ulp * most / limit8}.check(t, "unit", from, float32(unit))
			value{unit * float64(sum), 4 * ulp * math.Abs(unit*float64(sum))}.check(t, "sum", from, units[head+1])
		}
	}
}

// checkSum compares token i, after addends and bias were added to what was before.
func (c splitCase) checkSum(t *testing.T, i int, before, after, addends, b []float32) {
	t.Helper()
	for k := range before {
		want, size := 0.0, 0.0
		for a := 0; a < c.addends && k < c.width; a++ {
			v := float64(addends[(a*roundUp(c.tokens, 16)+i)*c.width+k])
			want, size = want+v, size+math.Abs(v)
		}
		if c.bias && k < c.width {
			want, size = want+float64(b[k]), size+math.Abs(float64(b[k]))
		}
		want = float64(before[k]) + c.scale*want
		value{want, 8 * ulp * (math.Abs(float64(before[k])) + math.Abs(c.scale)*size)}.check(t, "element of x", k, after[k])
	}
}
