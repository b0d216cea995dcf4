package transformer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// TopOf feeds one token to each of some sequences, which are all different, and calls each with what Top
// returns: of tokens[i], in order. The weights are read once for all of them.
func (t *Transformer) TopOf(ctx context.Context, sequences []int, tokens []int32, each func(i int, candidates []sample.Candidate, logSumExp float64) error) error {
	if len(sequences) != len(tokens) || len(tokens) < 1 || len(tokens) > len(t.positions) {
		return fmt.Errorf("%d tokens for %d sequences: there are %d sequences", len(tokens), len(sequences), len(t.positions))
	}
	if err := t.putRows(sequences, tokens); err != nil {
		return err
	}
	tops, err := t.advance(ctx)
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

// putRows checks the tokens and makes them the next to be fed.
func (t *Transformer) putRows(sequences []int, tokens []int32) error {
	selected := t.sequence
	defer func() { t.sequence = selected }()
	t.fed = t.fed[:0]
	for i, s := range sequences {
		for _, other := range sequences[:i] {
			if other == s {
				return fmt.Errorf("sequence %d: it is fed two tokens at once", s)
			}
		}
		if err := t.Select(s); err != nil {
			return err
		}
		if err := t.accept(tokens[i : i+1]); err != nil {
			return fmt.Errorf("sequence %d: %w", s, err)
		}
		t.fed = append(t.fed, row{tokens[i], t.Position(), s})
	}
	return nil
}

// LogitsOf reads all logits [VocabSize] of the i-th token that TopOf was last asked for.
func (t *Transformer) LogitsOf(ctx context.Context, i int) ([]float32, error) {
	raw := make([]byte, 4*t.spec.Vocab)
	if err := t.dev.Read(ctx, t.act.logits, uint64(i*len(raw)), raw); err != nil {
		return nil, err
	}
	logits := make([]float32, t.spec.Vocab)
	for j := range logits {
		logits[j] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:]))
	}
	return logits, nil
}

// Sequences reports how many sequences there are.
func (t *Transformer) Sequences() int { return len(t.positions) }
