package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

type attentionCase struct {
	heads, kvHeads, dim, cap, kvBits, window, chunk int
	softcap, spread                                 float64 // spread of the scores
	positions                                       []int
	queries                                         int // 0: one, and each position in two sequences
	sinks                                           []float32
	alibi                                           float64
	value                                           int // elements of a value, where these are the first ones of keys; 0: dim, of their own
	groups, keys                                    int // of attention_matrix, which rounds to float16; 0: another kernel
}

const alibiScale = 0.4

func TestAttention(t *testing.T) {
	for _, c := range []attentionCase{
		{heads: 4, kvHeads: 2, dim: 64, cap: 300, kvBits: 16, window: 300, spread: 2, positions: []int{0, 63, 64, 127, 128, 299}},
		{heads: 4, kvHeads: 2, dim: 64, cap: 300, kvBits: 32, window: 300, spread: 100, positions: []int{5, 200}}, // one score far above the others
		{heads: 3, kvHeads: 3, dim: 2, cap: 16, kvBits: 32, window: 5, spread: 1, positions: []int{0, 3, 4, 17, 1000, 1<<20 - 1}},
		{heads: 4, kvHeads: 1, dim: 80, cap: 110, kvBits: 32, window: 110, chunk: 100, spread: 2, positions: []int{0, 99, 100, 250, 299, 300}},
		{heads: 2, kvHeads: 1, dim: 256, cap: 101, kvBits: 16, window: 70, softcap: 30, spread: 20, positions: []int{7, 65, 69, 70, 500}},
		{heads: 6, kvHeads: 3, dim: 64, cap: 200, kvBits: 16, window: 66, chunk: 128, softcap: 50, spread: 3, positions: []int{10, 128, 150, 193, 194, 1023}, sinks: []float32{-3, 0, 2, 9, 40, -90}},
		{heads: 1, kvHeads: 1, dim: 130, cap: 70, kvBits: 32, window: 1, spread: 2, positions: []int{0, 100}},
		{heads: 4, kvHeads: 2, dim: 64, cap: 300, kvBits: 16, window: 300, spread: 2, positions: span(0, 9), queries: 8},
		{heads: 6, kvHeads: 3, dim: 34, cap: 300, kvBits: 16, window: 300, spread: 2, positions: span(150, 11), queries: 8, alibi: 8},
		{heads: 4, kvHeads: 4, dim: 64, cap: 300, kvBits: 32, window: 200, softcap: 9, spread: 3, positions: []int{0, 63, 250}, alibi: 6},
		{heads: 2, kvHeads: 1, dim: 34, cap: 300, kvBits: 32, window: 300, spread: 2, positions: span(120, 21), queries: 8, sinks: []float32{1, 5}},
		{heads: 2, kvHeads: 1, dim: 300, cap: 300, kvBits: 16, window: 300, spread: 2, positions: span(60, 15), queries: 6},
		{heads: 3, kvHeads: 1, dim: 130, cap: 90, kvBits: 32, window: 40, softcap: 20, spread: 3, positions: span(2000, 13), queries: 4},
		{heads: 3, kvHeads: 1, dim: 42, value: 34, cap: 120, kvBits: 32, window: 100, spread: 2, positions: span(90, 20), queries: 8},
		{heads: 2, kvHeads: 1, dim: 576, value: 512, cap: 120, kvBits: 16, window: 100, spread: 2, positions: span(0, 9), queries: 3},
		{heads: 2, kvHeads: 2, dim: 16, cap: 120, kvBits: 16, window: 64, chunk: 64, spread: 2, positions: span(180, 30), queries: 8},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testAttention(t, c, c.launch) })
	}
}

