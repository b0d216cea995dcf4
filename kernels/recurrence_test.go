package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// runs are the rows of two passes over three sequences: the first token of one, the second of another that begins with it.
var runs = []uint32{
	0, 0, 1, 0, 0, 1, 1, 0, 0, 2, 1, 0, // three tokens of sequence 1, from the beginning
	0, 7, 0, 0, // one of sequence 0
	0, 0, 2, 0, 0, 1, 2, 0, // two of sequence 2
}

type convolution struct {
	channels, taps     int
	bias, silu, gating bool
}

func TestConvolve(t *testing.T) {
	for _, c := range []convolution{{5, 2, false, false, true}, {70, 4, true, true, false}, {130, 3, true, false, true}} {
		t.Run(fmt.Sprintf("%+v", c), c.test)
	}
}

func (c convolution) test(t *testing.T) {
	rng, n, tokens := random(uint64(c.channels)), c.channels, len(runs)/4
	xStride, yStride := 3*n+1, n+2
	x, w, b := normals(rng, tokens*xStride, 0, 1), normals(rng, n*c.taps, 0, 1), normals(rng, n, 0, 1)
	tail := normals(rng, 3*(c.taps-1)*n, 0, 1)
	given := slices.Clone(tail)
	y := filled(tokens * yStride)
	consts := kernels.Consts{
		"CHANNELS": n, "TAPS": c.taps, "X_STRIDE": xStride, "Y_STRIDE": yStride, "BIAS": asInt(c.bias), "SILU": asInt(c.silu),
	}
	if c.gating {
		consts["IN_AT"], consts["OUT_AT"] = n, 2*n
	}
	launch(t, "convolve", consts, (n+63)/64, tokens, runs, x, w, b, tail, y, []uint32{uint32(tokens), 0, 0, 0})
	u := make([][][]float64, 3) // by sequence and position from before the first on, what is convolved
	for s := range u {
		for k := range c.taps - 1 {
			u[s] = append(u[s], make([]float64, n))
			for ch := range n {
				if s == 0 { // it alone has begun before
					u[s][k][ch] = float64(given[k*n+ch])
				}
			}
		}
	}
	for i := range tokens {
		s := runs[4*i+2]
		now := make([]float64, n)
		for ch := range n {
			if now[ch] = float64(x[i*xStride+ch]); c.gating {
				now[ch] = float64(x[i*xStride+ch] * x[i*xStride+n+ch])
			}
		}
		u[s] = append(u[s], now)
		for ch := range n {
			c.define(ch, u[s], w, b, x[i*xStride:]).check(t, fmt.Sprintf("token %d", i), ch, y[i*yStride+ch])
		}
		value{want: float64(untouched)}.check(t, "y behind the channels", i, y[i*yStride+n])
	}
	for s := range u {
		last := u[s][len(u[s])-c.taps+1:]
		for k := range last {
			for ch, want := range last[k] {
				value{want: want}.check(t, "tail", ch, tail[(s*(c.taps-1)+k)*n+ch])
			}
		}
	}
}

// define returns y of a channel, u being what is convolved up to the token, of which x are the projections.
func (c convolution) define(ch int, u [][]float64, w, b, x []float32) value {
	var sum, size float64
	for k, row := range u[len(u)-c.taps:] {
		term := float64(w[ch*c.taps+k]) * row[ch]
		sum, size = sum+term, size+math.Abs(term)
	}
	if c.bias {
		sum, size = sum+float64(b[ch]), size+math.Abs(float64(b[ch]))
	}
	v := value{sum, size * float64(c.taps+2) * unit}
	if c.silu {
		v = sigmoidTimes(sum, sum, v.within)
		v.within += size * float64(c.taps+2) * unit
	}
	if c.gating {
		v = v.times(value{float64(x[2*c.channels+ch]), 0})
	}
	return v
}

// recalled is a case of recall.
type recalled struct {
	heads, keyHeads, keyDim, valueDim int
	delta, skip                       bool
	most                              float64 // of a step, 0: no bound
}

func TestRecall(t *testing.T) {
	for _, c := range []recalled{
		{heads: 4, keyHeads: 2, keyDim: 9, valueDim: 10, delta: true},
		{heads: 2, keyHeads: 2, keyDim: 64, valueDim: 32, skip: true, most: 0.9},
		{heads: 3, keyHeads: 1, keyDim: 128, valueDim: 8, delta: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), c.test)
	}
}

