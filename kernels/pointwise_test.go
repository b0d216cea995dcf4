package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// activation returns act(v) and how far off the kernel may be.
func activation(act int, v float64) value {
	switch act {
	case 0:
		return sigmoidTimes(v, v, 0)
	case 1:
		// The formula for erf is good to 1.5e-7. Its polynomial loses 10 ulp at most in float32
		// (5 in Horner's steps, the largest of which is 1.45, and as much from its argument), the
		// exponential 5 (its own error where it is not yet small), the sums around it 2.
		y := 0.5 * v * (1 + math.Erf(v/math.Sqrt2))
		return value{y, 0.5*math.Abs(v)*(1.5e-7+17*ulp) + 2*ulp*math.Abs(y)}
	case 2:
		// Terms of one sign, six roundings: 3 ulp of the exponent.
		z := 2 * math.Sqrt(2/math.Pi) * (v + 0.044715*v*v*v)
		return sigmoidTimes(v, z, 3*ulp*math.Abs(z))
	case 5: // by the numbers of TestAct: α is softplus(0.3) above 0, ½ + softplus(−0.4) below
		above, below := math.Log1p(math.Exp(float64(float32(0.3)))), 0.5+math.Log1p(math.Exp(float64(float32(-0.4))))
		if v > 0 {
			y := above*v*v + 0.5*v
			return value{y, 12*ulp*y + 0x1p-126}
		}
		y := (math.Expm1(min(v, -1e-6))-v)*below + 0.5*v
		return value{y, (1+math.Abs(v))*(below+0.5)*12*ulp + 0x1p-126}
	case 4:
		square := max(v, 0) * max(v, 0)
		return value{square, square*unit + 0x1p-126}
	}
	return value{max(v, 0), 0}
}

// sigmoidTimes returns v/(1+exp(−z)), z being off by up to dz. Beyond ±87 the exponential is
// clamped, and results below the least normal float32 may become 0.
func sigmoidTimes(v, z, dz float64) value {
	s := 1 / (1 + math.Exp(-z))
	relative := 5 * ulp // of sum, division and product
	if math.Abs(z) < 87 {
		relative += (1 - s) * (expError(z) + dz)
	}
	return value{v * s, math.Abs(v*s)*relative + (math.Abs(v)+1)*0x1p-125}
}

// times is the product of two values, rounded; below the least normal float32 it may be 0.
func (v value) times(o value) value {
	p := v.want * o.want
	within := v.within*math.Abs(o.want) + o.within*(math.Abs(v.want)+v.within)
	return value{p, within*(1+unit) + math.Abs(p)*unit + 0x1p-126}
}

func TestAct(t *testing.T) {
	const width, tokens = 70, 2
	numbers := []float32{0.3, -0.4, 0.5, -1e-6}
	for act := range 6 {
		for mode := range 3 {
			gated, paired := min(mode, 1), mode/2
			t.Run(fmt.Sprintf("act%d/gated%d/paired%d", act, gated, paired), func(t *testing.T) {
				rng := random(uint64(act))
				xStride, yStride := width*(1+gated)+3*act, 70+29*act
				x := normals(rng, tokens*xStride, 0, 3)
				copy(x, []float32{0, 100, -100, 87, -87, 88.5, -88.5, 1e4, -1e4, 1e-20, -1e-20, 1e10, -1e10, 0.5, -0.5, 6, -6})
				y := filled(tokens * yStride)
				launch(t, "act", kernels.Consts{"WIDTH": width, "X_STRIDE": xStride, "Y_STRIDE": yStride, "GATED": gated, "PAIRED": paired, "ACT": act},
					(yStride+63)/64, tokens, x, y, numbers)
				for i := range y {
					row, k := i/yStride, i%yStride
					var v value // zero past the width
					if k < width {
						gate, up := row*xStride+k, row*xStride+width+k
						if paired == 1 {
							gate, up = row*xStride+2*k, row*xStride+2*k+1
						}
						v = activation(act, float64(x[gate]))
						if gated == 1 {
							v = v.times(value{want: float64(x[up])})
						}
					}
					v.check(t, "y", i, y[i])
				}
			})
		}
	}
}

