package transformer

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// In a pass over several prompts each token attends for itself, where tokens of one prompt share the keys that they read. So the
// pass takes no more tokens than read mostRead keys together: 512 with 1024 before each cost a tenth of it. Passes have a multiple
// of padding tokens, so that there are few to record.
const (
	mostRead = 512 * 1024
	padding  = 16
)

// TopOfPrompts feeds tokens[i], a prompt or what is left of it, to sequences[i], in one pass that reads the weights once for all.
// fed says how many tokens of each it took: in order, all of each until the pass is full, and at least one of the first; those
// past len(fed) have to wait. It calls each with what Top returns, for the sequences whose tokens were fed to the end: the
// first ones, in order. Sequences are all different. Layers that remember by states take one sequence at a time.
func (t *Transformer) TopOfPrompts(ctx context.Context, sequences []int, tokens [][]int32, each func(i int, candidates []sample.Candidate, logSumExp float64) error) (fed []int, err error) {
	defer func(selected int) { t.sequences.selected = selected }(t.sequences.selected)
	if fed, err = t.share(sequences, tokens); err != nil {
		return nil, err
	}
	whole := len(fed)
	if fed[whole-1] < len(tokens[whole-1]) {
		whole--
	}
	if len(fed) == 1 {
		return fed, t.onePrompt(ctx, sequences[0], tokens[0], whole, each)
	}
	tops, err := t.together(ctx, sequences, tokens, fed, whole)
	if err != nil {
		return fed, err
	}
	for i, top := range tops {
		if err := each(i, top.Candidates, top.LogSumExp); err != nil {
			return fed, err
		}
	}
	return fed, nil
}

// share decides how many tokens of each sequence a pass takes.
func (t *Transformer) share(sequences []int, tokens [][]int32) (fed []int, err error) {
	if len(sequences) != len(tokens) || len(tokens) < 1 || len(tokens) > t.Sequences() {
		return nil, fmt.Errorf("%d prompts for %d sequences: there are %d sequences", len(tokens), len(sequences), t.Sequences())
	}
	left, read := t.opts.Chunk, 0
	for i, s := range sequences {
		if err := t.acceptBeside(sequences[:i], s, tokens[i]); err != nil && i > 0 {
			break // it fails when it comes first
		} else if err != nil {
			return nil, fmt.Errorf("sequence %d: %w", s, err)
		}
		t.sequences.selected = s
		n := t.chunk(min(len(tokens[i]), left))
		read += n * (t.Position() + n)
		if i > 0 && read > mostRead {
			break
		}
		fed, left = append(fed, n), left-n
		if n < len(tokens[i]) || left == 0 || t.Recurrent() {
			break
		}
	}
	return fed, nil
}

// onePrompt feeds the first chunk of one prompt. whole is 1 if the prompt ends with it, else 0.
func (t *Transformer) onePrompt(ctx context.Context, s int, tokens []int32, whole int, each func(int, []sample.Candidate, float64) error) error {
	t.sequences.selected = s
	if whole == 0 {
		_, err := t.feedChunk(ctx, tokens)
		return err
	}
	candidates, sum, err := t.Top(ctx, tokens)
	if err != nil {
		return err
	}
	return each(0, candidates, sum)
}

// together feeds the first fed[i] of tokens[i] to sequences[i], and finds the candidates of the last token of the first
// `whole` sequences. The slice is reused.
func (t *Transformer) together(ctx context.Context, sequences []int, tokens [][]int32, fed []int, whole int) ([]Top, error) {
	if err := t.paced[0].Wait(ctx); err != nil {
		return nil, err
	}
	left, err := t.feedRows(ctx, t.rowsTogether(sequences, tokens, fed, whole), graph.Apart)
	if err != nil {
		return nil, err
	}
	t.paced[1].Release() // reading the candidates waits for all that came before
	for i, n := range fed {
		t.sequences.positions[sequences[i]] += n
	}
	if err := t.runHead(left, 0, whole); err != nil {
		return nil, err
	}
	return t.finder.run(ctx, whole)
}

// rowsTogether returns the rows of a pass over several sequences: first those whose candidates are wanted, in a row for the
// head. The order is all the same to attention, which comes after all keys are in the cache; so is a row that is there twice, as
// the last one is to fill up the pass. The slice is reused.
func (t *Transformer) rowsTogether(sequences []int, tokens [][]int32, fed []int, whole int) []graph.Row {
	row := func(i, at int) graph.Row {
		return graph.Row{Token: tokens[i][at], Position: t.sequences.positions[sequences[i]] + at, Sequence: sequences[i]}
	}
	t.rows = t.rows[:0]
	for i := range whole {
		t.rows = append(t.rows, row(i, fed[i]-1))
	}
	for i, n := range fed {
		if i < whole {
			n--
		}
		for at := range n {
			t.rows = append(t.rows, row(i, at))
		}
	}
	for len(t.rows) > graph.FewTokens && len(t.rows)%padding != 0 && len(t.rows) < t.opts.Chunk {
		t.rows = append(t.rows, t.rows[len(t.rows)-1])
	}
	return t.rows
}
