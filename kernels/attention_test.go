package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

type attentionCase struct {
	heads, kvHeads, dim, cap, kvBits, window, chunk int
	softcap, spread                                 float64 // spread of the scores
	positions                                       []int
	queries                                         int // 0: one, and each position in two sequences
}

func TestAttention(t *testing.T) {
	for _, c := range []attentionCase{
		{4, 2, 64, 300, 16, 300, 0, 0, 2, []int{0, 63, 64, 127, 128, 299}, 0},
		{4, 2, 64, 300, 32, 300, 0, 0, 100, []int{5, 200}, 0}, // one score above all others
		{3, 3, 2, 16, 32, 5, 0, 0, 1, []int{0, 3, 4, 17, 1000, 1<<20 - 1}, 0},
		{4, 1, 80, 110, 32, 110, 100, 0, 2, []int{0, 99, 100, 250, 299, 300}, 0},
		{2, 1, 256, 101, 16, 70, 0, 30, 20, []int{7, 65, 69, 70, 500}, 0},
		{6, 3, 64, 200, 16, 66, 128, 50, 3, []int{10, 128, 150, 193, 194, 1023}, 0},
		{1, 1, 130, 70, 32, 1, 0, 0, 2, []int{0, 100}, 0},
		{4, 2, 64, 300, 16, 300, 0, 0, 2, span(0, 9), 8},
		{2, 1, 34, 300, 32, 300, 0, 0, 2, span(120, 21), 8},
		{2, 1, 300, 300, 16, 300, 0, 0, 2, span(60, 15), 6},
		{3, 1, 130, 90, 32, 40, 0, 20, 3, span(2000, 13), 4},
		{2, 2, 16, 120, 16, 64, 64, 0, 2, span(180, 30), 8},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testAttention(t, c, c.launch) })
	}
}

// TestAttentionInParts cuts the positions into parts of every kind: many, one, more than there are positions.
func TestAttentionInParts(t *testing.T) {
	for _, c := range []partsCase{
		{attentionCase{4, 2, 64, 300, 16, 300, 0, 0, 2, []int{0, 63, 127, 128, 299}, 0}, 1, 2, 128, 4},
		{attentionCase{4, 1, 80, 110, 16, 110, 100, 0, 2, []int{0, 99, 100, 250, 300}, 0}, 4, 4, 64, 2},
		{attentionCase{2, 1, 256, 301, 16, 270, 0, 30, 20, []int{7, 65, 269, 270, 500}, 0}, 2, 2, 64, 8},
		{attentionCase{6, 2, 64, 700, 16, 566, 512, 50, 3, []int{10, 128, 600, 1023}, 0}, 16, 3, 128, 2},
		{attentionCase{3, 3, 8, 2000, 16, 2000, 0, 0, 1, []int{0, 5, 1999}, 0}, 64, 1, 64, 4},
		{attentionCase{8, 1, 128, 900, 16, 900, 0, 0, 100, []int{888}, 0}, 8, 4, 128, 1},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testAttention(t, c.attentionCase, c.launch) })
	}
}

// partsCase is one of attention_split and attention_join.
type partsCase struct {
	attentionCase
	splits, shared, lanes, each int
}

func (c partsCase) launch(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32) {
	delete(consts, "KV_BITS")
	consts["QUERIES"], consts["SPLITS"], consts["LANES"], consts["EACH"] = c.shared, c.splits, c.lanes, c.each
	oStride := consts["O_STRIDE"].(int)
	for i := range n { // which only attention zeroes
		clear(o[i*oStride+c.heads*c.dim : (i+1)*oStride])
	}
	to := o
	if c.splits > 1 {
		to = filled(n * c.heads * c.splits * (c.dim + 2))
	}
	launch(t, "attention_split", consts, c.heads/c.shared*c.splits, n, rows, q, kc, vc, to)
	if c.splits > 1 {
		launch(t, "attention_join", kernels.Consts{"HEADS": c.heads, "DIM": c.dim, "SPLITS": c.splits, "O_STRIDE": oStride}, c.heads, n, to, o)
	}
}

// launch runs attention.
func (c attentionCase) launch(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32) {
	queries := max(1, c.queries)
	consts["QUERIES"] = queries
	launch(t, "attention", consts, c.heads, (n+queries-1)/queries, rows, q, kc, vc, o, []uint32{uint32(n), 0})
}

type attentionLaunch func(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32)

func testAttention(t *testing.T, c attentionCase, launch attentionLaunch) {
	n := len(c.positions)
	if c.queries == 0 {
		n *= 2
	}
	qStride, oStride := c.heads*c.dim+4, roundUp(c.heads*c.dim, 128)+64
	rng := random(uint64(c.dim + c.window))
	q := normals(rng, n*qStride, 0, c.spread/math.Sqrt(float64(c.dim)))
	size := 2 * c.kvHeads * c.cap * c.dim
	kc, k := packCache(normals(rng, size, 0, 1), c.kvBits)
	vc, v := packCache(normals(rng, size, 0.5, 1), c.kvBits)
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
	}, n, rows, q, kc, vc, o)
	for i := range n {
		position, sequence := int(rows[4*i+1]), int(rows[4*i+2])
		for h := range c.heads {
			base := (sequence*c.kvHeads + h/(c.heads/c.kvHeads)) * c.cap * c.dim
			span := c.cap * c.dim
			want := c.define(q[i*qStride+h*c.dim:][:c.dim], k[base:base+span], v[base:base+span], position)
			for e, w := range want {
				w.check(t, fmt.Sprintf("position %d, sequence %d, head %d", position, sequence, h), e, o[i*oStride+h*c.dim+e])
			}
		}
		for e := c.heads * c.dim; e < oStride; e++ {
			value{}.check(t, "o past the heads", e, o[i*oStride+e])
		}
	}
}

// span returns n positions one after the other.
func span(from, n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = from + i
	}
	return p
}

// packCache packs values for a cache, and returns what it holds.
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

// define is the definition of attention for one head of a token; k and v are the head's cache.
//
// What float32 loses: a score is off by dim+1 roundings of its terms, and a capped one by the
// 1e-5 that tanh may be. A share exp(score−best) is off by that, by the rounding of the
// difference and by the exponential's own error, which grows with the difference; going from
// tile to tile adds an exponential each. A sum then passes count additions. Each bound holds
// above and below the fraction bar.
func (c attentionCase) define(q, k, v []float32, position int) []value {
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
		if c.softcap != 0 {
			s = c.softcap * math.Tanh(s/c.softcap)
			lost += c.softcap*1e-5 + 4*ulp*math.Abs(s)
		}
		scores[j] = s
		best, least, scoreError = max(best, s), min(least, s), max(scoreError, lost)
	}
	span := best - least
	tiles := float64(count/64 + 1)
	relative := 2*scoreError + span*unit + 3*tiles*ulp + 2*span*ulp + float64(count+4)*unit + tiles*unit
	out := make([]value, c.dim)
	var sum float64
	for j, s := range scores {
		share := math.Exp(s - best)
		sum += share
		for e := range out {
			p := share * float64(v[(first+j)%c.cap*c.dim+e])
			out[e].want += p
			out[e].within += math.Abs(p)
		}
	}
	for e := range out {
		out[e].want /= sum
		out[e].within *= 2 * relative / sum
	}
	return out
}