// TestActBounded compares the bounded activation with its definition.
func TestActBounded(t *testing.T) {
	const width, limit, slope, offset = 90, 2.5, 1.702, 1.0
	x := normals(random(7), 2*width, 0, 3)
	y := filled(width)
	launch(t, "act", kernels.Consts{
		"WIDTH": width, "X_STRIDE": 2 * width, "Y_STRIDE": width, "LIMIT": limit, "SLOPE": slope, "UP_OFFSET": offset,
	}, 2, 1, x, y, nil)
	for i, have := range y {
		gate, up := math.Min(float64(x[i]), limit), math.Max(-limit, math.Min(float64(x[width+i]), limit))
		v := sigmoidTimes(gate, slope*gate, 3*ulp*math.Abs(slope*gate))
		v.times(value{up + offset, math.Abs(up+offset) * unit}).check(t, "y", i, have)
	}
}

// TestActBeside multiplies an activation by a buffer of its own.
func TestActBeside(t *testing.T) {
	const width, stride, across, tokens = 70, 75, 90, 3
	x, up := normals(random(5), tokens*stride, 0, 3), normals(random(6), tokens*across, 0, 1)
	y := filled(tokens * width)
	launch(t, "act", kernels.Consts{"WIDTH": width, "X_STRIDE": stride, "Y_STRIDE": width, "GATED": 2, "P_STRIDE": across, "ACT": 2}, 2, tokens, x, y, up)
	for i, have := range y {
		t0, k := i/width, i%width
		activation(2, float64(x[t0*stride+k])).times(value{want: float64(up[t0*across+k])}).check(t, "y", i, have)
	}
}

// TestLayerInputs compares with a norm, to which something is added, of each layer's part of a row.
func TestLayerInputs(t *testing.T) {
	for _, width := range []int{20, 130} {
		const layers, tokens = 3, 2
		stride, yStride := layers*width+5, width+3
		rng := random(uint64(width))
		x, e, w := normals(rng, tokens*stride, 0, 1), normals(rng, tokens*stride, 0, 1), normals(rng, width, 1, 0.5)
		y := filled(tokens * layers * yStride)
		launch(t, "layer_inputs", kernels.Consts{
			"WIDTH": width, "STRIDE": stride, "LAYERS": layers, "Y_STRIDE": yStride, "SCALE": 0.7, "EPS": 1e-5,
		}, layers, tokens, x, e, w, y)
		c := normCase{width: width, add: true, scale: 0.7, eps: 1e-5, first: 0}
		for i, have := range y {
			row, k := i/yStride, i%yStride
			if k >= width {
				value{float64(untouched), 0}.check(t, "y past the width", i, have)
				continue
			}
			at := row/layers*stride + row%layers*width
			c.define(x[at:][:width], w, w, e[at:])[k].check(t, "y", i, have)
		}
	}
}

func TestGate(t *testing.T) {
	const width, stride, tokens, at = 70, 80, 3, 5
	x, y := normals(random(3), tokens*9, 0, 4), normals(random(4), tokens*stride, 0, 1)
	have := slices.Clone(y)
	launch(t, "gate", kernels.Consts{"WIDTH": width, "AT": at, "X_STRIDE": 9, "Y_STRIDE": stride}, 2, tokens, x, have)
	for i, v := range have {
		want := value{want: float64(y[i])}
		if i%stride < width {
			want = value{float64(y[i]), 0}.times(sigmoidTimes(1, float64(x[i/stride*9+at]), 0))
		}
		want.check(t, "y", i, v)
	}
}

type normCase struct {
	width, first      int
	center, bias, add bool
	outScale          bool
	scale, eps        float64
	mean              float64 // of x
}

// lanes is the number of lanes: alternately that of narrow and of wide models.
func (c normCase) lanes() int { return 128 << (c.first % 2) }

func TestNorm(t *testing.T) {
	for _, c := range []normCase{
		{width: 1, scale: 1, eps: 1e-5},
		{width: 1, center: true, bias: true, add: true, scale: 2, eps: 1e-5, mean: 3, first: 1},
		{width: 33, bias: true, add: true, scale: 0.3, eps: 1e-6, mean: 1, first: 2},
		{width: 33, center: true, scale: 1, eps: 1e-12, mean: -10},
		{width: 256, center: true, bias: true, scale: 1, eps: 1e-5, mean: 0.1, first: 3},
		{width: 256, add: true, scale: -1.5, eps: 1e-5, first: 1},
		{width: 1000, scale: 1, eps: 1e-6, first: 5},
		{width: 200, add: true, outScale: true, scale: 0.5, eps: 1e-6},
		{width: 1000, center: true, bias: true, add: true, scale: 0.7, eps: 1e-5, mean: 5},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testNorm(t, c) })
	}
}

