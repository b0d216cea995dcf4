package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

type ropeCase struct {
	heads, kvHeads, dim, rot, kvBits, norm, tempFloor, tempFrom int
	interleaved, center, vNorm, ofKeys                          bool
	clip                                                        float64
}

// place is a token's position in a sequence.
type place struct{ position, sequence int }

const (
	ropeCap   = 1000 // positions in the cache
	ropeEps   = 1e-5
	ropeScale = 0.3
	tempScale = 0.1
)

// places hold positions around the steps of the table of angles, and past the cache's end.
var places = []place{{0, 0}, {1, 1}, {255, 0}, {256, 1}, {300, 1}, {65535, 0}, {999999, 1}, {1<<20 - 1, 0}, {1, 0}}

func TestRope(t *testing.T) {
	for _, c := range []ropeCase{
		{heads: 4, kvHeads: 2, dim: 64, rot: 64, kvBits: 16},
		{heads: 3, kvHeads: 1, dim: 80, rot: 32, interleaved: true, kvBits: 32, norm: 1},
		{heads: 2, kvHeads: 2, dim: 64, rot: 24, kvBits: 32, norm: 2, tempFloor: 8192, tempFrom: 1},
		{heads: 4, kvHeads: 2, dim: 64, rot: 64, interleaved: true, kvBits: 16, norm: 3},
		{heads: 2, kvHeads: 1, dim: 2, rot: 2, kvBits: 32, norm: 3, tempFloor: 1, tempFrom: 1},
		{heads: 2, kvHeads: 1, dim: 34, rot: 0, kvBits: 16, norm: 2, tempFloor: 100},
		{heads: 2, kvHeads: 1, dim: 256, rot: 64, kvBits: 16, norm: 1},
		{heads: 3, kvHeads: 3, dim: 80, rot: 32, interleaved: true, kvBits: 32, norm: 4, center: true},
		{heads: 2, kvHeads: 1, dim: 66, rot: 66, kvBits: 16, norm: 1, center: true, clip: 1.2},
		{heads: 4, kvHeads: 2, dim: 64, rot: 64, kvBits: 32, norm: 5},
		{heads: 2, kvHeads: 2, dim: 64, rot: 64, kvBits: 32, norm: 2, clip: 0.8},
		{heads: 4, kvHeads: 2, dim: 64, rot: 64, kvBits: 32, norm: 1, vNorm: true},
		{heads: 4, kvHeads: 2, dim: 40, rot: 40, kvBits: 16, norm: 2, vNorm: true, ofKeys: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testRope(t, c) })
	}
}

func testRope(t *testing.T, c ropeCase) {
	width := (c.heads + 2*c.kvHeads) * c.dim
	xStride, qStride := width+3, c.heads*c.dim+5
	rng := random(uint64(c.dim + c.norm))
	x := normals(rng, len(places)*xStride, 0.2, 1)
	g := normals(rng, (c.heads+c.kvHeads)*c.dim, 1, 0.3)
	q := filled(len(places) * qStride)
	words := 2 * c.kvHeads * ropeCap * c.dim * c.kvBits / 32
	kc, vc := make([]uint32, words), make([]uint32, words)
	for i := range words {
		kc[i], vc[i] = 0x4a4a4a4a, 0x4a4a4a4a
	}
	rows := make([]uint32, 0, 4*len(places))
	for _, p := range places {
		rows = append(rows, 7, uint32(p.position), uint32(p.sequence), 0)
	}
	var angles, weights any
	if c.rot > 0 {
		angles = c.angles()
	}
	if c.norm != 0 && c.norm != 3 {
		weights = g
	}
	launch(t, "rope", kernels.Consts{
		"HEADS": c.heads, "KV_HEADS": c.kvHeads, "DIM": c.dim, "ROT": c.rot, "INTERLEAVED": asInt(c.interleaved),
		"X_STRIDE": xStride, "Q_STRIDE": qStride, "CAP": ropeCap, "KV_BITS": c.kvBits, "NORM": c.norm, "EPS": ropeEps,
		"SCALE": ropeScale, "TEMP_FLOOR": c.tempFloor, "TEMP_SCALE": tempScale, "TEMP_FROM": c.tempFrom,
		"CENTER": asInt(c.center), "CLIP": c.clip, "V_NORM": asInt(c.vNorm), "OF_KEYS": asInt(c.ofKeys),
	}, c.heads+2*c.kvHeads, len(places), rows, x, angles, weights, q, kc, vc)

	written := map[int]bool{}
	for i, p := range places {
		token := x[i*xStride:][:width]
		for h := range c.heads + c.kvHeads {
			head := c.define(token, g, h, p.position)
			if h < c.heads {
				for e, v := range head {
					v.check(t, fmt.Sprintf("%+v head %d of q", p, h), e, q[i*qStride+h*c.dim+e])
				}
			} else {
				c.checkCached(t, kc, p, h-c.heads, head, written)
			}
		}
		for h := range c.kvHeads {
			c.checkCached(t, vc, p, h, c.defineValue(token, h), written)
		}
		for e := c.heads * c.dim; e < qStride; e++ {
			value{float64(untouched), 0}.check(t, "q past the heads", e, q[i*qStride+e])
		}
	}
	for i := range words {
		if !written[i] && (kc[i] != 0x4a4a4a4a || vc[i] != 0x4a4a4a4a) {
			t.Fatalf("word %d of the cache belongs to no token, but was written", i)
		}
	}
}

// freq is the angle by which a pair of elements turns from one position to the next.
func (c ropeCase) freq(j int) float64 { return math.Pow(10000, -2*float64(j)/float64(c.rot)) }

