package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// gramCase is Σ (y − z)·xᵀ of n tokens, of which the first counts several times.
type gramCase struct {
	width, height, n, from int
	first                  int
	diff, lower            bool
}

func (c gramCase) String() string {
	return fmt.Sprintf("%dx%d/%dtokens/diff=%v/lower=%v", c.height, c.width, c.n, c.diff, c.lower)
}

// TestGram compares both kernels with their definition in float64. Columns are of very different sizes, and one is 0.
func TestGram(t *testing.T) {
	for _, c := range []gramCase{
		{width: 70, height: 70, n: 37, first: 3, lower: true},
		{width: 300, height: 130, n: 16, from: 5, first: 1, diff: true},
		{width: 130, height: 40, n: 150, first: 1},
		{width: 64, height: 64, n: 0, first: 1, lower: true},
	} {
		t.Run(c.String(), func(t *testing.T) { c.test(t) })
	}
}

// vectors makes up the vectors of all tokens, some of which are not counted.
func (c gramCase) vectors(seed uint64, width int) []float32 {
	stride := roundUp(width, 256)
	v := make([]float32, (c.from+c.n+3)*stride)
	rng := random(seed)
	for at := 0; at < len(v); at += stride {
		for k := range width {
			v[at+k] = float32(rng.NormFloat64() * math.Exp2(float64(k%61-30)) * float64(asInt(k != 7)))
		}
	}
	return v
}

func (c gramCase) test(t *testing.T) {
	stride, yStride := roundUp(c.width, 256), roundUp(c.height, 256)
	x, y := c.vectors(1, c.width), c.vectors(2, c.height)
	z := any(y)
	if c.diff {
		z = c.vectors(3, c.height)
	}
	before := normals(random(4), c.height*c.width, 0, 1)
	step := []uint32{uint32(c.n), uint32(c.from), 0, 0}
	consts := func() kernels.Consts {
		return kernels.Consts{"WIDTH": c.width, "STRIDE": stride, "HEIGHT": c.height, "Y_STRIDE": yStride, "ROWS": roundUp(c.height, 64), "LOWER": asInt(c.lower)}
	}
	plain, float := slices.Clone(before), consts()
	float["DIFF"], float["FIRST"] = asInt(c.diff), c.first
	launch(t, "gram", float, (c.width+63)/64, (c.height+63)/64, x, y, z, plain, step)
	c.check(t, "gram", x, y, z, before, plain, func(size, top float64) float64 { return float64(c.n+4) * unit * size })

	split := func(v, z any, stride int, more kernels.Consts) (halves []uint32, units []float32) {
		halves, units = make([]uint32, roundUp(max(c.n, 1), 16)*stride), make([]float32, stride)
		more["X_STRIDE"], more["STRIDE"] = stride, stride
		launch(t, "split_columns", more, stride/64, 1, v, z, halves, units, step)
		return halves, units
	}
	xHalves, xUnits := split(x, x, stride, kernels.Consts{})
	yHalves, yUnits := split(y, z, yStride, kernels.Consts{"DIFF": asInt(c.diff), "FIRST": c.first})
	made, tile := slices.Clone(before), consts()
	tile["HIGH"], tile["WIDE"] = 2, 1 // an emulation takes twice the workgroup memory
	launchMatrix(t, matrixKernel(t, "gram_matrix", tile), (c.width+63)/64, (c.height+31)/32, xHalves, xUnits, yHalves, yUnits, made, step)
	c.check(t, "gram_matrix", x, y, z, before, made, func(size, top float64) float64 {
		return (3*float64(c.n+8)*ulp+0x1p-20)*size + 0x1p-38*top
	})
}

// check compares h with what it should be. within bounds its error, by the sum of the terms' magnitudes and by n times the product
// of the largest elements.
func (c gramCase) check(t *testing.T, what string, x, y []float32, z any, before, h []float32, within func(size, top float64) float64) {
	t.Helper()
	stride, yStride := roundUp(c.width, 256), roundUp(c.height, 256)
	for i := range h {
		row, col := i/c.width, i%c.width
		if c.lower && col > row {
			continue
		}
		var sum, size, topX, topY float64
		for k := range c.n {
			at := (c.from + k) * yStride
			v := float64(y[at+row])
			if c.diff {
				v = float64(y[at+row] - z.([]float32)[at+row])
			}
			if k == 0 {
				v *= float64(c.first)
			}
			u := float64(x[(c.from+k)*stride+col])
			sum, size = sum+u*v, size+math.Abs(u*v)
			topX, topY = max(topX, math.Abs(u)), max(topY, math.Abs(v))
		}
		want := float64(before[i]) + sum
		bound := within(size, float64(c.n)*topX*topY) + 2*unit*(math.Abs(want)+math.Abs(float64(before[i]))) + 0x1p-126
		value{want, bound}.check(t, what, i, h[i])
	}
}