// TestAttentionMatrix computes attention of many tokens by subgroup matrices, emulated where the device has none.
func TestAttentionMatrix(t *testing.T) {
	for _, c := range []attentionCase{
		{heads: 2, kvHeads: 1, dim: 32, cap: 100, window: 100, spread: 2, positions: span(0, 70), groups: 2, keys: 32},
		{heads: 3, kvHeads: 1, dim: 16, cap: 90, window: 40, softcap: 20, spread: 3, positions: span(2000, 33), groups: 1, keys: 16, sinks: []float32{-3, 2, 40}},
		{heads: 2, kvHeads: 2, dim: 48, cap: 120, window: 64, chunk: 64, spread: 100, positions: span(45, 37), groups: 2, keys: 32, alibi: 8},
		{heads: 2, kvHeads: 1, dim: 128, cap: 300, window: 300, spread: 3, positions: span(130, 17), groups: 1, keys: 16},
	} {
		c.kvBits, c.queries = 16, 16*c.groups
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testAttention(t, c, c.launchMatrix) })
	}
}

// launchMatrix runs attention_matrix.
func (c attentionCase) launchMatrix(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32) {
	delete(consts, "KV_BITS")
	delete(consts, "VALUE")
	consts["GROUPS"], consts["KEYS"] = c.groups, c.keys
	k := matrixKernel(t, "attention_matrix", consts)
	launchMatrix(t, k, c.heads, (n+c.queries-1)/c.queries, rows, q, kc, vc, c.sinksOr(), o, []uint32{uint32(n), 0, 0, 0})
}

// inParts are cases for every kernel that cuts positions into parts.
var inParts = []partsCase{
	{
		attentionCase: attentionCase{heads: 4, kvHeads: 2, dim: 64, cap: 300, window: 300, spread: 2, positions: []int{0, 63, 127, 128, 299}, sinks: []float32{-2, 0, 3, 60}},
		splits:        1, shared: 2, lanes: 128, each: 4,
	},
	{
		attentionCase: attentionCase{heads: 4, kvHeads: 1, dim: 80, cap: 110, window: 110, chunk: 100, spread: 2, positions: []int{0, 99, 100, 250, 300}},
		splits:        4, shared: 4, lanes: 64, each: 2,
	},
	{
		attentionCase: attentionCase{heads: 2, kvHeads: 1, dim: 256, cap: 301, window: 270, softcap: 30, spread: 20, positions: []int{7, 65, 269, 270, 500}},
		splits:        2, shared: 2, lanes: 64, each: 8,
	},
}

// TestAttentionInParts splits the positions into one part, several, and more than there are positions.
func TestAttentionInParts(t *testing.T) {
	for _, c := range append(slices.Clone(inParts), []partsCase{
		{
			attentionCase: attentionCase{heads: 6, kvHeads: 2, dim: 64, cap: 700, window: 566, chunk: 512, softcap: 50, spread: 3, positions: []int{10, 128, 600, 1023}, sinks: []float32{-30, 0, 2, 9, 1, -90}},
			splits:        16, shared: 3, lanes: 128, each: 2,
		},
		{
			attentionCase: attentionCase{heads: 8, kvHeads: 1, dim: 576, value: 512, cap: 300, window: 300, spread: 2, positions: []int{0, 120, 299}},
			splits:        2, shared: 4, lanes: 128, each: 2,
		},
		{
			attentionCase: attentionCase{heads: 3, kvHeads: 3, dim: 8, cap: 2000, window: 2000, spread: 1, positions: []int{0, 5, 1999}, alibi: 8},
			splits:        64, shared: 1, lanes: 64, each: 4,
		},
		{
			attentionCase: attentionCase{heads: 8, kvHeads: 1, dim: 128, cap: 900, window: 900, spread: 100, positions: []int{888}},
			splits:        8, shared: 4, lanes: 128, each: 1,
		},
		{
			attentionCase: attentionCase{heads: 12, kvHeads: 3, dim: 64, cap: 300, window: 250, spread: 2, positions: []int{0, 280}, alibi: 8},
			splits:        8, shared: 4, lanes: 128, each: 1,
		},
	}...) {
		c.kvBits = 16
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testAttention(t, c.attentionCase, c.launch) })
	}
}

// partsCase is a case for attention_split and attention_join.
type partsCase struct {
	attentionCase
	splits, shared, lanes, each int
}

func (c partsCase) launch(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32) {
	c.join(t, consts, n, o, func(consts kernels.Consts, to []float32, next []uint32) {
		launch(t, "attention_split", consts, c.heads/c.shared*c.splits, n, rows, q, kc, vc, c.sinksOr(), to, next)
	})
}

