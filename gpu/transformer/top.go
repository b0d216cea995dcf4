package transformer

import (
	"context"
	"encoding/binary"
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
	p, err := t.topProgram()
	if err != nil {
		return nil, 0, err
	}
	if err := t.dev.Run(p); err != nil {
		return nil, 0, err
	}
	return t.readTop(ctx)
}

// Logits reads all logits [VocabSize] of the token that Top was last asked for.
func (t *Transformer) Logits(ctx context.Context) ([]float32, error) {
	var logits []float32
	err := t.read(ctx, t.act.logits, t.spec.Vocab, &logits)
	return logits, err
}

func (t *Transformer) topProgram() (*gpu.Program, error) {
	if t.topK != nil {
		return t.topK, nil
	}
	r := recorder{t: t, p: new(gpu.Program)}
	for _, k := range []string{"topk_max", "topk_count", "topk_pick"} {
		c := kernels.Consts{"VOCAB": t.spec.Vocab, "SPAN": topSpan, "CAP": topCap, "BUCKETS": topBuckets}
		if k == "topk_pick" {
			c["K"] = min(topMin, t.spec.Vocab)
		}
		r.dispatch(k, c, topGroups(t.spec.Vocab), 1, whole(t.act.logits), whole(t.act.top), whole(t.act.hist))
	}
	if r.err != nil {
		return nil, r.err
	}
	t.topK = r.p
	return t.topK, nil
}

func (t *Transformer) readTop(ctx context.Context) ([]sample.Candidate, float64, error) {
	raw := make([]byte, 4*topWords(t.spec.Vocab))
	if err := t.dev.Read(ctx, t.act.top, 0, raw); err != nil {
		return nil, 0, err
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	float := func(i int) float64 { return float64(math.Float32frombits(word(i))) }
	groups := topGroups(t.spec.Vocab)
	most := math.Inf(-1)
	for g := range groups {
		most = math.Max(most, float(4+4*g))
	}
	var sum float64
	for g := range groups {
		sum += float(6+4*g) * math.Exp(float(4+4*g)-most)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) || most < -3e38 {
		return nil, 0, fmt.Errorf("the logits at position %d are not finite", t.position-1)
	}
	n := int(word(0))
	if n > topCap {
		return nil, most + math.Log(sum), nil
	}
	top := make([]sample.Candidate, n)
	for i := range top {
		at := 4 + 4*groups + 2*i
		top[i] = sample.Candidate{ID: int32(word(at)), Logit: float32(float(at + 1))}
	}
	return top, most + math.Log(sum), nil
}