func (c recalled) test(t *testing.T) {
	rng, tokens := random(uint64(c.keyDim)), len(runs)/4
	keys, values := c.keyHeads*c.keyDim, c.heads*c.valueDim
	cStride, xStride, yStride := 2*keys+values+1, 2*c.heads+3, values+1
	given, x := normals(rng, tokens*cStride, 0, 1), normals(rng, tokens*xStride, 0, 1)
	numbers := normals(rng, 3*c.heads, 0, 0.5)
	stored := c.heads * c.keyDim * c.valueDim
	memory := normals(rng, 3*stored, 0, 1)
	first := slices.Clone(memory)
	y := filled(tokens * yStride)
	launch(t, "recall", kernels.Consts{
		"HEADS": c.heads, "KEY_HEADS": c.keyHeads, "KEY_DIM": c.keyDim, "VALUE_DIM": c.valueDim, "C_STRIDE": cStride, "X_STRIDE": xStride,
		"Y_STRIDE": yStride, "WRITE_AT": 1, "STEP_AT": 1 + c.heads, "DELTA": asInt(c.delta), "SKIP": asInt(c.skip), "SCALE": 0.25,
		"STEP_MIN": 0.3, "STEP_MAX": c.most,
	}, c.heads*((c.valueDim+7)/8), tokens, runs, given, x, numbers, memory, y, []uint32{uint32(tokens), 0, 0, 0})
	want, sizes := make([]float64, 3*stored), make([]float64, 3*stored)
	for i := range stored {
		want[i], sizes[i] = float64(first[i]), math.Abs(float64(first[i]))
	}
	for i := range tokens {
		s := int(runs[4*i+2]) * stored
		row := given[i*cStride:]
		for h := range c.heads {
			of, n := h/(c.heads/c.keyHeads)*c.keyDim, c.keyDim*c.valueDim
			m := remembered{
				recalled: c, want: want[s+h*n:][:n], sizes: sizes[s+h*n:][:n], q: row[of:][:c.keyDim], k: row[keys+of:][:c.keyDim],
				v: row[2*keys+h*c.valueDim:][:c.valueDim], write: x[i*xStride+1+h], step: x[i*xStride+1+c.heads+h],
				decay: numbers[h], bias: numbers[c.heads+h], skip: numbers[2*c.heads+h],
			}
			for j, v := range m.next() {
				v.check(t, fmt.Sprintf("token %d head %d", i, h), j, y[i*yStride+h*c.valueDim+j])
			}
		}
		value{want: float64(untouched)}.check(t, "y behind the heads", i, y[i*yStride+values])
	}
	for i, v := range want {
		value{v, sizes[i] * c.rounding()}.check(t, "memory", i, memory[i])
	}
}

// rounding bounds the error of what is computed in at most three steps relative to the sum of the sizes of all terms:
// sums over a key, exp of exp, of which the inner one's argument is small, and lengths.
func (c recalled) rounding() float64 { return float64(3*(2*c.keyDim+8)+200) * unit }

// remembered is a head's memory, and what it is given.
type remembered struct {
	recalled
	want, sizes                    []float64
	q, k, v                        []float32
	write, step, decay, bias, skip float32
}

// next takes a step and returns what is read.
func (m remembered) next() []value {
	softplus := math.Max(math.Log1p(math.Exp(float64(m.step)+float64(m.bias))), 0.3)
	if m.most > 0 {
		softplus = math.Min(softplus, m.most)
	}
	fade := math.Exp(-math.Exp(float64(m.decay)) * softplus)
	length := func(x []float32) float64 {
		sum := 1e-6
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		return math.Sqrt(sum)
	}
	kLength, qLength := 1.0, 1.0
	if m.delta {
		kLength, qLength = length(m.k), length(m.q)
	}
	read := make([]value, m.valueDim)
	for j, v := range m.v {
		put, size := softplus*float64(v), softplus*math.Abs(float64(v))
		if m.delta {
			held, heldSize := 0.0, 0.0
			for i, k := range m.k {
				held += float64(k) / kLength * fade * m.want[i*m.valueDim+j]
				heldSize += math.Abs(float64(k)) / kLength * fade * m.sizes[i*m.valueDim+j]
			}
			share := 1 / (1 + math.Exp(-float64(m.write)))
			put, size = share*(float64(v)-held), share*(math.Abs(float64(v))+heldSize)
		}
		for i, k := range m.k {
			at, q := i*m.valueDim+j, float64(m.q[i])/qLength*0.25
			m.want[at] = fade*m.want[at] + float64(k)/kLength*put
			m.sizes[at] = fade*m.sizes[at] + math.Abs(float64(k))/kLength*size
			read[j].want += q * m.want[at]
			read[j].within += math.Abs(q) * m.sizes[at]
		}
		if m.recalled.skip {
			read[j].want += float64(m.skip) * float64(v)
			read[j].within += math.Abs(float64(m.skip) * float64(v))
		}
		read[j].within *= m.rounding()
	}
	return read
}

func TestOutGate(t *testing.T) {
	const width, groups, tokens, at, eps = 70, 3, 2, 5, 1e-4
	xStride, yStride := at+groups*width, groups*width+1
	x, w := normals(random(1), tokens*xStride, 0, 2), normals(random(2), groups*width, 1, 0.3)
	y := normals(random(3), tokens*yStride, 0, 1)
	for _, c := range []struct{ act, norm, first, whole int }{{0, 0, 0, 0}, {1, 1, 0, 0}, {1, 1, 1, 1}} {
		have := slices.Clone(y)
		launch(t, "out_gate", kernels.Consts{
			"WIDTH": width, "X_STRIDE": xStride, "Y_STRIDE": yStride, "GATE_AT": at, "ACT": c.act, "NORM": c.norm, "FIRST": c.first,
			"WHOLE": c.whole, "EPS": eps,
		}, groups, tokens, x, w, have)
		for i := range tokens * groups {
			start, gates := i/groups*yStride+i%groups*width, i/groups*xStride+at+i%groups*width
			gate := func(k int) value {
				z := float64(x[gates+k])
				if c.act == 1 {
					return sigmoidTimes(z, z, 0)
				}
				return sigmoidTimes(1, z, 0)
			}
			square := 0.0
			for k := range width {
				v := float64(y[start+k])
				if c.first == 1 {
					v *= gate(k).want
				}
				square += v * v
			}
			for k := range width {
				v := gate(k).times(value{float64(y[start+k]), 0})
				if c.norm == 1 {
					scale := float64(w[c.whole*(i%groups)*width+k]) / math.Sqrt(square/width+eps)
					v = v.times(value{scale, math.Abs(scale) * (width + 40) * unit})
				}
				v.check(t, fmt.Sprintf("%+v", c), i*width+k, have[start+k])
			}
		}
		for i := range tokens {
			value{want: float64(y[i*yStride+groups*width])}.check(t, "y behind the groups", i, have[i*yStride+groups*width])
		}
	}
}