// join has a kernel make the parts, and joins them if there are several.
func (c partsCase) join(t *testing.T, consts kernels.Consts, n int, o []float32, split func(consts kernels.Consts, to []float32, next []uint32)) {
	delete(consts, "KV_BITS")
	consts["QUERIES"], consts["SPLITS"], consts["LANES"], consts["EACH"] = c.shared, c.splits, c.lanes, c.each
	oStride := consts["O_STRIDE"].(int)
	for i := range n { // only attention zeroes the rest
		clear(o[i*oStride+c.heads*c.width() : (i+1)*oStride])
	}
	to := o
	if c.splits > 1 {
		to = filled(n * c.heads * c.splits * (c.width() + 2))
	}
	limbs, blocks := asInt(c.width()%32 == 0), oStride/32
	next := make([]uint32, n*limbsSize(blocks))
	consts["LIMBS"] = 0
	if c.splits == 1 {
		consts["LIMBS"] = limbs
	}
	split(consts, to, next)
	if c.splits > 1 {
		launch(t, "attention_join", kernels.Consts{"HEADS": c.heads, "DIM": c.width(), "SPLITS": c.splits, "O_STRIDE": oStride, "LIMBS": limbs},
			c.heads, n, to, o, next)
	}
	for i := range n * limbs {
		checkLimbs(t, "limbs", next[i*limbsSize(blocks):], blocks, o[i*oStride:][:c.heads*c.width()], nil)
	}
}

// launch runs attention.
func (c attentionCase) launch(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32) {
	queries := max(1, c.queries)
	consts["QUERIES"] = queries
	launch(t, "attention", consts, c.heads, (n+queries-1)/queries, rows, q, kc, vc, c.sinksOr(), o, []uint32{uint32(n), 0})
}

// width is that of a value.
func (c attentionCase) width() int {
	if c.value > 0 {
		return c.value
	}
	return c.dim
}

// sinksOr returns the sinks of the heads, or what is never read.
func (c attentionCase) sinksOr() any {
	if c.sinks == nil {
		return nil
	}
	return c.sinks
}

type attentionLaunch func(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32)

func testAttention(t *testing.T, c attentionCase, launch attentionLaunch) {
	n := len(c.positions)
	if c.queries == 0 {
		n *= 2
	}
	qStride, oStride := c.heads*c.dim+4, roundUp(c.heads*c.width(), 128)+64
	rng := random(uint64(c.dim + c.window))
	q := normals(rng, n*qStride, 0, c.spread/math.Sqrt(float64(c.dim)))
	size := 2 * c.kvHeads * c.cap * c.dim
	kc, k := packCache(normals(rng, size, 0, 1), c.kvBits)
	vc, v := packCache(normals(rng, size, 0.5, 1), c.kvBits)
	if c.value > 0 {
		vc, v = make([]uint32, 4), k // what is not read
	}
	var rows []uint32
	for i, p := range c.positions {
		if c.queries > 0 {
			rows = append(rows, 7, uint32(p), 1, 0)
			continue
		}
		rows = append(rows, 7, uint32(p), uint32(i%2), 0, 7, uint32(p), uint32(1-i%2), 0)
	}
	o := filled(n * oStride)
	launch(t, kernels.Consts{
		"HEADS": c.heads, "KV_HEADS": c.kvHeads, "DIM": c.dim, "Q_STRIDE": qStride, "O_STRIDE": oStride, "CAP": c.cap,
		"KV_BITS": c.kvBits, "WINDOW": c.window, "CHUNK": c.chunk, "SOFTCAP": c.softcap,
		"SINKS": asInt(c.sinks != nil), "ALIBI": c.alibi, "ALIBI_SCALE": alibiScale, "VALUE": c.width(),
	}, n, rows, q, kc, vc, o)
	for i := range n {
		position, sequence := int(rows[4*i+1]), int(rows[4*i+2])
		for h := range c.heads {
			base := (sequence*c.kvHeads + h/(c.heads/c.kvHeads)) * c.cap * c.dim
			span := c.cap * c.dim
			want := c.define(q[i*qStride+h*c.dim:][:c.dim], k[base:base+span], v[base:base+span], position, h)
			for e, w := range want {
				w.check(t, fmt.Sprintf("position %d, sequence %d, head %d", position, sequence, h), e, o[i*oStride+h*c.width()+e])
			}
		}
		for e := c.heads * c.width(); e < oStride; e++ {
			value{}.check(t, "o past the heads", e, o[i*oStride+e])
		}
	}
}

