package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

type routeCase struct {
	experts, top         int
	sigmoid, normalize   bool
	scores, biased       bool // what experts are ranked by
	weighed              bool // weights are multiplied by numbers of the experts
	groups, from, bestOf int
	scale                float64 // 0: 1
	mixer                float64
}

// TestRoute uses logits with many ties, and some far apart.
func TestRoute(t *testing.T) {
	for _, c := range []routeCase{
		{experts: 1, top: 1},
		{experts: 2, top: 1, sigmoid: true},
		{experts: 8, top: 2, normalize: true},
		{experts: 8, top: 8, sigmoid: true, normalize: true},
		{experts: 60, top: 4},
		{experts: 66, top: 5, normalize: true, weighed: true},
		{experts: 64, top: 6, scale: 16},
		{experts: 16, top: 2, mixer: 0.5},
		{experts: 66, top: 4, mixer: 0.3, scale: 2},
		{experts: 65, top: 1, normalize: true},
		{experts: 130, top: 8, sigmoid: true, normalize: true},
		{experts: 130, top: 130, normalize: true},
		{experts: 66, top: 5, groups: 6, from: 2, bestOf: 1, scale: 2},
		{experts: 32, top: 3, sigmoid: true, scores: true, biased: true},
		{experts: 20, top: 3, scores: true, biased: true, normalize: true},
		{experts: 256, top: 8, sigmoid: true, normalize: true, scores: true, biased: true, groups: 8, from: 4, bestOf: 2, scale: 2.5},
		{experts: 130, top: 4, sigmoid: true, scores: true, groups: 65, from: 3, bestOf: 2},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			const tokens = 6
			stride := c.experts + 3
			rng := random(uint64(c.experts))
			x := normals(rng, tokens*stride, 0, 3)
			for i := range x {
				switch i / stride {
				case 1:
					x[i] = float32(rng.IntN(3) - 1)
				case 2:
					x[i] = 5
				case 3:
					x[i] *= 30
				case 4:
					x[i] = -x[i]*x[i] - 20
				}
			}
			chosen := make([]uint32, 2*tokens*c.top)
			consts, bias := c.consts(stride), any(nil)
			biases := make([]float32, c.experts)
			if c.biased || c.weighed {
				biases = normals(rng, c.experts, 0, 1)
				bias = biases
			}
			launch(t, "route", consts, tokens, 1, x, bias, chosen)
			for i := range tokens {
				c.check(t, x[i*stride:][:c.experts], biases, chosen[2*i*c.top:][:2*c.top])
			}
		})
	}
}

func (c routeCase) consts(stride int) kernels.Consts {
	consts := kernels.Consts{
		"EXPERTS": c.experts, "TOP": c.top, "X_STRIDE": stride, "SIGMOID": asInt(c.sigmoid), "NORMALIZE": asInt(c.normalize),
		"BY_SCORE": asInt(c.scores), "BIASED": asInt(c.biased), "WEIGHED": asInt(c.weighed),
	}
	if c.groups > 0 {
		consts["GROUPS"], consts["TOP_GROUPS"], consts["BEST"] = c.groups, c.from, c.bestOf
	}
	if c.scale != 0 {
		consts["SCALE"] = c.scale
	}
	if c.mixer != 0 {
		consts["MIXER"] = c.mixer
	}
	return consts
}

// check compares one token's choice. A weight is an exponential, of a rounded difference where it is a softmax, over a
// sum of such; normalizing divides by a sum of weights. Where scores are compared, their rounding decides between
// neighbors: the expert chosen for a place must rank as the best that is left, within that.
// mix sets the scores of the chosen to what they weigh among those that were not chosen before and are near.
func (c routeCase) mix(x []float32, chosen []uint32, scores []float64) {
	gone := map[int]bool{}
	for k := range c.top {
		e, sum := int(chosen[2*k]), 0.0
		for i, l := range x {
			if far := (x[e] - l) / max(float32(math.Abs(float64(l))), x[e]); !gone[i] && far <= float32(c.mixer) {
				sum += math.Exp(float64(l) - float64(x[e]))
			}
		}
		scores[e], gone[e] = 1/sum, true
	}
}

