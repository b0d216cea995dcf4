package verify

import (
	"cmp"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// route calls choose with the TopK experts that rank best and their weights; of equals the first wins. The
// selection bias [Experts] is nil if there is none.
func route(m *model.Routing, logits, selection []float32, choose func(expert int, weight float32)) {
	scores := slices.Clone(logits)
	if m.Sigmoid {
		for i, v := range scores {
			scores[i] = sigmoid(v)
		}
	} else {
		softmax(scores)
	}
	ranks := slices.Clone(logits)
	if m.ByScore() {
		copy(ranks, scores)
	}
	if selection != nil {
		add(ranks, selection, 1)
	}
	limitToGroups(m, ranks)
	order := descending(ranks)[:m.TopK]
	sum := float32(1)
	if m.NormalizeTopK {
		sum = 0
		for _, e := range order {
			sum += scores[e]
		}
	}
	scale := float32(1)
	if m.RouteScale != 0 {
		scale = m.RouteScale
	}
	for i, e := range order {
		if m.Mixer > 0 {
			choose(e, mixed(m, logits, order[:i], e)*scale)
			continue
		}
		choose(e, scores[e]/sum*scale)
	}
}

// mixed returns the weight of expert e, which was chosen after the others, by Mixer.
func mixed(m *model.Routing, logits []float32, before []int, e int) float32 {
	best, sum := logits[e], 0.0
	for i, l := range logits {
		if !slices.Contains(before, i) && (best-l)/max(float32(math.Abs(float64(l))), best) <= m.Mixer {
			sum += math.Exp(float64(l - best))
		}
	}
	return float32(1 / sum)
}

// limitToGroups gives the experts outside the TopGroups best groups the lowest rank.
func limitToGroups(m *model.Routing, ranks []float32) {
	if m.Groups == 0 {
		return
	}
	size := m.Experts / m.Groups
	best := make([]float32, m.Groups)
	for g := range best {
		group := ranks[g*size : (g+1)*size]
		for _, e := range descending(group)[:m.GroupBest] {
			best[g] += group[e]
		}
	}
	for _, g := range descending(best)[m.TopGroups:] {
		for e := range size {
			ranks[g*size+e] = float32(math.Inf(-1))
		}
	}
}

// descending returns the indices of x from the largest to the smallest element; of equals the first comes first.
func descending(x []float32) []int {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[b], x[a]) })
	return order
}
