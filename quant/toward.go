package quant

import (
	"errors"
	"fmt"
	"slices"
)

// Sums are what typical text says of the inputs of a matrix.
type Sums struct {
	Tokens int // how many inputs were added up
	// Inputs is Σ x·xᵀ over the inputs x, [cols][cols], at least the lower triangle. In this and the other sums, the
	// first token of each window counts as FirstCounts says if the inputs become keys and values.
	Inputs []float32
	// Gap is Σ (y−x)·xᵀ, where y is what the float model has in place of x, [cols][cols].
	Gap []float32
	// Debt is Σ d·xᵀ for what the residual stream that the outputs are added to lacks to that of the
	// float model, d, over the factor that the outputs are added with, [rows][cols]. Nil for matrices
	// whose outputs go elsewhere.
	Debt []float32
}

// firstShare is what part of a window's tokens the first of them counts as, see FirstCounts.
const firstShare = 1. / 4

// FirstCounts reports how many tokens the first one of a window of text counts as in the sums over inputs that become
// keys and values. A head that has nothing to look for attends to the first token, whatever it is, so that its key and
// value matter as much as those of a large part of the text.
func FirstCounts(tokens int) int { return 1 + int(firstShare*float64(tokens)) }

// Lend returns s with so many more inputs, each the mean of those of others, which are of the same kind: where s has
// few inputs, what they say is drawn toward what others say (shrinkage, as of covariances toward a pooled one). To what
// the float model makes of them they add nothing, so Gap and Debt stay, and Tokens says of how many inputs these are.
func (s *Sums) Lend(others *Sums, inputs int) *Sums {
	if others.Tokens == 0 {
		return s
	}
	sum := *s
	sum.Inputs = slices.Clone(s.Inputs)
	axpy(sum.Inputs, float32(inputs)/float32(others.Tokens), others.Inputs)
	return &sum
}

// Toward makes rows aim at the outputs of the float model, of which Gap and Debt of s tell. The weights
// that make w·y+d of x with the least error are w + (w·Gap+Debt)·Inputs⁻¹ (for d = 0 GPTAQ, Li et al.
// 2025); rows are moved by the given share of that, less where the tokens are few for so many columns. It
// is to be called before any row is rounded.
func (f *Feedback) Toward(s *Sums, share float64) error {
	gap, debt, n := s.Gap, s.Debt, f.n
	share *= float64(s.Tokens) / float64(s.Tokens+2*n)
	if len(gap) != n*n || len(debt)%n != 0 {
		return fmt.Errorf("matrices of %d and %d numbers for %d columns", len(gap), len(debt), n)
	}
	scaled := func(m []float32) ([]float32, error) {
		to := make([]float32, len(m))
		for i, v := range m {
			if to[i] = float32(share) * v; to[i]-to[i] != 0 {
				return nil, fmt.Errorf("row %d, column %d: the sum over inputs is %v", i/n, i%n, v)
			}
		}
		return to, nil
	}
	var errG, errD error
	f.gap, errG = scaled(gap)
	f.debt, errD = scaled(debt)
	return errors.Join(errG, errD)
}