func (c routeCase) check(t *testing.T, x, bias []float32, chosen []uint32) {
	t.Helper()
	best, least := float64(slices.Max(x)), float64(slices.Min(x))
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - best)
	}
	scores, ranks := make([]float64, c.experts), make([]float64, c.experts)
	var relative, all float64
	for e, v := range x {
		v := float64(v)
		if c.sigmoid {
			scores[e] = 1 / (1 + math.Exp(-v))
			relative = max(relative, expError(v)+5*ulp)
		} else {
			scores[e] = math.Exp(v-best) / sum
			relative = 2*(expError(best-least)+(best-least)*unit) + float64(c.experts)*unit + 3*ulp
		}
		ranks[e] = v
		if c.scores {
			ranks[e] = scores[e]
		}
		if c.biased {
			ranks[e] += float64(bias[e])
		}
	}
	slack := 0.0
	if c.scores {
		slack = relative + 4*unit*(1+float64(slices.Max(bias)))
	}
	c.keepGroups(ranks, chosen, slack)
	for k := range c.top {
		e := int(chosen[2*k])
		for other, r := range ranks {
			if r > ranks[e]+slack || slack == 0 && r == ranks[e] && other < e {
				t.Fatalf("choice %d: expert %d, but %d ranks before it", k, e, other)
			}
		}
		ranks[e] = math.Inf(-1)
		all += scores[e]
	}
	scale := 1.0
	if c.scale != 0 {
		scale = c.scale
	}
	if c.normalize {
		relative = 2*relative + float64(c.top)*unit + 3*ulp
		scale /= all
	}
	if c.mixer != 0 {
		c.mix(x, chosen, scores)
	}
	for k := range c.top {
		w := scores[chosen[2*k]] * scale
		if c.weighed {
			w *= float64(bias[chosen[2*k]])
		}
		// Below the least normal float32 the exponential and the weight may be 0.
		v := value{w, math.Abs(w)*(relative+3*unit) + 0x1p-120}
		v.check(t, "weight", k, math.Float32frombits(chosen[2*k+1]))
	}
}

// keepGroups takes the rank from the experts outside the best groups. Groups that rank alike within slack may
// replace each other: those that were chosen from come first.
func (c routeCase) keepGroups(ranks []float64, chosen []uint32, slack float64) {
	if c.groups == 0 {
		return
	}
	size := c.experts / c.groups
	order, rank, used := make([]int, c.groups), make([]float64, c.groups), make([]bool, c.groups)
	for g := range order {
		group := slices.Clone(ranks[g*size : (g+1)*size])
		slices.SortFunc(group, func(a, b float64) int { return compare(float32(b), float32(a)) })
		for _, v := range group[:c.bestOf] {
			rank[g] += v
		}
		order[g] = g
	}
	for k := range c.top {
		used[int(chosen[2*k])/size] = true
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case math.Abs(rank[a]-rank[b]) > 2*slack || used[a] == used[b]:
			return compare(float32(rank[b]), float32(rank[a]))
		case used[a]:
			return -1
		}
		return 1
	})
	for _, g := range order[c.from:] {
		for e := range size {
			ranks[g*size+e] = math.Inf(-1)
		}
	}
}

