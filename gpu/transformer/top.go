package transformer

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

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
// Logits has them all. The slice is used again. If ctx ends, so does Top, within a chunk; the sequence then has the
// tokens that Position counts. After any other error it is to be Reset.
func (t *Transformer) Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	if err := t.accept(tokens); err != nil {
		return nil, 0, err
	}
	if len(tokens) == 1 {
		t.fed = append(t.fed[:0], row{tokens[0], t.Position(), t.sequence})
		tops, err := t.advance(ctx)
		if err != nil {
			return nil, 0, err
		}
		return tops[0].Candidates, tops[0].LogSumExp, nil
	}
	for len(tokens) > 0 {
		n, err := t.feedChunk(ctx, tokens)
		if err != nil {
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
// for each. The weights are read once for all of them. The slices are used again.
func (t *Transformer) TopBatch(ctx context.Context, tokens []int32) ([]Top, error) {
	if len(tokens) < 1 || len(tokens) > len(t.positions) {
		return nil, fmt.Errorf("tokens for %d sequences: there are %d", len(tokens), len(t.positions))
	}
	selected := t.sequence
	defer func() { t.sequence = selected }()
	t.fed = t.fed[:0]
	for i := range tokens {
		t.sequence = i
		if err := t.accept(tokens[i : i+1]); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", i, err)
		}
		t.fed = append(t.fed, row{tokens[i], t.Position(), i})
	}
	return t.advance(ctx)
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
	return t.readTops(ctx, n)
}

// readTops waits for the candidates of n sequences' logits.
func (t *Transformer) readTops(ctx context.Context, n int) ([]Top, error) {
	size := 4 * topWords(t.spec.Vocab)
	t.topBytes = slices.Grow(t.topBytes[:0], n*size)[:n*size]
	if err := t.out.Read(ctx, t.topBytes); err != nil {
		return nil, err
	}
	t.found = slices.Grow(t.found[:0], n)[:n]
	for i := range t.found {
		if err := t.found[i].parse(t.topBytes[i*size:(i+1)*size], t.spec.Vocab); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", i, err)
		}
	}
	return t.found, nil
}

// topProgram finds the candidates of n sequences' logits and copies them to where readTops reads.
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
	size := uint64(4 * n * topWords(t.spec.Vocab))
	r.p.Copy(t.out.Range(size), gpu.Range{Buffer: t.act.top, Size: size})
	if r.err = cmp.Or(r.err, r.p.Err()); r.err != nil {
		return nil, r.err
	}
	t.tops[n] = r.p
	return r.p, nil
}

// parse reads what the kernels wrote for one sequence.
func (top *Top) parse(raw []byte, vocab int) error {
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
		return errors.New("the logits are not finite")
	}
	top.LogSumExp, top.Candidates = most+math.Log(sum), top.Candidates[:0]
	n := int(word(0))
	if n > topCap {
		return nil
	}
	for i := range n {
		at := 4 + 4*groups + 2*i
		top.Candidates = append(top.Candidates, sample.Candidate{ID: int32(word(at)), Logit: float32(float(at + 1))})
	}
	return nil
}