func testNorm(t *testing.T, c normCase) {
	const n = 3
	xStride, yStride := c.width+7, c.width+2
	rng := random(uint64(c.width))
	x := normals(rng, (c.first+n)*xStride, c.mean, 1)
	for k := range xStride { // a row so small that EPS matters
		x[c.first*xStride+k] *= 1e-3
	}
	w, b := normals(rng, c.width, 1, 0.5), normals(rng, c.width, 0, 1)
	y := normals(rng, (n+1)*yStride, 0, 1) // the last row must not be written
	before := slices.Clone(y)
	launch(t, "norm", kernels.Consts{
		"WIDTH": c.width, "X_STRIDE": xStride, "Y_STRIDE": yStride, "CENTER": asInt(c.center), "BIAS": asInt(c.bias), "ADD": asInt(c.add), "SCALE": c.scale, "EPS": c.eps,
		"LANES": c.lanes(), "OUT_SCALE": asInt(c.outScale),
	}, n, 1, x, w, b, y, []uint32{n, uint32(c.first)})
	for r := range n + 1 {
		want := make([]value, 0, yStride)
		if r < n {
			want = c.define(x[(c.first+r)*xStride:][:c.width], w, b, before[r*yStride:])
		}
		for k := range yStride {
			i := r*yStride + k
			if k < len(want) {
				want[k].check(t, "y", i, y[i])
			} else if y[i] != before[i] {
				t.Fatalf("y: element %d must not be written: %v became %v", i, before[i], y[i])
			}
		}
	}
}

// define computes norm by its definition, for one row. No term of a sum passes through more than depth
// additions: those of its lane, then the halvings of the lanes.
func (c normCase) define(x, w, b, y []float32) []value {
	n := float64(c.width)
	depth := float64((c.width+c.lanes()-1)/c.lanes()) + math.Log2(float64(c.lanes()))
	var mean, size, squares, distance float64
	for _, v := range x {
		mean += float64(v) / n
		size += math.Abs(float64(v)) / n
	}
	meanError := depth*unit*size + 3*ulp*math.Abs(mean)
	if !c.center {
		mean, meanError = 0, 0
	}
	for _, v := range x {
		d := float64(v) - mean
		squares += d * d / n
		distance += math.Abs(d) / n
	}
	// Relative error of the variance, then of its root: half of that, and sqrt (2 ulp and a
	// division), division and the product with SCALE.
	lost := (2*distance*meanError+meanError*meanError+(depth+3)*unit*squares)/(squares+c.eps) + 4*ulp
	relative := lost/2 + 9*ulp
	out := make([]value, c.width)
	for k := range out {
		scale := c.scale / math.Sqrt(squares+c.eps) * float64(w[k])
		v := (float64(x[k]) - mean) * scale
		bias, old := 0.0, 0.0
		if c.bias {
			bias = c.scale * float64(b[k])
		}
		if c.add {
			old = float64(y[k])
		}
		within := meanError*math.Abs(scale)*(1+relative) + math.Abs(v)*(relative+3*unit) + 4*unit*(math.Abs(v)+math.Abs(bias)+math.Abs(old))
		out[k] = value{v + bias + old, within}
		if c.outScale {
			out[k] = value{(v + bias + old) * float64(b[0]), (within + unit*math.Abs(v+bias+old)) * math.Abs(float64(b[0]))}
		}
	}
	return out
}

// TestCombine adds up at most TOP+2 rounded terms.
func TestCombine(t *testing.T) {
	for _, c := range []struct {
		width, stride, top int
		add                bool
		scale              float64
	}{
		{width: 1, stride: 1, top: 1, scale: 1},
		{width: 33, stride: 40, top: 3, add: true, scale: 0.3},
		{width: 200, stride: 256, top: 8, scale: -2},
	} {
		const n = 3
		rng := random(uint64(c.width))
		x, y := normals(rng, n*c.top*c.stride, 0, 1), normals(rng, n*c.stride, 0, 1)
		before := slices.Clone(y)
		launch(t, "combine", kernels.Consts{"WIDTH": c.width, "STRIDE": c.stride, "TOP": c.top, "ADD": asInt(c.add), "SCALE": c.scale},
			(c.width+63)/64, n, x, y)
		for i := range y {
			if i%c.stride >= c.width {
				value{float64(before[i]), 0}.check(t, "y past the width", i, y[i])
				continue
			}
			var sum, size float64
			for k := range c.top {
				v := c.scale * float64(x[(i/c.stride*c.top+k)*c.stride+i%c.stride])
				sum += v
				size += math.Abs(v)
			}
			if c.add {
				sum += float64(before[i])
				size += math.Abs(float64(before[i]))
			}
			value{sum, size * float64(c.top+2) * unit}.check(t, "y", i, y[i])
		}
	}
}