func compare(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

const tileSlots = 64 // of matmul_experts

// grouped is the expected output of group: the slots by expert, then tiles (expert, first, count,
// 0) from word slots on. It also reports how many tiles there are.
func grouped(chosen []uint32, experts, slots int) (order []uint32, tiles int) {
	order = make([]uint32, slots+4*(slots/tileSlots+experts))
	at := 0
	for e := range experts {
		from := at
		for s := range len(chosen) / 2 {
			if int(chosen[2*s]) == e {
				order[at] = uint32(s)
				at++
			}
		}
		for ; from < at; from += tileSlots {
			copy(order[slots+4*tiles:], []uint32{uint32(e), uint32(from), uint32(min(tileSlots, at-from)), 0})
			tiles++
		}
	}
	return order, tiles
}

// choices makes up the experts that n tokens choose. Experts with higher numbers are chosen less often.
func choices(seed uint64, n, top, experts int) []uint32 {
	rng := random(seed)
	var chosen []uint32
	for range n {
		e := rng.IntN(rng.IntN(experts) + 1)
		for range top {
			chosen = append(chosen, uint32(e), bits(0.1+rng.Float32()))
			e = (e + 1 + experts/(2*top)) % experts
		}
	}
	return chosen
}

func TestGroup(t *testing.T) {
	for _, c := range []struct{ experts, top, n, slots int }{
		{experts: 8, top: 2, n: 70, slots: 512},
		{experts: 8, top: 2, n: 256, slots: 512},
		{experts: 130, top: 4, n: 5, slots: 256},
		{experts: 300, top: 8, n: 64, slots: 512},
		{experts: 1, top: 1, n: 200, slots: 256},
		{experts: 1, top: 1, n: 64, slots: 64},
		{experts: 1, top: 1, n: 65, slots: 128},
		{experts: 5, top: 1, n: 1, slots: 64},
		{experts: 3, top: 3, n: 64, slots: 192},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			chosen := choices(uint64(c.n), c.n, c.top, c.experts)
			want, tiles := grouped(chosen, c.experts, c.slots)
			got := make([]uint32, len(want))
			for i := range got {
				got[i] = 0xabcd1234
			}
			// The buffer has room for the largest pass; this one is smaller.
			room := append(slices.Clone(chosen), make([]uint32, 2*c.slots-len(chosen))...)
			launch(t, "group", kernels.Consts{"EXPERTS": c.experts, "TOP": c.top, "SLOTS": c.slots}, 1, 1, room, got, []uint32{uint32(c.n), 0})
			if n := c.n * c.top; !slices.Equal(got[:n], want[:n]) {
				t.Errorf("slots %v, want %v", got[:n], want[:n])
			}
			for i := c.slots; i < len(got); i += 4 {
				if tile := (i - c.slots) / 4; tile < tiles && !slices.Equal(got[i:i+3], want[i:i+3]) || got[i+2] != want[i+2] {
					t.Fatalf("tile %d: %v, want %v", tile, got[i:i+4], want[i:i+4])
				}
			}
		})
	}
}

// TestSpans makes two passes, the second with fewer tokens.
func TestSpans(t *testing.T) {
	for _, c := range []struct{ experts, top, slots int }{
		{experts: 8, top: 2, slots: 512},
		{experts: 130, top: 4, slots: 256},
		{experts: 1, top: 1, slots: 64},
		{experts: 300, top: 8, slots: 512},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			const each = 64
			got := make([]uint32, (c.experts+1)*each)
			total := make([]uint32, c.experts+1)
			for _, n := range []int{c.slots / c.top, 3} {
				n = min(n, c.slots/c.top)
				chosen := choices(uint64(n), n, c.top, c.experts)
				order, _ := grouped(chosen, c.experts, c.slots)
				launch(t, "spans", kernels.Consts{"EXPERTS": c.experts, "SLOTS": c.slots, "EACH": each}, 1, 1, order, got)
				first := uint32(0)
				for e := range c.experts {
					var count uint32
					for s := range n * c.top {
						if int(chosen[2*s]) == e {
							count++
						}
					}
					total[e] += count
					if g := got[e*each:]; g[0] != count || count > 0 && g[1] != first || g[2] != total[e] {
						t.Fatalf("%d tokens, expert %d: %v, want [%d %d %d]", n, e, g[:3], count, first, total[e])
					}
					first += count
				}
				total[c.experts] += first
				if g := got[c.experts*each:]; g[0] != first || g[1] != 0 || g[2] != total[c.experts] {
					t.Fatalf("%d tokens, all experts: %v, want [%d 0 %d]", n, g[:3], first, total[c.experts])
				}
			}
		})
	}
}

