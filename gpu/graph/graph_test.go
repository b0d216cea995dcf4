package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// newGraph returns the graph of a made-up model, without its weights.
func newGraph(t *testing.T, dev *gpu.Device, s model.Spec) *Graph {
	t.Helper()
	return newGraphWith(t, dev, s, Choice{})
}

// newGraphWith does so for a choice of kernels.
func newGraphWith(t *testing.T, dev *gpu.Device, s model.Spec, c Choice) *Graph {
	t.Helper()
	src := modeltest.New(t, s, modeltest.Blocks(4, 32))
	w, err := Plan(dev, src, dev.Limits().MaxBinding, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	a := arena.New(dev)
	t.Cleanup(a.Close)
	g, err := New(dev, w, a, dev.Limits().MaxBinding, Options{MaxSeqLen: 64, Chunk: 64, MaxBatch: 2, KVBits: 16, Choice: c})
	if err == nil {
		err = a.Allocate()
	}
	if err == nil {
		err = w.Allocate()
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestRecord records passes: nothing is compiled for that. Compile then makes all that Program wants.
func TestRecord(t *testing.T) {
	dev := gputest.Open(t)
	g := newGraph(t, dev, modeltest.PlainSpec())
	before := dev.Stats().Pipelines
	body, err := g.Body(2, 1, InOrder)
	if err != nil {
		t.Fatal(err)
	}
	head, err := g.Head(2, body.Squares, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(body.Passes), head)
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
		if len(p.Dispatches) == 0 {
			t.Errorf("%s: nothing is dispatched", p.Name)
		}
	}
	if want := []string{"embedding", "layer 0", "layer 1", "head"}; !slices.Equal(names, want) {
		t.Errorf("the passes are %q, want %q", names, want)
	}
	if n := dev.Stats().Pipelines; n != before {
		t.Errorf("recording compiled %d kernels", n-before)
	}
	if err := Compile(context.Background(), dev, all); err != nil {
		t.Fatal(err)
	}
	compiled := dev.Stats().Pipelines
	if _, err := g.Program(all...); err != nil {
		t.Fatal(err)
	}
	if n := dev.Stats().Pipelines; n != compiled || compiled == before {
		t.Errorf("%d kernels were compiled beforehand, then %d more", compiled-before, n-compiled)
	}
}

// end is a tap of one matrix that remembers what it was handed.
type end struct {
	m     *Matrix
	taken []Inputs
	at    int // dispatches before
}

func (e *end) Wants(m *Matrix) bool { return m == e.m }

func (e *end) Take(r *Recorder, in Inputs) {
	e.taken, e.at = append(e.taken, in), len(r.pass.Dispatches)
}

// TestTap taps every matrix of the layers of all kinds of models: its inputs are handed over once, and nothing is
// recorded after that.
func TestTap(t *testing.T) {
	dev := gputest.Open(t)
	inputs := []model.Input{model.InputAttention, model.InputHeads, model.InputState, model.InputMLP, model.InputInner, model.InputShared, model.InputSharedInner}
	for name, edit := range modeltest.Specs {
		t.Run(name, func(t *testing.T) {
			s := modeltest.PlainSpec()
			edit(&s)
			g := newGraph(t, dev, s)
			for i := range s.Layers {
				for _, in := range inputs {
					checkTap(t, g, i, in)
				}
			}
		})
	}
}

func checkTap(t *testing.T, g *Graph, layer int, in model.Input) {
	t.Helper()
	y, m := g.Weights().Spec().Layer(layer), g.Weights().Layers[layer].Given(in)
	if in == model.InputShared && y.MLP.Shared == 0 || in == model.InputSharedInner && y.MLP.Shared == 0 {
		return
	}
	branch := y.Feeds()
	switch in {
	case model.InputAttention, model.InputHeads:
		branch = y.Mixes()
	case model.InputState:
		branch = y.Twofold()
	}
	if (m != nil) != branch {
		t.Fatalf("layer %d, inputs %s: a matrix: %v, want %v", layer, in, m != nil, branch)
	}
	if m == nil {
		return
	}
	e := &end{m: m}
	pass, err := g.Layer(layer, 5, AtInput, e)
	if err != nil {
		t.Fatal(err)
	}
	what := fmt.Sprintf("layer %d, inputs %s", layer, in)
	if len(e.taken) != 1 || e.at != len(pass.Dispatches) {
		t.Fatalf("%s: taken %d times, after %d of %d dispatches", what, len(e.taken), e.at, len(pass.Dispatches))
	}
	got := e.taken[0]
	if got.Stride != Stride(m.Width) || got.squares != 0 {
		t.Errorf("%s: vectors are %d apart, with %d sums of squares, want %d and none", what, got.Stride, got.squares, Stride(m.Width))
	}
	if stacked := g.Weights().Layers[layer].Stacked(m); stacked != (got.Experts != nil) {
		t.Errorf("%s: of experts: %v", what, got.Experts != nil)
	}
}

// TestPlaces records a layer from each place on: what comes before is left out.
func TestPlaces(t *testing.T) {
	g := newGraph(t, gputest.Open(t), modeltest.PlainSpec())
	for place, want := range map[Place][]string{
		AtInput:        {"norm", "matvec", "attention_token", "matvec", "matvec", "matvec"},
		AfterHeads:     {"matvec", "matvec", "matvec"},
		AfterAttention: {"norm", "matvec", "matvec"},
	} {
		pass, err := g.Layer(0, 1, place, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range pass.Dispatches {
			kernel, _, _ := strings.Cut(d.Kernel.Key, "/")
			got = append(got, kernel)
		}
		if !slices.Equal(got, want) {
			t.Errorf("from place %d on: %v, want %v", place, got, want)
		}
	}
}

// TestNormsAsLimbs records a token of a model whose products take limbs: no norm is a dispatch of its own, not the first either.
func TestNormsAsLimbs(t *testing.T) {
	g := newGraphWith(t, gputest.Open(t), modeltest.PlainSpec(), Choice{Variants: map[Packing]Variant{{Bits: 4, Block: 32}: {Kernel: LimbsKernel}}})
	body, err := g.Body(1, 1, InOrder)
	if err != nil {
		t.Fatal(err)
	}
	for _, pass := range body.Passes[:2] {
		for _, d := range pass.Dispatches {
			if d.Kernel.Name == "norm" {
				t.Errorf("%s: a norm has a dispatch of its own", pass.Name)
			}
		}
	}
	if first := body.Passes[1].Dispatches[0].Kernel.Name; first != LimbsKernel {
		t.Errorf("the first layer begins with %s, want %s: the look-up of the token prepares its input", first, LimbsKernel)
	}
}
