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
	sums, err := c.ExpertSums(ctx, i, k)
	if err != nil {
		return nil, false, err
	}
	e := &c.tensors[i]
	cols := e.Model().Cols()
	starved = sums.Tokens < enoughTokens*cols
	tokens := sums.Tokens
	switch {
	case e.Role == model.RoleDown && tokens == 0:
		return nil, true, nil
	case e.Role != model.RoleDown && starved:
		if c.all == nil {
			if c.all, err = c.Sums(ctx, i); err != nil {
				return nil, true, err
			}
		}
		sums, tokens = sums.Lend(c.all, lentTokens*cols), tokens+lentTokens*cols
	}
	f, err = c.feedback(i, sums, dampingOf(tokens, cols))
	return f, starved, err
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