// TestGather compares all kinds; the reference model chooses as this one does, except for some tokens.
func TestGather(t *testing.T) {
	const own, others, difference = 0, 1, 2 // kinds
	for i, c := range []struct {
		experts, top, n, stride, kind int
		byToken, weigh                bool
	}{
		{experts: 8, top: 2, n: 70, stride: 256, kind: own, byToken: true},
		{experts: 8, top: 2, n: 70, stride: 256, kind: own, byToken: true, weigh: true},
		{experts: 5, top: 3, n: 9, stride: 512, kind: own, weigh: true},
		{experts: 5, top: 3, n: 9, stride: 256, kind: own},
		{experts: 8, top: 2, n: 70, stride: 256, kind: others, byToken: true},
		{experts: 8, top: 2, n: 33, stride: 256, kind: others, byToken: true, weigh: true},
		{experts: 30, top: 4, n: 21, stride: 256, kind: others, weigh: true},
		{experts: 1, top: 1, n: 5, stride: 256, kind: others},
		{experts: 8, top: 2, n: 70, stride: 256, kind: difference, byToken: true},
		{experts: 30, top: 4, n: 21, stride: 512, kind: difference, weigh: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			chosen := choices(uint64(i), c.n, c.top, c.experts)
			other := choices(uint64(i+100), c.n, c.top, c.experts)
			for token := range c.n { // often in another order
				if token%3 > 0 {
					copy(other[2*token*c.top:2*(token+1)*c.top], chosen[2*token*c.top:])
				}
				if token%3 == 2 {
					mine := other[2*token*c.top : 2*(token+1)*c.top]
					mine[0], mine[len(mine)-2] = mine[len(mine)-2], mine[0]
				}
			}
			order, _ := grouped(chosen, c.experts, roundUp(c.n*c.top, 64))
			rng := random(uint64(c.n))
			x, y := normals(rng, c.n*c.top*c.stride, 0, 1), normals(rng, c.n*c.top*c.stride, 0, 1)
			got := make([]float32, c.n*c.top*c.stride)
			launch(t, "gather", kernels.Consts{"STRIDE": c.stride, "TOP": c.top, "KIND": c.kind, "BY_TOKEN": asInt(c.byToken), "WEIGH": asInt(c.weigh)},
				(c.stride+63)/64, c.n*c.top, chosen, other, order, x, y, got)
			weight := func(choices []uint32, slot int) float64 {
				if !c.weigh && c.kind != difference {
					return 1
				}
				return float64(math.Float32frombits(choices[2*slot+1]))
			}
			for k, v := range got {
				slot, col := int(order[k/c.stride]), k%c.stride
				token := slot / c.top
				row := func(v []float32, slot int) float64 {
					if c.byToken || c.kind == difference {
						slot = token
					}
					return float64(v[slot*c.stride+col])
				}
				want := weight(chosen, slot) * row(x, slot)
				var sum float64
				for o := token * c.top; o < (token+1)*c.top; o++ {
					sum += weight(chosen, o)
					if c.kind == others && other[2*o] == chosen[2*slot] {
						want = weight(other, o) * row(y, o)
					}
				}
				size := math.Abs(want)
				if c.kind == difference {
					part := weight(chosen, slot) / sum
					want, size = part*(row(y, 0)-row(x, 0)), part*(math.Abs(row(y, 0))+math.Abs(row(x, 0)))
				}
				value{want, size * float64(c.top+8) * unit}.check(t, "out", k, v)
			}
		})
	}
}
