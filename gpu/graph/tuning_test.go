package graph

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestTuningIsUsed checks that the kernel of a product is what Tuning says.
func TestTuningIsUsed(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64))
	w, err := Plan(dev, src, dev.Limits().MaxBinding, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a := arena.New(dev)
	defer a.Close()
	p := w.Layers[0].O.Parts[0]
	tuning := Tuning{{"matvec", Shape{p.Packing, p.Rows, p.Width, 1}.Class()}: {"ROWS": 8, "LANES": 128}}
	g, err := New(dev, w, a, dev.Limits().MaxBinding, Options{MaxSeqLen: 64, Chunk: 64, MaxBatch: 1, KVBits: 16, Choice: Choice{Tuning: tuning}})
	if err == nil {
		err = a.Allocate()
	}
	if err != nil {
		t.Fatal(err)
	}
	uses := func(g *Graph) bool {
		body, err := g.Body(1, 1, InOrder)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(body.Passes[1].Dispatches, func(d Dispatch) bool {
			return strings.Contains(d.Kernel.Key, "LANES=128") && strings.Contains(d.Kernel.Key, "ROWS=8")
		})
	}
	if !uses(g) || uses(g.With(Choice{})) {
		t.Errorf("the constants are used: %v, and without tuning: %v", uses(g), uses(g.With(Choice{})))
	}
}

func TestTuningCheck(t *testing.T) {
	good := Tuning{{"matvec", "any"}: {"ROWS": 2, "LANES": 64, "STEP": 1}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, bad := range map[string]Tuning{
		`kernel "norm" cannot be tuned`:      {{"norm", "any"}: {}},
		"matvec has 3 constants to be tuned": {{"matvec", "any"}: {"ROWS": 2}},
		"want ROWS to be one of [2 4 8]":     {{"matvec", "any"}: {"ROWS": 3, "LANES": 64, "STEP": 1}},
		"want LANES to be one of":            {{"matvec", "any"}: {"ROWS": 2, "LINES": 64, "STEP": 1}},
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", bad, err, want)
		}
	}
}

// TestTunables checks that every row of the table names a kernel and integer constants that it has, with
// values that can be compiled.
func TestTunables(t *testing.T) {
	for _, row := range tunables {
		all := append([]Tuned{}, slices.Collect(maps.Values(row.Presets))...)
		for _, v := range row.Values {
			if v.Name == "SPLIT" { // decides how attention is dispatched
				continue
			}
			k, err := kernels.Specialize(row.Kernel, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := k.Constant(v.Name); !ok {
				t.Errorf("kernel %s has no constant %s", row.Kernel, v.Name)
			}
			for _, n := range v.Values {
				if _, err := kernels.Specialize(row.Kernel, kernels.Consts{v.Name: n}); err != nil {
					t.Error(err)
				}
			}
		}
		for _, preset := range all {
			if err := (Tuning{{row.Kernel, "any"}: preset}).Check(); err != nil {
				t.Error(err)
			}
		}
	}
}
