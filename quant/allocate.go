package quant

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// Choice is one way to store a matrix.
type Choice struct {
	Scheme block.Scheme
	Bits   int64   // of the whole matrix
	Loss   float64 // what it costs the model, not negative
}

// Allocate picks a choice for each matrix, by its index, so that together they have at most budget bits
// and a small loss. It is greedy: beginning with the smallest choices, it takes whatever saves most loss
// per bit (which is optimal for every budget that is met exactly), and spends what is left of the budget
// where it still fits.
func Allocate(matrices [][]Choice, budget int64) ([]int, error) {
	picks := make([]int, len(matrices))
	for m, list := range matrices {
		for i, c := range list {
			p := list[picks[m]]
			if c.Bits < p.Bits || c.Bits == p.Bits && c.Loss < p.Loss {
				picks[m] = i
			}
		}
		budget -= list[picks[m]].Bits
	}
	if budget < 0 {
		return nil, fmt.Errorf("the smallest choices have %d bits more than the budget", -budget)
	}
	for {
		best, ok := bestStep(matrices, picks, budget)
		if !ok {
			return picks, nil
		}
		budget -= best.bits
		picks[best.matrix] = best.choice
	}
}

// step is a larger choice for a matrix.
type step struct {
	matrix, choice int
	bits           int64
	saves          float64 // for a bit
}

// bestStep returns the step of most savings for a bit that the budget allows.
func bestStep(matrices [][]Choice, picks []int, budget int64) (step, bool) {
	var steps []step
	for m, list := range matrices {
		now := list[picks[m]]
		for i, c := range list {
			if bits := c.Bits - now.Bits; bits > 0 && bits <= budget && c.Loss < now.Loss {
				steps = append(steps, step{m, i, bits, (now.Loss - c.Loss) / float64(bits)})
			}
		}
	}
	if len(steps) == 0 {
		return step{}, false
	}
	return slices.MaxFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.saves, b.saves), cmp.Compare(b.matrix, a.matrix), cmp.Compare(b.choice, a.choice))
	}), true
}
