package convert

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// An expert sees only the tokens that the router sends it, and some experts are sent few: how many for each column it
// takes to round an expert for them alone, and how many mean inputs of all experts make up for fewer.
const (
	enoughTokens = 4
	lentTokens   = 1
)

// stacked reports whether a tensor holds the matrices of experts.
func stacked(e *bundle.Tensor) bool { return e.Model().Quantizable() && len(e.Shape) == 3 }

// parts reports how many parts of tensor i are rounded each for inputs of its own.
func (c *calibrator) parts(i int) int {
	if c.byExpert(i) {
		return c.tensors[i].Shape[0]
	}
	return 1
}

// byExpert reports whether tensor i is a stack of matrices that are rounded for calibration text.
func (c *calibrator) byExpert(i int) bool {
	e := &c.tensors[i]
	return c.Calibration != nil && e.Method == string(GPTQ) && stacked(e)
}

// part returns the feedback for part k of tensor i, which has begun: nil for what is rounded without. starved is set
// if it is an expert that has seen fewer than enoughTokens for each column.
//
//   - Then the gate and up projections are rounded for lentTokens for each column besides, each the mean of what is sent to
//     all experts of the layer.
//   - The down projection, whose inputs are like those of no other expert, is rounded by the search if there are none.
func (c *calibrator) part(ctx context.Context, i, k int) (f *quant.Feedback, starved bool, err error) {
	if !c.byExpert(i) {
		return c.of[i], false, nil
	}
	sums, damp, starved, err := ofExpert(ctx, c, &c.all, i, k, c.tensors[i].Model())
	if err != nil || sums == nil {
		return nil, starved, err
	}
	f, err = c.feedback(i, sums, damp)
	return f, starved, err
}

// sumsOf is where sums over inputs come from: a Calibration or a Judge.
type sumsOf interface {
	Sums(ctx context.Context, i int) (*quant.Sums, error)
	ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error)
}

// ofExpert returns the sums that expert k's part of tensor i, which is t, is rounded for, and the damping; no sums
// if the search is to stand in. all keeps the sums over all experts of the layer, once one was in want of them.
func ofExpert(ctx context.Context, from sumsOf, all **quant.Sums, i, k int, t model.Tensor) (sums *quant.Sums, damp float64, starved bool, err error) {
	if sums, err = from.ExpertSums(ctx, i, k); err != nil {
		return nil, 0, false, err
	}
	cols, tokens := t.Cols(), sums.Tokens
	starved = tokens < enoughTokens*cols
	switch {
	case t.Role == model.RoleDown && tokens == 0:
		return nil, 0, true, nil
	case t.Role != model.RoleDown && starved:
		if *all == nil {
			if *all, err = from.Sums(ctx, i); err != nil {
				return nil, 0, true, err
			}
		}
		sums, tokens = sums.Lend(*all, lentTokens*cols), tokens+lentTokens*cols
	}
	return sums, dampingOf(tokens, cols), starved, nil
}

// starvedNotes says what became of experts that have seen too few tokens, of tensors that are whole.
func starvedNotes(tensors []bundle.Tensor) []string {
	type kind struct {
		down bool
		cols int
	}
	experts, starved := map[kind]int{}, map[kind]int64{}
	for i := range tensors {
		e := &tensors[i]
		if e.Method != string(GPTQ) || !stacked(e) || i > 0 && sameInputs(e, &tensors[i-1]) && tensors[i-1].Method == e.Method {
			continue // up, whose tokens are those of gate
		}
		k := kind{e.Role == model.RoleDown, e.Model().Cols()}
		experts[k] += e.Shape[0]
		starved[k] += e.Starved
	}
	var notes []string
	for k, n := range starved {
		what, then := "gate and up projections", "these were rounded for the mean input of all experts of their layer besides"
		if k.down {
			what, then = "down projections", "these were rounded with the more damping the fewer they saw, by the search if they saw none"
		}
		if n > 0 {
			notes = append(notes, fmt.Sprintf("warning: the %s of %d of %d experts saw fewer than %d tokens of the calibration text, %d for each column: %s; more text helps",
				what, n, experts[k], enoughTokens*k.cols, enoughTokens, then))
		}
	}
	slices.SortFunc(notes, func(a, b string) int { return strings.Compare(b, a) }) // gate and up first
	return notes
}
