package transformer

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestAnyTuning runs models with constants that a file of tuning may name, though they do not go with the products, or with
// one another: results are the same but for rounding.
func TestAnyTuning(t *testing.T) {
	dev := gputest.Open(t)
	spec := modeltest.PlainSpec() // three heads share keys
	spec.Layers = spec.Layers[:1]
	src := modeltest.New(t, spec, modeltest.Blocks(4, 32))
	tokens := modeltest.Tokens(16, spec.Vocab)
	want := modeltest.Run(t, newRef(t, src), tokens)
	for name, pick := range map[string]func(values []int) int{
		"least": func(v []int) int { return v[0] },
		"any":   func(v []int) int { return v[rand.New(rand.NewPCG(1, uint64(len(v)))).IntN(len(v))] },
	} {
		tuning := tuningOfAll(t, src, pick)
		if err := tuning.Check(); err != nil {
			t.Fatal(err)
		}
		tr, err := New(context.Background(), dev, src, Options{Chunk: 24, Kernels: graph.Choice{Tuning: tuning, Split: 8, Batch: true}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer tr.Close()
		inPieces(t, tr, tokens, want, modeltest.MaxRelRMS, []int{11, 3, 1, 1})
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// tuningOfAll names constants for everything that a model computes, each of them picked from those that there are.
func tuningOfAll(t *testing.T, src graph.Source, pick func(values []int) int) graph.Tuning {
	t.Helper()
	w, err := graph.Plan(nil, src, 1<<30, graph.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	tuning := graph.Tuning{}
	for _, kernel := range graph.TunableKernels() {
		use := graph.Tuned{}
		for _, c := range graph.TunableOf(kernel).Values {
			use[c.Name] = pick(c.Values)
		}
		for _, n := range []int{1, 2, 4, 8, 16, 64} {
			at := src.Spec().Layer(0).Attention
			tuning[graph.TuningKey{Kernel: kernel, Class: graph.AttentionClass(&at, n)}] = use
			for _, m := range []*graph.Matrix{w.Layers[0].QKV, w.Layers[0].O, w.Layers[0].GateUp, w.Layers[0].Down, w.Head} {
				p := m.Parts[0]
				tuning[graph.TuningKey{Kernel: kernel, Class: graph.Shape{Packing: p.Packing, Rows: p.Rows, Width: p.Width, Tokens: n}.Class()}] = use
			}
		}
	}
	return tuning
}
