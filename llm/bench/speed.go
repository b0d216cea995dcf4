package bench

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// Speed is how fast prompts are read, or texts generated.
type Speed struct {
	Test    string  `json:"test"`
	Context int     `json:"context"`
	Batch   int     `json:"batch"`
	Tokens  int     `json:"tokens"` // of all sequences
	Speed   float64 `json:"tokens_per_second"`
	Spread  float64 `json:"standard_deviation"`
	Bytes   uint64  `json:"bytes_per_step,omitempty"` // that a step must read
	Rate    float64 `json:"bytes_per_second,omitempty"`
	FLOPs   float64 `json:"flops_per_second,omitempty"`
}

// repeat measures several times, after the device has warmed up.
func (b *benchmark) repeat(r Speed, measure func() (time.Duration, error)) error {
	least, most := leastWarmUp, mostWarmUp
	if b.dev == nil || b.dev.OnCPU() { // a CPU is warm as soon as everything is compiled and in its place
		least, most = 0, 0
	}
	if err := warmUp(least, most, measure); err != nil {
		return err
	}
	var speeds []float64
	for range b.Repetitions {
		d, err := measure()
		if err != nil {
			return err
		}
		speeds = append(speeds, float64(r.Tokens)/d.Seconds())
	}
	r.Speed, r.Spread = meanAndDeviation(speeds)
	r.Rate = r.Speed / float64(r.Batch) * float64(r.Bytes)
	r.FLOPs *= r.Speed
	b.report.Results = append(b.report.Results, r)
	return nil
}

// A GPU that has waited, for a compiler for example, runs at a sixth of its clock, and takes a fifth of a second of work to
// reach it.
const leastWarmUp, mostWarmUp = 500 * time.Millisecond, 3 * time.Second

// warmUp measures without counting: once at least, and until that took the least time together and the last two took the same
// but for a thirtieth, or until it took the most.
func warmUp(least, most time.Duration, measure func() (time.Duration, error)) error {
	var all, before time.Duration
	for {
		d, err := measure()
		if err != nil {
			return err
		}
		all += d
		if all >= most || all >= least && 30*(d-before).Abs() <= before {
			return nil
		}
		before = d
	}
}

func meanAndDeviation(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean) / float64(max(1, len(v)-1))
	}
	return mean, math.Sqrt(deviation)
}

func (b *benchmark) prompts(ctx context.Context) error {
	for _, n := range b.Prompts {
		r := Speed{Test: "pp" + strconv.Itoa(n), Batch: 1, Tokens: n, FLOPs: 2 * float64(tune.LayerWeights(b.t.Graph().Weights()))}
		if err := b.repeat(r, func() (time.Duration, error) { return tune.MeasurePrompt(ctx, b.t, n) }); err != nil {
			return err
		}
	}
	return nil
}

// generations measures one sequence at each context, and each larger batch at the first of them.
func (b *benchmark) generations(ctx context.Context) error {
	n, contexts, batches := b.Tokens, b.Contexts, b.Batches
	measure := func(t *transformer.Transformer, length, batch int) error {
		weights, cache := tune.TokenBytes(t.Graph(), length, batch)
		r := Speed{Test: "tg" + strconv.Itoa(n), Context: length, Batch: batch, Tokens: n * batch, Bytes: weights + cache}
		return b.repeat(r, func() (time.Duration, error) { return tune.MeasureGeneration(ctx, t, length, n, batch) })
	}
	for _, length := range contexts {
		if slices.Contains(batches, 1) {
			if err := measure(b.t, length, 1); err != nil {
				return err
			}
		}
	}
	if most(batches) < 2 || len(contexts) == 0 {
		return nil
	}
	t, err := b.batches(contexts[0], most(batches), batchChunk)
	if err != nil {
		return err
	}
	defer t.Close()
	for _, batch := range batches {
		if batch > 1 {
			if err := measure(t, contexts[0], batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// batchChunk is how many tokens a pass takes where no prompts are measured.
const batchChunk = 64

// batches returns sequences of their own, no longer than they get: caches for many of the longest context would not fit
// everywhere. Passes take up to chunk tokens. Close them.
func (b *benchmark) batches(context, most, chunk int) (*transformer.Transformer, error) {
	return b.t.Beside(b.model.Weights(), transformer.Options{MaxSeqLen: context + b.Tokens + 1, MaxBatch: most, Chunk: chunk, KVBits: b.KVBits})
}
