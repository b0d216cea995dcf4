package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// latentCase is a latent vector of rank elements, and rot that keys share, beside queries of heads·dim.
type latentCase struct {
	heads, dim, rank, rot, kvBits int
	interleaved                   bool
}

func TestLatent(t *testing.T) {
	for _, c := range []latentCase{
		{heads: 3, dim: 18, rank: 34, rot: 8, kvBits: 16, interleaved: true},
		{heads: 1, dim: 192, rank: 512, rot: 64, kvBits: 16},
		{heads: 2, dim: 20, rank: 130, rot: 6, kvBits: 32},
	} {
		t.Run(fmt.Sprintf("%+v", c), c.test)
	}
}

func (c latentCase) test(t *testing.T) {
	const before, scale = 7, 0.3
	kept := c.rank + c.rot
	xStride, qStride, cStride, yStride := before+kept+3, c.heads*c.dim+5, c.rank+2, c.heads*kept+1
	rng := random(uint64(c.rank))
	x, q, g := normals(rng, len(places)*xStride, 0.2, 1), normals(rng, len(places)*qStride, 0, 1), normals(rng, c.rank, 1, 0.3)
	latents, y := filled(len(places)*cStride), filled(len(places)*yStride)
	cache := make([]uint32, 2*ropeCap*kept*c.kvBits/32)
	var rows []uint32
	for _, p := range places {
		rows = append(rows, 7, uint32(p.position), uint32(p.sequence), 0)
	}
	turns := ropeCase{dim: c.rot, rot: c.rot, interleaved: c.interleaved}
	launch(t, "latent", kernels.Consts{
		"DIM": c.dim, "RANK": c.rank, "ROT": c.rot, "INTERLEAVED": asInt(c.interleaved), "X_STRIDE": xStride,
		"X0": before, "Q_STRIDE": qStride, "C_STRIDE": cStride, "Y_STRIDE": yStride, "CAP": ropeCap, "KV_BITS": c.kvBits,
		"EPS": ropeEps, "SCALE": scale,
	}, 1+c.heads, len(places), rows, x, q, turns.angles(), g, latents, y, cache)
	rotated := func(v []float32, position int) []value {
		out, size := turns.rotate(floats(v), make([]float64, len(v)), position)
		values := make([]value, len(v))
		for e := range values {
			values[e] = value{out[e], 8 * unit * (size[e] + math.Abs(out[e]))}
		}
		return values
	}
	for i, p := range places {
		row := x[i*xStride+before:][:kept]
		want := append(normalizedTo(row[:c.rank], g), rotated(row[c.rank:], p.position)...)
		for e, v := range want {
			what := fmt.Sprintf("%+v", p)
			if e < c.rank {
				v.check(t, what+" c", e, latents[i*cStride+e])
			}
			if p.position == 1 && i > 1 || p.position%ropeCap == 0 && i == 0 {
				continue // replaced by a later place of the same slot
			}
			if c.kvBits == 16 {
				v.within += math.Abs(v.want)*0x1p-11 + 0x1p-25
			}
			v.check(t, what+" in the cache", e, cached(cache, ((p.sequence*ropeCap)+p.position%ropeCap)*kept+e, c.kvBits))
		}
		for h := range c.heads {
			for e, v := range rotated(q[i*qStride+(h+1)*c.dim-c.rot:][:c.rot], p.position) {
				v.want, v.within = v.want*scale, v.within*scale*(1+4*unit)+math.Abs(v.want*scale)*2*unit
				v.check(t, fmt.Sprintf("%+v head %d", p, h), e, y[i*yStride+h*kept+c.rank+e])
			}
			value{want: float64(untouched)}.check(t, "y before the end", h, y[i*yStride+h*kept])
		}
	}
}

// normalizedTo returns x divided by its root mean square, times g.
func normalizedTo(x, g []float32) []value {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+ropeEps)
	out := make([]value, len(x))
	for i, v := range x {
		w := float64(v) * scale * float64(g[i])
		out[i] = value{w, math.Abs(w) * (float64(len(x)/64+10)*unit + 9*ulp)}
	}
	return out
}

