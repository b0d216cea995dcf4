package kernels_test

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// gateSlope of an activation leaves something of the gates that tests have.
const gateSlope = 0.015625

// expertCase is a product with the matrices of experts.
type expertCase struct {
	packing
	experts, rows, width, top, n int
	parts                        int     // into which the experts are split
	lost                         float64 // what weights may lose, relatively
	beside                       bool    // y holds gates
	weigh, add, bias             bool
	scale                        float64
}

func (c expertCase) String() string {
	return fmt.Sprintf("%v/%dx%dx%d/top%d/n%d/weigh=%v/parts%d", c.packing, c.experts, c.rows, c.width, c.top, c.n, c.weigh, c.parts)
}

// stack is the stacked matrices of experts.
type stack struct {
	w, h   []uint32
	values []float32 // [experts·rows][width]
	bias   []float32 // [experts·rows], nil: none
}

func (c expertCase) stack() stack {
	rest, values := c.packing.rows(random(uint64(c.rows+c.width)), c.experts*c.rows, c.width)
	w, h := c.planes(rest, c.experts*c.rows, c.width)
	s := stack{w, h, values, nil}
	if c.bias {
		s.bias = normals(random(uint64(c.rows)), c.experts*c.rows, 0, 1)
	}
	return s
}

// biases returns the biases, or what is never read.
func (s stack) biases() any {
	if s.bias == nil {
		return nil
	}
	return s.bias
}

// each calls f for every part with its planes and the uniform of the product: in some cases from
// the first to the last, in others in reverse, so that a part that writes results of experts that
// are not its own is noticed on either side.
func (c expertCase) each(s stack, xStride, yStride, y0 int, f func(done int, w []uint32, h any, at shape)) {
	parts := min(c.parts, c.experts)
	for done := range parts {
		part := done
		if c.rows%2 == 1 {
			part = parts - 1 - done
		}
		first := part * c.experts / parts
		here := (part+1)*c.experts/parts - first
		cut := func(plane []uint32) []uint32 {
			n := len(plane) / c.experts
			return plane[first*n : (first+here)*n]
		}
		heads := any(nil)
		if c.block != 0 {
			heads = cut(s.h)
		}
		f(done, cut(s.w), heads, shape{
			cols: c.cols(c.width), rows: c.rows, width: c.width, xStride: xStride, yStride: yStride, y0: y0,
			first: first, here: here, add: c.add, bias: c.bias, scale: c.scale,
		})
	}
}

// inputs makes up n vectors, zero from the width to the stride, as all activations are.
func (c expertCase) inputs(n, stride int) []float32 {
	x := make([]float32, n*stride)
	for i := range n {
		copy(x[i*stride:], normals(random(uint64(i+5)), c.width, 0, 1))
	}
	return x
}

// row returns weight·W[e][r]·x, and the sum of its terms' magnitudes.
func (c expertCase) row(s stack, choice []uint32, r int, x []float32) (sum, size float64) {
	weight := 1.0
	if c.weigh {
		weight = float64(math.Float32frombits(choice[1]))
	}
	w := s.values[(int(choice[0])*c.rows+r)*c.width:]
	for k := range c.width {
		p := weight * float64(w[k]) * float64(x[k])
		sum += p
		size += math.Abs(p)
	}
	if s.bias != nil {
		p := weight * float64(s.bias[int(choice[0])*c.rows+r])
		sum, size = sum+p, size+math.Abs(p)
	}
	return sum, size
}

// within bounds the rounding error of a product whose terms add up to the given magnitude. Weights are exact; a
// term is rounded when it is computed, weighted, scaled, and at each addition that it passes through: fewer
// than columns, halvings of the lanes, parts and choices together.
func (c expertCase) within(size float64) float64 {
	return size * (float64(c.cols(c.width)+c.parts+c.top+12)*unit + c.lost)
}

// TestMatvecExperts covers all packings, with results kept separate and summed up.
func TestMatvecExperts(t *testing.T) {
	for i, p := range packings {
		c := expertCase{
			packing: p, experts: 3 + i%4, rows: 5 + 3*i, width: 33 + 61*(i%5), top: 1 + i%3, n: 1 + i%4, weigh: i%2 == 1, add: i/2%2 == 1, bias: i%3 == 1, scale: 1, parts: 1 + i%3,
		}
		t.Run(c.String(), func(t *testing.T) { c.testApart(t) })
		c.weigh, c.scale, c.parts, c.rows = !c.weigh, 0.7, 1+(i+1)%3, 70-3*i
		t.Run("sum/"+c.String(), func(t *testing.T) { c.testSum(t) })
	}
}

func (c expertCase) testApart(t *testing.T) {
	s := c.stack()
	xStride, yStride, y0 := roundUp(c.width, 256), c.rows+9, 4
	chosen, x := choices(3, c.n, c.top, c.experts), c.inputs(c.n, xStride)
	y := filled(c.n * c.top * yStride)
	consts := c.consts()
	consts["TOP"], consts["WEIGH"] = c.top, asInt(c.weigh)
	c.each(s, xStride, yStride, y0, func(_ int, w []uint32, h any, at shape) {
		launch(t, "matvec_experts", consts, (c.rows+3)/4, c.n*c.top, w, h, x, chosen, s.biases(), y, at.words())
	})
	c.checkSlots(t, s, chosen, y, yStride, y0, func(slot int) []float32 { return x[slot/c.top*xStride:] })
}

