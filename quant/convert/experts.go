package convert

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// An expert sees only the tokens that the router sends it, and some experts are sent few. How many tokens for each
// column it takes to round an expert for them alone; and with how few its down projection, whose inputs are like
// those of no other expert, is not rounded for them at all.
const (
	enoughTokens = 4
	leastTokens  = 1
)

// stacked reports whether a tensor holds the matrices of experts.
func stacked(e *bundle.Tensor) bool { return e.Model().Quantizable() && len(e.Shape) == 3 }

// parts reports how many parts of tensor i are rounded each for inputs of its own.
func (c *calibrator) parts(i int) int {
	e := &c.tensors[i]
	if c.Calibration == nil || e.Method != string(GPTQ) || !stacked(e) {
		return 1
	}
	return e.Shape[0]
}

// part returns the feedback for part k of tensor i, which has begun: nil for what is rounded without. starved is set
// if it is an expert that has seen too few tokens. Then
//
//   - the gate and up projections are rounded for as many inputs more as lack, each the mean of what is sent to all
//     experts of the layer (shrinkage of H_e toward ΣH, as of a covariance toward a pooled one);
//   - the down projection is rounded with more damping or, below leastTokens, by the search.
func (c *calibrator) part(ctx context.Context, i, k int) (f *quant.Feedback, starved bool, err error) {
	if c.parts(i) == 1 {
		return c.of[i], false, nil
	}
	sums, err := c.ExpertSums(ctx, i, k)
	if err != nil {
		return nil, false, err
	}
	e := &c.tensors[i]
	cols := e.Model().Cols()
	enough, tokens := enoughTokens*cols, sums.Tokens
	switch {
	case tokens >= enough:
	case e.Role != model.RoleDown:
		starved = true
		if c.all == nil {
			if c.all, err = c.Sums(ctx, i); err != nil {
				return nil, true, err
			}
		}
		sums, tokens = sums.Lend(c.all, enough), enough
	case tokens < leastTokens*cols:
		return nil, true, nil
	default:
		starved = true
		tokens = min(tokens, manyTokens*tokens/enough)
	}
	f, err = c.feedback(i, sums, tokens)
	return f, starved, err
}

// starvedNotes says what became of experts that have seen too few tokens, of tensors that are whole.
func starvedNotes(tensors []bundle.Tensor) []string {
	type kind struct{ down, cols int }
	experts, starved := map[kind]int{}, map[kind]int64{}
	for i := range tensors {
		e := &tensors[i]
		if e.Method != string(GPTQ) || !stacked(e) || i > 0 && sameInputs(e, &tensors[i-1]) && tensors[i-1].Method == e.Method {
			continue // up, whose tokens are those of gate
		}
		k := kind{cols: e.Model().Cols()}
		if e.Role == model.RoleDown {
			k.down = 1
		}
		experts[k] += e.Shape[0]
		starved[k] += e.Starved
	}
	var notes []string
	for _, k := range slices.SortedFunc(maps.Keys(starved), func(a, b kind) int { return cmp.Or(cmp.Compare(a.down, b.down), cmp.Compare(a.cols, b.cols)) }) {
		if starved[k] == 0 {
			continue
		}
		what, then := "gate and up projections", "they were rounded for the mean input of all experts of their layer besides"
		if k.down == 1 {
			what, then = "down projections", fmt.Sprintf("they were rounded with more damping, those of fewer than %d by the search alone", leastTokens*k.cols)
		}
		notes = append(notes, fmt.Sprintf("warning: the %s of %d of %d experts saw fewer than %d tokens of calibration text, %d for each column: %s; more text makes them better",
			what, starved[k], experts[k], enoughTokens*k.cols, enoughTokens, then))
	}
	return notes
}