// headCase are products of each head's vector with the head's own matrix.
type headCase struct {
	packing
	heads, rows, width, n, parts int
}

// TestHeads covers all packings, for one token, a few and many.
func TestHeads(t *testing.T) {
	for i, p := range packings {
		c := headCase{packing: p, heads: 2 + i%3, rows: 5 + 3*i, width: 34 + 62*(i%4), n: []int{1, 3, 11}[i%3], parts: 1 + i%2}
		t.Run("absorb/"+c.String(), c.testAbsorb)
		c.n = []int{11, 1, 3}[i%3]
		t.Run("values/"+c.String(), c.testValues)
	}
}

func (c headCase) String() string {
	return fmt.Sprintf("%v/%d heads of %dx%d/n%d", c.packing, c.heads, c.rows, c.width, c.n)
}

// each launches a kernel over the parts of the heads' matrices.
func (c headCase) each(t *testing.T, name string, consts kernels.Consts, across int, scale float64, x, y []float32, xStride, yStride int) (values []float32) {
	rest, values := c.packing.rows(random(uint64(c.rows+c.width)), c.heads*c.rows, c.width)
	w, h := c.planes(rest, c.heads*c.rows, c.width)
	tokens := 1 + 3*asInt(c.n > 8)
	consts["TOKENS"] = tokens
	for k, v := range c.consts() {
		consts[k] = v
	}
	for part := range c.parts {
		first := part * c.heads / c.parts
		here := (part+1)*c.heads/c.parts - first
		cut := func(plane []uint32) []uint32 {
			n := len(plane) / c.heads
			return plane[first*n : (first+here)*n]
		}
		heads := any(nil)
		if c.block != 0 {
			heads = cut(h)
		}
		at := shape{cols: c.cols(c.width), rows: c.rows, width: c.width, xStride: xStride, yStride: yStride, first: first, here: here, scale: scale}
		launch(t, name, consts, across, here*((c.n+tokens-1)/tokens), cut(w), heads, x, y, at.words(), []uint32{uint32(c.n), 0, 0, 0})
	}
	return values
}

func (c headCase) testAbsorb(t *testing.T) {
	const scale = 0.7
	dim, dimOut := c.rows+3, c.width+4
	xStride, yStride := c.heads*dim+1, c.heads*dimOut+2
	x, y := normals(random(9), c.n*xStride, 0, 1), filled(c.n*yStride)
	values := c.each(t, "heads_absorb", kernels.Consts{"ROWS": c.rows, "DIM": dim, "DIM_OUT": dimOut}, (c.cols(c.width)/4+31)/32, scale, x, y, xStride, yStride)
	for i, have := range y {
		token, h, k := i/yStride, i%yStride/dimOut, i%yStride%dimOut
		want := value{want: float64(untouched)}
		if h < c.heads && k < c.width {
			want = value{}
			for r := range c.rows {
				p := scale * float64(values[(h*c.rows+r)*c.width+k]) * float64(x[token*xStride+h*dim+r])
				want.want += p
				want.within += math.Abs(p) * float64(c.rows+6) * unit
			}
		}
		want.check(t, "y", i, have)
	}
}

func (c headCase) testValues(t *testing.T) {
	xStride, yStride := c.heads*c.width+1, c.heads*c.rows+2
	x, y := normals(random(8), c.n*xStride, 0, 1), filled(c.n*yStride)
	values := c.each(t, "heads_values", kernels.Consts{}, (c.rows+3)/4, 1, x, y, xStride, yStride)
	for i, have := range y {
		token, h, r := i/yStride, i%yStride/c.rows, i%yStride%c.rows
		want := value{want: float64(untouched)}
		if h < c.heads {
			want = value{}
			for k := range c.width {
				p := float64(values[(h*c.rows+r)*c.width+k]) * float64(x[token*xStride+h*c.width+k])
				want.want += p
				want.within += math.Abs(p) * float64(c.cols(c.width)+6) * unit
			}
		}
		want.check(t, "y", i, have)
	}
}
