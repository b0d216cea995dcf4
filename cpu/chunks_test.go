package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// recurrences are memories of sizes that fill tiles of products, and of sizes that do not.
var recurrences = map[string]model.Recurrence{
	"delta rule":            {Heads: 4, ValueDim: 128, Memory: model.Memory{KeyHeads: 2, KeyDim: 128, Delta: true, ReadScale: 0.1}},
	"delta rule, odd":       {Heads: 3, ValueDim: 13, Memory: model.Memory{KeyHeads: 3, KeyDim: 19, Delta: true, ReadScale: 0.2}},
	"state space":           {Heads: 4, ValueDim: 64, Memory: model.Memory{KeyHeads: 1, KeyDim: 128, Skip: true, ReadScale: 1}},
	"state space, odd step": {Heads: 2, ValueDim: 7, Memory: model.Memory{KeyHeads: 2, KeyDim: 5, Skip: true, ReadScale: 0.5, StepMin: 0.2, StepMax: 1}},
}

// recalled prepares the memories of a recurrence for made-up inputs of so many tokens.
func recalled(m model.Recurrence, tokens int) *recall {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int, scale float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(scale * r.NormFloat64())
		}
		return v
	}
	m.Taps = 2
	y := &layer{Layer: &model.Layer{Recurrence: m}}
	y.recurrence.rate = make([]float32, m.Heads)
	for h := range y.recurrence.rate {
		y.recurrence.rate[h] = 0.05 * float32(math.Pow(4, float64(h)))
	}
	if m.Skip {
		y.recurrence.skip = random(m.Heads, 1)
	}
	e := &Engine{}
	e.work.scratch = make([]scratch, 1)
	return &recall{
		e: e, y: y, s: newState(&y.Recurrence), tokens: tokens, made: random(tokens*m.Channels(), 1),
		steps: random(tokens*m.Heads, 1), shares: random(tokens*m.Heads, 1), out: make([]float32, tokens*m.Width()),
	}
}

// part is the recall of n tokens from one on.
func (w *recall) part(from, n int) *recall {
	m := &w.y.Recurrence
	p := *w
	p.tokens, p.made, p.out = n, w.made[from*m.Channels():], w.out[from*m.Width():]
	p.steps, p.shares = w.steps[from*m.Heads:], w.shares[from*m.Heads:]
	return &p
}

// Chunks of all lengths leave what single tokens do.
func TestChunks(t *testing.T) {
	const tokens = 2*chunkTokens + 47
	for name, m := range recurrences {
		one, chunks := recalled(m, tokens), recalled(m, tokens)
		for h := range m.Heads {
			for at := range tokens {
				one.part(at, 1).do(0, h)
			}
			for at, n := 0, 0; at < tokens; at += n {
				n = min(tokens-at, leastChunk+at%3*chunkTokens)
				chunks.part(at, n).do(0, h)
			}
		}
		for what, v := range map[string][2][]float32{"read": {one.out, chunks.out}, "memory": {one.s.next.all, chunks.s.next.all}} {
			var difference, size float64
			for i, want := range v[0] {
				difference += math.Pow(float64(v[1][i]-want), 2)
				size += math.Pow(float64(want), 2)
			}
			if rms := math.Sqrt(difference / size); !(rms < 1e-5) {
				t.Errorf("%s: %s: relative RMS %.2g", name, what, rms)
			}
		}
	}
}

// BenchmarkChunks runs a head's memory over 512 tokens, one after the other and by chunks.
func BenchmarkChunks(b *testing.B) {
	for _, name := range []string{"delta rule", "state space"} {
		w := recalled(recurrences[name], 512)
		for way, n := range map[string]int{"tokens": leastChunk - 1, "chunks": 512} {
			b.Run(name+"/"+way, func(b *testing.B) {
				for range b.N {
					for at := 0; at < 512; at += n {
						w.part(at, min(n, 512-at)).do(0, 0)
					}
				}
			})
		}
	}
}
