package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// topCase has more candidates than fit, or fewer.
type topCase struct{ vocab, cap, k, parts int }

const (
	topSpan    = 256
	topBuckets = 64
	topWidth   = 0.0625 // a power of two: buckets are exact
)

// TestTopk runs both kernels on two sequences, the second of which has many ties, and
// checks the output of each.
func TestTopk(t *testing.T) {
	for _, c := range []topCase{{1, 4, 1, 1}, {1500, 600, 20, 32}, {1024, 8, 20, 256}, {3000, 600, 20, 2}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.test(t) })
	}
}

func (c topCase) test(t *testing.T) {
	const sequences = 2
	groups := (c.vocab + topSpan - 1) / topSpan
	words := 4 + 4*groups + 2*c.cap
	rng := random(uint64(c.vocab))
	x := normals(rng, sequences*c.vocab, 0, 2)
	for i := c.vocab; i < len(x); i++ {
		x[i] = float32(rng.IntN(40)) / 4
	}
	out, tops := make([]uint32, sequences*words), filled(sequences*groups*c.parts)
	for i := range out {
		out[i] = 12345
	}
	consts := kernels.Consts{"VOCAB": c.vocab, "SPAN": topSpan, "CAP": c.cap, "PARTS": c.parts}
	launch(t, "topk_max", consts, groups, sequences, x, out, tops)
	for s := range sequences {
		c.checkMax(t, x[s*c.vocab:][:c.vocab], out[s*words:][:words])
	}
	want := make([]float32, len(tops))
	for i := range want {
		want[i] = -3.4e38 // of parts without logits
	}
	for i, v := range x {
		id := i % c.vocab
		part := &want[(i/c.vocab*groups+id/topSpan)*c.parts+id%topSpan%c.parts]
		*part = max(*part, v)
	}
	if !slices.Equal(tops, want) {
		t.Fatalf("the largest of parts are %v, want %v", tops, want)
	}
	counts := make([]uint32, sequences*topBuckets)
	for i, v := range want {
		if b := c.bucket(x, i/(groups*c.parts), v); b < topBuckets {
			counts[i/(groups*c.parts)*topBuckets+b]++
		}
	}
	consts["WIDTH"], consts["BUCKETS"] = topWidth, topBuckets
	consts["K"] = c.k
	rows := []uint32{7, 41, 3, 9, 8, 12, 0, 9}
	launch(t, "topk_pick", consts, groups, sequences, x, out, tops, rows)
	for s := range sequences {
		c.checkPick(t, x, s, counts[s*topBuckets:][:topBuckets], out[s*words:][:words])
		best := first(x[s*c.vocab:][:c.vocab])
		if want := [][]uint32{{best, 42, 3, 0}, {best, 13, 0, 0}}[s]; out[s*words+1] != best || !slices.Equal(rows[4*s:4*s+4], want) {
			t.Errorf("sequence %d: the best is token %d, and the next row %v; want %v", s, out[s*words+1], rows[4*s:4*s+4], want)
		}
	}
}

// first returns the index of the largest of some logits, of equal ones the first.
func first(x []float32) uint32 {
	return uint32(slices.Index(x, slices.Max(x)))
}

// bucket reports how far v is below the largest logit of its sequence, in widths.
func (c topCase) bucket(x []float32, sequence int, v float32) int {
	top := x[sequence*c.vocab]
	for _, v := range x[sequence*c.vocab:][:c.vocab] {
		top = max(top, v)
	}
	return int(min((top-v)/topWidth, topBuckets))
}

// checkMax compares each span's largest logit, the lowest id among ties, and Σ exp(x−max).
func (c topCase) checkMax(t *testing.T, x []float32, out []uint32) {
	t.Helper()
	if out[0] != 0 {
		t.Errorf("the count is %d before anything was picked", out[0])
	}
	for g := 0; g*topSpan < c.vocab; g++ {
		span := x[g*topSpan : min((g+1)*topSpan, c.vocab)]
		id := 0
		for i, v := range span {
			if v > span[id] {
				id = i
			}
		}
		var sum, bound float64
		for _, v := range span {
			d := float64(span[id]) - float64(v)
			e := math.Exp(-d)
			sum += e
			bound += e * (expError(d) + d*unit + float64(topSpan/256+8)*unit) // 256 lanes, halved eight times
		}
		if out[4+4*g] != bits(span[id]) || int(out[5+4*g]) != g*topSpan+id {
			t.Errorf("span %d: %v of token %d, want %v of %d", g, math.Float32frombits(out[4+4*g]), out[5+4*g], span[id], g*topSpan+id)
		}
		value{sum, bound}.check(t, "sum", g, math.Float32frombits(out[6+4*g]))
	}
}

// checkPick: the candidates are all logits down to the bucket that completes K largest of parts, as many as fit.
func (c topCase) checkPick(t *testing.T, x []float32, sequence int, counts, out []uint32) {
	t.Helper()
	last, sum := 0, int(counts[0])
	for sum < c.k && last+1 < topBuckets {
		last++
		sum += int(counts[last])
	}
	want := 0
	for _, v := range x[sequence*c.vocab:][:c.vocab] {
		if c.bucket(x, sequence, v) <= last {
			want++
		}
	}
	if int(out[0]) != want {
		t.Fatalf("sequence %d: %d candidates, want %d", sequence, out[0], want)
	}
	seen := map[uint32]bool{}
	list := out[len(out)-2*c.cap:]
	for i := range min(want, c.cap) {
		id := list[2*i]
		if int(id) >= c.vocab || seen[id] {
			t.Fatalf("candidate %d: token %d is there twice or not in the vocabulary", i, id)
		}
		v := x[sequence*c.vocab+int(id)]
		if seen[id] = true; list[2*i+1] != bits(v) || c.bucket(x, sequence, v) > last {
			t.Errorf("candidate %d: token %d has logit %v, in bucket %d of %d", i, id, v, c.bucket(x, sequence, v), last)
		}
	}
	for i := 2 * min(want, c.cap); i < len(list); i++ {
		if list[i] != 12345 {
			t.Errorf("word %d past the candidates was written", i)
		}
	}
}
