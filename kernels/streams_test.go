package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// within is a bound for values made of a few sums of at most a hundred terms of about the given size.
func within(size float64) float64 { return 200 * unit * (1 + size) }

// TestStreams compares each mode with its definition.
func TestStreams(t *testing.T) {
	const width, stride, mStride, count, tokens = 70, 75, 6, 4, 3
	for mode := range 4 {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			rng := random(uint64(mode))
			m, w, g := normals(rng, tokens*mStride, 0, 2), normals(rng, max(count*count*count, tokens*stride), 0, 1), normals(rng, width, 1, 0.3)
			x, y, side := normals(rng, tokens*stride, 0, 1), normals(rng, tokens*stride, 0, 1), normals(rng, tokens*(count-1)*stride, 0, 1)
			newX, newY, newSide := slices.Clone(x), slices.Clone(y), slices.Clone(side)
			launch(t, "streams", kernels.Consts{
				"WIDTH": width, "STRIDE": stride, "M_STRIDE": mStride, "COUNT": count, "MODE": mode, "SCALED": asInt(mode == 1), "SCALE": 0.7,
			}, (width+63)/64, tokens, m, w, g, newX, newSide, newY)
			for i := range x {
				row, k := i/stride, i%stride
				if k >= width {
					value{float64(x[i]), 0}.check(t, "x past the width", i, newX[i])
					continue
				}
				c := streamCase{mode: mode, m: m[row*mStride:][:count], w: w, scale: float64(g[k]), added: float64(w[row*stride+k])}
				c.s = append(c.s, float64(x[i]))
				for a := range count - 1 {
					c.s = append(c.s, float64(side[(row*(count-1)+a)*stride+k]))
				}
				s, after := c.define(float64(y[i]))
				value{s[0], within(10)}.check(t, "x", i, newX[i])
				value{after, within(10)}.check(t, "y", i, newY[i])
				for a := range count - 1 {
					at := (row*(count-1)+a)*stride + k
					value{s[a+1], within(10)}.check(t, "side", at, newSide[at])
				}
			}
		})
	}
}

// streamCase is one element of the streams of a token.
type streamCase struct {
	mode         int
	m, w         []float32
	s            []float64
	scale, added float64
}

// define returns what becomes of the streams and of y.
func (c *streamCase) define(y float64) (s []float64, after float64) {
	n := len(c.s)
	mixed := func(i int) (sum float64) {
		for j, v := range c.m {
			sum += float64(c.w[i*n+j]) * math.Tanh(float64(v))
		}
		return sum
	}
	s = slices.Clone(c.s)
	for a := range s {
		switch c.mode {
		case 0:
			for b, v := range c.s {
				s[a] += mixed(a*n+b) * v
			}
		case 1:
			if a == 0 {
				s[a] = y
			}
			s[a] += (1 + mixed(a)) * (c.s[0] - y)
		case 2:
			if a > 0 {
				s[a] += y
			}
		case 3:
			if a == 0 {
				s[a] = 0.7 * (s[a] + c.added + y)
			}
		}
	}
	switch c.mode {
	case 0:
		y = s[0]
	case 1:
		y = s[0] * c.scale
	}
	return s, y
}

// TestLoud compares with the definition, for vectors of which one is 0.
func TestLoud(t *testing.T) {
	const width, stride, count, tokens = 150, 160, 4, 2
	for closing := range 2 {
		rng := random(uint64(closing))
		x, p := normals(rng, tokens*stride, 0, 2), normals(rng, tokens*(count-1)*stride, 0, 0.5)
		clear(p[stride : 2*stride])
		newX, newP := slices.Clone(x), slices.Clone(p)
		launch(t, "loud", kernels.Consts{"WIDTH": width, "STRIDE": stride, "COUNT": count, "CLOSE": closing}, tokens, 1, newX, newP)
		square := func(v []float32) (sum float64) {
			for _, e := range v[:width] {
				sum += float64(e) * float64(e) / width
			}
			return sum
		}
		for row := range tokens {
			sum := floats(x[row*stride:][:stride])
			for a := range count - 1 {
				at := (row*(count-1) + a) * stride
				scale := math.Sqrt(square(x[row*stride:]) / max(square(p[at:]), 1e-5))
				for k := range stride {
					want := float64(p[at+k])
					if k < width {
						sum[k] += scale * want
						if closing == 0 {
							want *= scale
						}
					}
					value{want, within(math.Abs(want))}.check(t, "p", at+k, newP[at+k])
				}
			}
			for k := range width {
				want := float64(x[row*stride+k])
				if closing == 1 {
					want = sum[k] / count
				}
				value{want, within(math.Abs(want))}.check(t, "x", k, newX[row*stride+k])
			}
		}
	}
}

// TestSparse compares with the definition, for gates in front of ups and by turns with them.
func TestSparse(t *testing.T) {
	const width, stride, tokens, cutoff = 300, 610, 2, 0.4
	for step := 1; step <= 2; step++ {
		x := normals(random(uint64(step)), tokens*stride, 0.3, 2)
		have := slices.Clone(x)
		launch(t, "sparse", kernels.Consts{"WIDTH": width, "STRIDE": stride, "STEP": step, "CUTOFF": cutoff}, tokens, 1, have)
		for row := range tokens {
			mean, square := 0.0, 0.0
			for k := range width {
				mean += float64(x[row*stride+k*step]) / width
			}
			for k := range width {
				square += math.Pow(float64(x[row*stride+k*step])-mean, 2) / width
			}
			for k := range stride {
				want := float64(x[row*stride+k])
				if k%step == 0 && k/step < width {
					want = max(0, want-mean-float64(float32(cutoff))*math.Sqrt(square))
				}
				value{want, within(math.Abs(want) + 4)}.check(t, "x", k, have[row*stride+k])
			}
		}
	}
}