// span returns n consecutive positions.
func span(from, n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = from + i
	}
	return p
}

// packCache packs values for a cache, and returns them as the cache holds them.
func packCache(values []float32, kvBits int) ([]uint32, []float32) {
	words := make([]uint32, len(values)*kvBits/32)
	held := make([]float32, len(values))
	for i, v := range values {
		if kvBits == 32 {
			words[i] = bits(v)
		} else {
			words[i/2] |= uint32(block.Float16(v)) << (i % 2 * 16)
		}
		held[i] = cached(words, i, kvBits)
	}
	return words, held
}

// slope is what a score of a head loses with each position of distance.
func (c attentionCase) slope(head int) float64 {
	n := 1
	for 2*n <= c.heads {
		n *= 2
	}
	if head < n {
		return alibiScale * math.Pow(2, -c.alibi*float64(head+1)/float64(n))
	}
	return alibiScale * math.Pow(2, -c.alibi*float64(2*(head-n)+1)/float64(2*n))
}

// define computes attention by its definition, for one head of a token; k and v are the head's cache.
//
// Rounding errors: a score is off by dim+1 roundings of its terms, and a capped one by the
// 1e-5 that tanh may be. A share exp(score−best) is off by that, by the rounding of the
// difference and by the exponential's own error, which grows with the difference; going from
// tile to tile adds an exponential each. A sum then passes count additions. Each bound holds
// above and below the fraction bar.
func (c attentionCase) define(q, k, v []float32, position, head int) []value {
	first := max(0, position+1-c.window)
	if c.chunk > 0 {
		first = max(first, position/c.chunk*c.chunk)
	}
	count := position + 1 - first
	scores := make([]float64, count)
	best, least, scoreError := math.Inf(-1), math.Inf(1), 0.0
	for j := range scores {
		at := (first + j) % c.cap * c.dim
		var s, size float64
		for e := range c.dim {
			p := float64(q[e]) * float64(k[at+e])
			s += p
			size += math.Abs(p)
		}
		lost := size * float64(c.dim+1) * unit
		if c.groups > 0 { // pairs of float16, and sums that may be cut off
			lost += size * (0x1p-20 + float64(2*c.dim)*ulp)
		}
		if c.softcap != 0 {
			s = c.softcap * math.Tanh(s/c.softcap)
			lost += c.softcap*1e-5 + 4*ulp*math.Abs(s)
		}
		if c.alibi != 0 {
			bias := c.slope(head) * float64(position-first-j)
			s -= bias
			lost += math.Abs(bias)*(8+c.alibi)*ulp + math.Abs(s)*unit
		}
		scores[j] = s
		best, least, scoreError = max(best, s), min(least, s), max(scoreError, lost)
	}
	if c.sinks != nil {
		s := float64(c.sinks[head])
		best, least = max(best, s), min(least, s)
	}
	span := best - least
	tiles := float64(count/64 + 1)
	relative := 2*scoreError + span*unit + 3*tiles*ulp + 2*span*ulp + float64(count+4)*unit + tiles*unit
	if c.groups > 0 { // shares are rounded to float16, and so is what they are divided by
		relative += 0x1p-11
	}
	out := make([]value, c.width())
	var sum, most float64
	for j, s := range scores {
		share := math.Exp(s - best)
		sum += share
		for e := range out {
			p := share * float64(v[(first+j)%c.cap*c.dim+e])
			out[e].want += p
			out[e].within += math.Abs(p)
			most = max(most, math.Abs(float64(v[(first+j)%c.cap*c.dim+e])))
		}
	}
	if c.sinks != nil {
		sum += math.Exp(float64(c.sinks[head]) - best)
	}
	for e := range out {
		out[e].want /= sum
		out[e].within *= 2 * relative / sum
		if c.groups > 0 {
			out[e].within += 0x1p-34 * float64(count) * most // the smallest shares
		}
	}
	return out
}
