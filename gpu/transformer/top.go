package transformer

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Top feeds tokens and returns the largest logits of the last one, in no order, and the logarithm
// of the sum of all its exponentials. If there are more candidates than fit it returns none:
// Logits has them all. The slice is reused. If ctx ends, Top returns within a chunk; the sequence then has as many
// tokens as Position says. After any other error, Reset the sequence.
func (t *Transformer) Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	if err := t.accept(t.sequences.selected, tokens); err != nil {
		return nil, 0, err
	}
	if len(tokens) == 1 {
		tops, err := t.advance(ctx, t.rowsOf(tokens))
		if err != nil {
			return nil, 0, err
		}
		return tops[0].Candidates, tops[0].LogSumExp, nil
	}
	for len(tokens) > 0 {
		left, err := t.feedChunk(ctx, tokens)
		if err != nil {
			return nil, 0, err
		}
		if left.n == len(tokens) {
			if err := t.runHead(left, left.n-1, 1); err != nil {
				return nil, 0, err
			}
		}
		tokens = tokens[left.n:]
	}
	tops, err := t.finder.run(ctx, 1)
	if err != nil {
		return nil, 0, err
	}
	return tops[0].Candidates, tops[0].LogSumExp, nil
}

// Logits reads all logits [VocabSize] of the token that Top was last asked for.
func (t *Transformer) Logits(ctx context.Context) ([]float32, error) { return t.LogitsOf(ctx, 0) }

// TopOf feeds one token to each of some sequences, which are all different, and calls each with what Top
// returns: of tokens[i], in order. The weights are read once for all of them.
func (t *Transformer) TopOf(ctx context.Context, sequences []int, tokens []int32, each func(i int, candidates []sample.Candidate, logSumExp float64) error) error {
	if len(sequences) != len(tokens) || len(tokens) < 1 || len(tokens) > t.Sequences() {
		return fmt.Errorf("%d tokens for %d sequences: there are %d sequences", len(tokens), len(sequences), t.Sequences())
	}
	rows, err := t.batch(sequences, tokens)
	if err != nil {
		return err
	}
	tops, err := t.advance(ctx, rows)
	if err != nil {
		return err
	}
	for i, top := range tops {
		if err := each(i, top.Candidates, top.LogSumExp); err != nil {
			return err
		}
	}
	return nil
}

// batch checks one token for each of some sequences and returns their rows, which are reused.
func (t *Transformer) batch(sequences []int, tokens []int32) ([]graph.Row, error) {
	t.rows = t.rows[:0]
	for i, s := range sequences {
		if err := t.acceptBeside(sequences[:i], s, tokens[i:i+1]); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", s, err)
		}
		t.rows = append(t.rows, graph.Row{Token: tokens[i], Position: t.sequences.positions[s], Sequence: s})
	}
	return t.rows, nil
}

// LogitsOf reads all logits [VocabSize] of the i-th token that TopOf was last asked for.
func (t *Transformer) LogitsOf(ctx context.Context, i int) ([]float32, error) {
	logits := make([]float32, t.VocabSize())
	return logits, t.graph.ReadFloats(ctx, t.graph.Logits(t.lead.place+2*t.lead.at).Buffer, i*len(logits), logits)
}