// angles is the table from which the kernel computes cos and sin.
func (c ropeCase) angles() []float32 {
	var table []float32
	add := func(position int) {
		for j := range c.rot / 2 {
			s, cos := math.Sincos(float64(position) * c.freq(j))
			table = append(table, float32(cos), float32(s))
		}
	}
	for p := range 256 {
		add(p)
	}
	for p := range 1 << 12 {
		add(256 * p)
	}
	return table
}

// define computes a head of queries or keys by its definition.
//
// Rounding errors: a norm's sum passes n/64+6 additions, and half of its relative error is
// that of its root; a cos or sin is a sum of two products of rounded table values, off by 4 unit;
// a rotated element is off by 6 unit of the two it comes from.
func (c ropeCase) define(token, g []float32, h, position int) []value {
	isQ := h < c.heads
	start, n := h*c.dim, c.dim
	if c.norm == 2 {
		start, n = 0, c.heads*c.dim
		if !isQ {
			start, n = c.heads*c.dim, c.kvHeads*c.dim
		}
	}
	relative := 0.0
	if c.norm != 0 {
		relative = float64(n/64+10)*unit/2 + 9*ulp
	}
	inverse := func(x []float64) float64 {
		var sum float64
		for _, v := range x {
			sum += v * v
		}
		return 1 / math.Sqrt(sum/float64(len(x))+ropeEps)
	}
	head := floats(token[h*c.dim:][:c.dim])
	lost := make([]float64, c.dim)
	shared := func(e int) float64 { // weight of all heads of queries, or of keys
		if isQ {
			return float64(g[e])
		}
		return float64(g[c.dim+e])
	}
	if c.norm == 1 || c.norm == 2 || c.norm == 4 {
		all, mean := floats(token[start:][:n]), 0.0
		for _, v := range all {
			mean += v / float64(n)
		}
		if !c.center {
			mean = 0
		}
		for i := range all {
			all[i] -= mean
		}
		scale := inverse(all)
		for e := range head {
			lost[e] = math.Abs(mean) * scale // the mean is off as its largest terms are
			weight := float64(g[h*c.dim+e])
			if c.norm == 1 {
				weight = shared(e)
			}
			head[e] = (head[e] - mean) * scale * weight
		}
	}
	for e, v := range head {
		head[e] = c.clipped(v)
	}
	turned, size := c.rotate(head, lost, position)
	scale := 1.0
	if c.norm == 3 || c.norm == 5 {
		scale = inverse(turned)
		relative += 12 * unit // the elements of the sum are off as well
	}
	if isQ {
		scale *= ropeScale
		if c.tempFloor > 0 {
			l := math.Log(1 + math.Floor(float64(position+c.tempFrom)/float64(c.tempFloor)))
			temperature := 1 + tempScale*l
			scale *= temperature
			relative += tempScale*(0x1p-21+4*ulp*l)/temperature + 3*unit
		}
	}
	out := make([]value, c.dim)
	for e := range out {
		scale := scale
		if c.norm == 5 {
			scale *= shared(e)
		}
		out[e] = value{turned[e] * scale, size[e] * math.Abs(scale) * (relative + 12*unit)}
	}
	return out
}

// defineValue computes a head of values.
func (c ropeCase) defineValue(token []float32, h int) []value {
	if !c.ofKeys {
		h += c.kvHeads
	}
	head := floats(token[(c.heads+h)*c.dim:][:c.dim])
	scale, relative := 1.0, 0.0
	if c.vNorm {
		var sum float64
		for _, v := range head {
			sum += v * v
		}
		scale, relative = 1/math.Sqrt(sum/float64(c.dim)+ropeEps), float64(c.dim/64+10)*unit/2+9*ulp
	}
	out := make([]value, c.dim)
	for e, v := range head {
		out[e] = value{c.clipped(v * scale), math.Abs(v*scale) * relative}
	}
	return out
}

// clipped bounds an element before the rotation.
func (c ropeCase) clipped(v float64) float64 {
	if c.clip == 0 {
		return v
	}
	bound := float64(float32(c.clip))
	return min(max(v, -bound), bound)
}

// rotate returns the head after the rotation, and the size of the terms of each element.
func (c ropeCase) rotate(head, lost []float64, position int) (turned, size []float64) {
	turned, size = make([]float64, c.dim), make([]float64, c.dim)
	for e, v := range head {
		turned[e], size[e] = v, math.Abs(v)+lost[e]
	}
	for j := range c.rot / 2 {
		a, b := j, j+c.rot/2
		if c.interleaved {
			a, b = 2*j, 2*j+1
		}
		s, cos := math.Sincos(float64(position) * c.freq(j))
		turned[a], turned[b] = head[a]*cos-head[b]*s, head[b]*cos+head[a]*s
		size[a] += size[b]
		size[b] = size[a]
	}
	return turned, size
}

// checkCached compares what is in the cache for a token. A float16 may be rounded either way.
func (c ropeCase) checkCached(t *testing.T, cache []uint32, p place, kv int, head []value, written map[int]bool) {
	t.Helper()
	slot := (p.sequence*c.kvHeads+kv)*ropeCap + p.position%ropeCap
	for e, v := range head {
		if c.kvBits == 16 {
			v.within += math.Abs(v.want)*0x1p-10 + 0x1p-24
		}
		i := slot*c.dim + e
		written[i*c.kvBits/32] = true
		v.check(t, fmt.Sprintf("%+v head %d of the cache", p, kv), e, cached(cache, i, c.kvBits))
	}
}

// cached returns element i of a cache.
func cached(cache []uint32, i, kvBits int) float32 {
	if kvBits == 32 {
		return math.Float32frombits(cache[i])
	}
	return block.FromFloat16(uint16(cache[i/2] >> (i % 2 * 16)))
}

func floats(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
