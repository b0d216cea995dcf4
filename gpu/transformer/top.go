package transformer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// What the topk kernels are told; topk_max.wgsl says what it means.
const (
	topSpan    = 1024
	topCap     = 1024
	topBuckets = 1024
	topMin     = 192 // candidates wanted: more than a usual top-k and the penalized tokens together
)

func topGroups(vocab int) int { return (vocab + topSpan - 1) / topSpan }
func topWords(vocab int) int  { return 4 + 4*topGroups(vocab) + 2*topCap }

// Top feeds tokens and returns the largest logits of the last one, in no order, and the logarithm
// of the sum of all its exponentials. If there are more candidates than fit it returns none:
// Logits has them all.
func (t *Transformer) Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	if err := t.accept(tokens); err != nil {
		return nil, 0, err
	}
	for len(tokens) > 0 {
		n := t.chunk(len(tokens))
		if err := t.feed(ctx, tokens[:n]); err != nil {
			return nil, 0, err
		}
		if n == len(tokens) {
			if err := t.runHead(n-1, 1); err != nil {
				return nil, 0, err
			}
		}
		tokens = tokens[n:]
	}
	tops, err := t.runTop(ctx, 1)
	if err != nil {
		return nil, 0, err
	}
	return tops[0].Candidates, tops[0].LogSumExp, nil
}

// Top is what a sampler needs of one token's logits: the largest, in no order, and the logarithm of
// the sum of all exponentials. Without candidates there were more than fit.
type Top struct {
	Candidates []sample.Candidate
	LogSumExp  float64
}

// TopBatch feeds one token to each of the first len(tokens) sequences and returns what Top returns,
// for each. The weights are read once for all of them.
func (t *Transformer) TopBatch(ctx context.Context, tokens []int32) ([]Top, error) {
	if len(tokens) < 1 || len(tokens) > len(t.positions) {
		return nil, fmt.Errorf("tokens for %d sequences: there are %d", len(tokens), len(t.positions))
	}
	selected := t.sequence
	defer func() { t.sequence = selected }()
	rows := make([]row, len(tokens))
	for i := range tokens {
		t.sequence = i
		if err := t.accept(tokens[i : i+1]); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", i, err)
		}
		rows[i] = row{tokens[i], t.Position(), i}
	}
	if err := t.feedRows(ctx, rows); err != nil {
		return nil, err
	}
	for i := range tokens {
		t.positions[i]++
	}
	if err := t.runHead(0, len(tokens)); err != nil {
		return nil, err
	}
	return t.runTop(ctx, len(tokens))
}

// Logits reads all logits [VocabSize] of the token that Top was last asked for.
func (t *Transformer) Logits(ctx context.Context) ([]float32, error) {
	var logits []float32
	err := t.read(ctx, t.act.logits, t.spec.Vocab, &logits)
	return logits, err
}

// runTop finds the candidates of n sequences' logits.
func (t *Transformer) runTop(ctx context.Context, n int) ([]Top, error) {
	p, err := t.topProgram(n)
	if err != nil {
		return nil, err
	}
	if err := t.dev.Run(p); err != nil {
		return nil, err
	}
	words := topWords(t.spec.Vocab)
	raw := make([]byte, 4*n*words)
	if err := t.dev.Read(ctx, t.act.top, 0, raw); err != nil {
		return nil, err
	}
	tops := make([]Top, n)
	for i := range tops {
		if tops[i], err = parseTop(raw[4*i*words:4*(i+1)*words], t.spec.Vocab); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", i, err)
		}
	}
	return tops, nil
}

func (t *Transformer) topProgram(n int) (*gpu.Program, error) {
	if p := t.tops[n]; p != nil {
		return p, nil
	}
	r := recorder{t: t, p: new(gpu.Program)}
	for _, k := range []string{"topk_max", "topk_count", "topk_pick"} {
		c := kernels.Consts{"VOCAB": t.spec.Vocab, "SPAN": topSpan, "CAP": topCap, "BUCKETS": topBuckets}
		if k == "topk_pick" {
			c["K"] = min(topMin, t.spec.Vocab)
		}
		r.dispatch(k, c, topGroups(t.spec.Vocab), n, whole(t.act.logits), whole(t.act.top), whole(t.act.hist))
	}
	if r.err != nil {
		return nil, r.err
	}
	t.tops[n] = r.p
	return r.p, nil
}

// parseTop reads what the kernels wrote for one sequence.
func parseTop(raw []byte, vocab int) (Top, error) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	float := func(i int) float64 { return float64(math.Float32frombits(word(i))) }
	groups := topGroups(vocab)
	most := math.Inf(-1)
	for g := range groups {
		most = math.Max(most, float(4+4*g))
	}
	var sum float64
	for g := range groups {
		sum += float(6+4*g) * math.Exp(float(4+4*g)-most)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) || most < -3e38 {
		return Top{}, errors.New("the logits are not finite")
	}
	n := int(word(0))
	if n > topCap {
		return Top{LogSumExp: most + math.Log(sum)}, nil
	}
	top := Top{Candidates: make([]sample.Candidate, n), LogSumExp: most + math.Log(sum)}
	for i := range top.Candidates {
		at := 4 + 4*groups + 2*i
		top.Candidates[i] = sample.Candidate{ID: int32(word(at)), Logit: float32(float(at + 1))}
	}
	return top, nil
}
