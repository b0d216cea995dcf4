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
		{packing: codes(4, 128), rows: 20, width: 1400, tokens: 6, tile: kernels.Consts{"HIGH": 1, "DOWN": 3, "ALONG": 1, "BOTH": 1, "AHEAD": 4, "SCALED": 1}, scale: 1},
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
		{packing: codes(4, 128), rows: 64, width: 1536, tokens: 32, tile: kernels.Consts{"PANELS": 2, "AHEAD": 2, "SCALED": 1}, scale: 1, softcap: 3},
		{packing: codes(4, 128), rows: 16, width: 512, tokens: 9, tile: kernels.Consts{"WIDE": 1, "PANELS": 1}, scale: 1},
		{packing: codes(4, 128), rows: 90, width: 1024, tokens: 25, tile: kernels.Consts{"PANELS": 6, "AHEAD": 2}, scale: 1},
		{packing: codes(4, 128), rows: 70, width: 2048, tokens: 20, tile: kernels.Consts{"PANELS": 3, "PARTS": 2, "SCALED": 1}, bias: true, add: true, scale: 0.5},
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
	if c.tile["SCALED"] == 1 {
		for i := range x {
			x[i] /= 4
		}
	}
	limbs, units, factors := make([]uint32, 16*wide*(2-both)*d.cols/4), make([]float32, d.cols/chunk*wide*32), make([]float32, c.tokens)
	maps.Copy(split, kernels.Consts{"COLS": d.cols, "WIDTH": c.width, "STRIDE": d.xStride, "WIDE": wide, "BOTH": both})
	for i := range units {
		units[i] = float32(math.NaN()) // of tokens that are not there
	}
	launch(t, "split_int8", split, c.tokens, (d.cols+1023)/1024, x, nil, limbs, units, factors, []uint32{uint32(c.tokens), 0, 0, 0})
	for i := range factors {
		factors[i] = 4
	}
	for len(d.h)%4 != 0 { // which is read by fours
		d.h = append(d.h, 0)
	}
	y, sums := d.y, make([]float32, max(parts, 1)*16*wide*c.rows)
	if parts > 1 {
		y = sums
	}
	launchMatrix(t, k, (c.rows+rows-1)/rows*max(parts, 1), 1, d.w, d.h, limbs, units, factors, d.biases, y, d.words(), []uint32{uint32(c.tokens), 0, 0, 0})
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

// TestSplitInt8 normalizes vectors as they are split, also one that ends within a chunk.
func TestSplitInt8(t *testing.T) {
	for _, width := range []int{300, 2050} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			p, tokens := codes(4, 128).inOrder(), 3
			cols, stride := roundUp(width, 128), roundUp(width, 256)
			x, g := normals(random(uint64(width)), tokens*stride, 0, 3), normals(random(1), width, 1, 0.3)
			for i := range tokens {
				clear(x[i*stride+width : (i+1)*stride])
			}
			clear(x[stride : stride+128])
			x[5] = 1e4
			consts := p.consts()
			maps.Copy(consts, kernels.Consts{"COLS": cols, "WIDTH": width, "STRIDE": stride, "NORM": 1, "EPS": 1e-5})
			limbs, units, factors := make([]uint32, 16*2*cols/4), make([]float32, cols/128*32), make([]float32, tokens)
			launch(t, "split_int8", consts, tokens, (cols+1023)/1024, slices.Concat(filled(2*stride), x), g, limbs, units, factors, []uint32{uint32(tokens), 2, 0, 0})
			for i := range tokens {
				row := x[i*stride:][:width]
				var squares float64
				for _, v := range row {
					squares += float64(v) * float64(v)
				}
				factor := 1 / math.Sqrt(squares/float64(width)+1e-5)
				value{factor, factor * 1e-5}.check(t, "factor", i, factors[i])
				for from := 0; from < cols; from += 128 {
					sum, unit := 0, float64(units[from/128*32+2*i])
					var most float64
					for k := from; k < from+128; k++ {
						limb := func(l int) int { // quads of a chunk come from four threads by turns of eight
							quad := k % 128 / 4
							word := (((from/128*2+l)*2+quad%8/4)*64+i*4+quad/8)*4 + quad%4
							return int(int8(limbs[word] >> (k % 4 * 8)))
						}
						whole, want := 256*limb(0)+limb(1), 0.0
						if k < width {
							want = float64(row[k]) * float64(g[k])
						}
						most, sum = max(most, math.Abs(want)), sum+whole
						value{want, unit*(0.5+limit8*8*ulp) + 1e-30}.check(t, "element", k, float32(unit*float64(whole)))
					}
					value{most / limit8, 8 * ulp * most / limit8}.check(t, "unit", from, float32(unit))
					value{unit * float64(sum), 4 * ulp * math.Abs(unit*float64(sum))}.check(t, "sum", from, units[from/128*32+2*i+1])
				}
			}
		})
	}
}
