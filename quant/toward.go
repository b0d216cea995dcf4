package quant

import (
	"errors"
	"fmt"
	"slices"
)

// Sums are statistics of the inputs of a matrix for typical text.
type Sums struct {
	Tokens int // how many inputs were added up
	// Inputs is Σ x·xᵀ over the inputs x, [cols][cols], at least the lower triangle. In this and the other sums, the
	// first token of each window counts as FirstCounts says if the inputs become keys and values.
	Inputs []float32
	// Gap is Σ (y−x)·xᵀ, where y is what the float model has in place of x, [cols][cols].
	Gap []float32
	// Debt is Σ d·xᵀ, [rows][cols], for matrices whose outputs are added to the residual stream, else
	// nil. d is the float model's stream minus this one, divided by the factor that the outputs are
	// multiplied by before they are added.
	Debt []float32
}

// firstShare is what part of a window's tokens the first of them counts as, see FirstCounts.
const firstShare = 1. / 4

// FirstCounts reports how many tokens the first one of a window of text counts as in the sums over inputs that become
// keys and values. A head that has nothing to look for attends to the first token, whatever it is, so that its key and
// value matter as much as those of a large part of the text.
func FirstCounts(tokens int) int { return 1 + int(firstShare*float64(tokens)) }

// Lend returns s with inputs more inputs added, each the mean of the inputs of others, which must be of the same kind.
// If s has few inputs, this draws its sums toward those of others (shrinkage, as of covariances toward a pooled one).
// Gap and Debt stay as they are, and Tokens still counts the inputs of s that they are of.
func (s *Sums) Lend(others *Sums, inputs int) *Sums {
	if others.Tokens == 0 {
		return s
	}
	sum := *s
	sum.Inputs = slices.Clone(s.Inputs)
	axpy(sum.Inputs, float32(inputs)/float32(others.Tokens), others.Inputs)
	return &sum
}

// Toward makes rows aim at the outputs of the float model, using Gap and Debt of s. The weights that make
// w·y+d of x with the least error are w + (w·Gap+Debt)·Inputs⁻¹ (for d = 0 GPTAQ, Li et al. 2025); rows
// are moved by the given share of that difference, or by less if there are few tokens for the number of
// columns. Call it before any row is rounded.
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