// checkSlots compares separate results: row slot of y for each choice.
func (c expertCase) checkSlots(t *testing.T, s stack, chosen []uint32, y []float32, yStride, y0 int, x func(slot int) []float32) {
	t.Helper()
	for i, got := range y {
		slot, r := i/yStride, i%yStride-y0
		v := value{want: float64(untouched)}
		if r >= 0 && r < c.rows && slot < c.n*c.top {
			sum, size := c.row(s, chosen[2*slot:], r, x(slot))
			v = value{sum, c.within(size)}
			if c.add {
				v = value{sum + float64(untouched), c.within(size + math.Abs(float64(untouched)))}
			}
			if c.beside {
				gate := sigmoidTimes(float64(untouched), gateSlope*float64(untouched), 0)
				v = v.times(gate)
			}
		}
		v.check(t, "y", i, got)
	}
}

func (c expertCase) testSum(t *testing.T) {
	s := c.stack()
	xStride, yStride, y0 := roundUp(c.width, 256), c.rows+9, 4
	chosen, x := choices(3, c.n, c.top, c.experts), c.inputs(c.n*c.top, xStride)
	y := filled(c.n * yStride)
	consts := c.consts()
	consts["TOP"], consts["WEIGH"], consts["SUM"] = c.top, asInt(c.weigh), 1
	c.each(s, xStride, yStride, y0, func(done int, w []uint32, h any, at shape) {
		at.add = at.add || done > 0
		launch(t, "matvec_experts", consts, (c.rows+3)/4, c.n, w, h, x, chosen, s.biases(), y, at.words())
	})
	for i, got := range y {
		token, r := i/yStride, i%yStride-y0
		if r < 0 || r >= c.rows {
			value{want: float64(untouched)}.check(t, "y beside the rows", i, got)
			continue
		}
		var want, sizes float64
		for k := range c.top {
			slot := token*c.top + k
			sum, size := c.row(s, chosen[2*slot:], r, x[slot*xStride:])
			want += c.scale * sum
			sizes += c.scale * size
		}
		if c.add {
			want += float64(untouched)
			sizes += math.Abs(float64(untouched))
		}
		value{want, c.within(sizes)}.check(t, "y", i, got)
	}
}

// TestMatmulExperts covers all packings, with inputs by token and by slot.
func TestMatmulExperts(t *testing.T) {
	for i, p := range packings {
		c := expertCase{
			packing: p, experts: 2 + i%5, rows: 5 + 11*i, width: 17 + 61*(i%5), top: 1 + i%2, n: 9 + 21*(i%5), weigh: i/2%2 == 1, bias: i%3 == 2, scale: 1, parts: 1 + i%3,
		}
		byToken := (i+i/2)%2 == 1
		t.Run(fmt.Sprintf("%v/byToken=%v", c, byToken), func(t *testing.T) { c.testMany(t, byToken) })
	}
}

// TestMatmulMatrixExperts does the same by subgroup matrices, which round weights to float16 and may cut sums off. Columns
// are whole steps.
func TestMatmulMatrixExperts(t *testing.T) {
	for i, p := range []packing{codes(4, 128), codes(8, 32), codes(2, 256), f16} {
		c := expertCase{
			packing: p, experts: 2 + i%5, rows: 20 + 27*i, width: 96 + 128*(i%2), top: 1 + i%2, n: 19 + 21*(i%3), weigh: i/2%2 == 1, bias: i%2 == 1, scale: 1, parts: 1 + i%3,
			lost: 0x1p-11 + 512*ulp, beside: i < 2,
		}
		byToken := i%2 == 0
		t.Run(fmt.Sprintf("%v/byToken=%v", c, byToken), func(t *testing.T) { c.testMany(t, byToken) })
	}
}

func (c expertCase) testMany(t *testing.T, byToken bool) {
	s := c.stack()
	xStride, yStride, y0 := roundUp(c.width, 256), c.rows+9, 4
	inputs := c.n
	if !byToken {
		inputs *= c.top
	}
	chosen, x := choices(3, c.n, c.top, c.experts), c.inputs(inputs, xStride)
	slots := roundUp(c.n*c.top, 64)
	order, tiles := grouped(chosen, c.experts, slots)
	tiles = min(tiles+1, slots/tileSlots+c.experts) // one that is empty
	y := filled(slots * yStride)                    // gates among them
	consts := c.consts()
	consts["TOP"], consts["SLOTS"], consts["BY_TOKEN"], consts["WEIGH"] = c.top, slots, asInt(byToken), asInt(c.weigh)
	if c.beside {
		consts["BESIDE"], consts["SLOPE"] = 1, gateSlope
	}
	c.each(s, xStride, yStride, y0, func(_ int, w []uint32, h any, at shape) {
		if c.lost == 0 {
			launch(t, "matmul_experts", consts, (c.rows+63)/64, tiles, w, h, x, chosen, order, s.biases(), y, at.words())
			return
		}
		halves, units := make([]uint32, inputs*at.cols), make([]float32, inputs)
		launch(t, "split", c.consts(), inputs, 1, x, nil, halves, units, at.words())
		maps.Copy(consts, kernels.Consts{"HIGH": 1, "WIDE": 2, "DOWN": 2, "ACROSS": 2}) // as many slots as a tile has
		k := matrixKernel(t, "matmul_matrix_experts", consts)
		launchMatrix(t, k, (c.rows+31)/32, tiles, w, h, halves, units, chosen, order, s.biases(), y, at.words())
	})
	c.checkSlots(t, s, chosen, y, yStride, y0, func(slot int) []float32 {
		if byToken {
			slot /= c.top
		}
		return x[slot*xStride:]
	})
}
