package graph

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestMatrixProducts records products by subgroup matrices: of the packings chosen, for many vectors, where there is memory
// for them; their vectors are split once for all parts of a matrix. What they compute is tested in package kernels.
func TestMatrixProducts(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels") // constants are taken where the device runs the kernel
	without := []string{"matmul", "matmul"}                             // few vectors, without subgroup matrices
	if !dev.OnCPU() {
		without = slices.Repeat([]string{"matvec_batch"}, 8) // parts of the matrix × vectors in eights
	}
	int4 := Packing{Bits: 4, Block: 32}
	chosen := Choice{Matrices: map[Packing]bool{int4: true}}
	for _, c := range []struct {
		name          string
		choice        Choice
		width, tokens int
		reserve       bool
		want          []string
		x, y          int // workgroups of the last
	}{
		{"many", chosen, 96, 300, true, []string{"split", MatrixKernel, MatrixKernel}, 5, 2},
		{"few", chosen, 96, 31, true, without, 0, 0},
		{"few, of int8", Choice{Matrices: chosen.Matrices, Int8: chosen.Matrices}, 256, 31, true, []string{"split_int8", Int8Kernel, Int8Kernel}, 0, 0},
		{"of int8, no memory", Choice{Matrices: chosen.Matrices, Int8: chosen.Matrices}, 256, 31, false, without, 0, 0},
		{"more than int8 takes", Choice{Matrices: chosen.Matrices, Int8: chosen.Matrices}, 256, 48, true, []string{"split_panels", FewKernel, FewKernel}, 0, 0},
		{"another packing", Choice{Matrices: map[Packing]bool{{Bits: 8, Block: 32}: true}}, 96, 300, true, []string{"matmul", "matmul"}, 0, 0},
		{"no memory", chosen, 96, 300, false, []string{"matmul", "matmul"}, 0, 0},
		{"tuned", Choice{Matrices: chosen.Matrices, Tuning: Tuning{
			{MatrixKernel, Shape{int4, 130, 96, 300}.Class()}: {"HIGH": 1, "WIDE": 2, "DOWN": 2, "ACROSS": 1, "BUFFERS": 1, "DEPTH": 32},
		}}, 96, 300, true, []string{"split", MatrixKernel, MatrixKernel}, 10, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			pass := recordMatrices(t, Shape{int4, 260, c.width, c.tokens}, c.choice, c.reserve)
			var names []string
			for _, d := range pass.Dispatches {
				names = append(names, d.Kernel.Name)
			}
			if !slices.Equal(names, c.want) {
				t.Fatalf("recorded %q, want %q", names, c.want)
			}
			last := pass.Dispatches[len(names)-1]
			if c.x > 0 && (last.X != c.x || last.Y != c.y) {
				t.Errorf("%d × %d workgroups, want %d × %d", last.X, last.Y, c.x, c.y)
			}
			if flops := pass.Dispatches[len(names)-2].Cost.FLOPs; flops != 2*130*uint64(c.width)*uint64(c.tokens) {
				t.Errorf("a product of %d FLOPs", flops)
			}
		})
	}
}

// recordMatrices records the product with a matrix that lies in two parts.
func recordMatrices(t *testing.T, s Shape, c Choice, reserve bool) *Pass {
	t.Helper()
	return recordProduct(t, s, c, func(k *Kit) {
		if reserve {
			k.ReserveHalves(s.Tokens, s.Tokens*s.Cols(s.Width))
		}
	})
}

func recordProduct(t *testing.T, s Shape, c Choice, reserve func(k *Kit), second ...Packing) *Pass {
	t.Helper()
	dev := gputest.Open(t)
	src, limit, tensors := &modeltest.Model{}, uint64(s.Rows/2*s.CodeBytes(s.Width)), []int(nil)
	for i, p := range append([]Packing{s.Packing}, second...) {
		src.Add(t, rand.New(rand.NewPCG(1, 2)), model.Tensor{Name: fmt.Sprint(i), Shape: []int{s.Rows / (1 + len(second)), s.Width}}, block.Packing(p), 0, 0)
		limit, tensors = max(limit, uint64(s.Rows/2*p.CodeBytes(s.Width))), append(tensors, i)
	}
	w, m, err := PlanMatrix(dev, src, limit, Choice{}, tensors...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a := arena.New(dev)
	defer a.Close()
	kit := NewKit(dev, a, c)
	reserve(kit)
	vectors := func(n int) Vectors {
		return Vectors{Buffer: a.Reserve("test", 4*s.Tokens*Stride(n), gpu.Storage), Stride: Stride(n)}
	}
	in, out := vectors(s.Width), vectors(s.Rows)
	if err := a.Allocate(); err != nil {
		t.Fatal(err)
	}
	r := kit.Recorder("test", s.Tokens)
	r.Product(&Product{Matrix: m, In: in, Out: out, Epilogue: Epilogue{Scale: 1}})
	pass, err := r.Pass()
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

// TestMatrixLayer records a layer of many tokens: split normalizes what only one product reads, and the product with gate and up
// makes the activation.
func TestMatrixLayer(t *testing.T) {
	g := newGraphWith(t, gputest.Open(t), modeltest.PlainSpec(), Choice{Matrices: map[Packing]bool{{Bits: 4, Block: 32}: true}})
	for n, want := range map[int][]string{
		40: {"split, norm", MatrixKernel, "rope", "attention", "split", MatrixKernel, "split, norm", MatrixKernel, "split_panels", FewKernel},
		80: {"split, norm", MatrixKernel, "rope", "attention", "split", MatrixKernel, "split, norm", MatrixKernel, "split", MatrixKernel},
	} {
		body, err := g.Body(n, 1, InOrder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range body.Passes[1].Dispatches {
			name := d.Kernel.Name
			if norm, _ := d.Kernel.Constant("NORM"); norm == 1 && strings.HasPrefix(name, "split") {
				name += ", norm"
			}
			names = append(names, name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%d tokens: recorded %q, want %q", n, names, want)
		}
	}
}

// TestInt8Head records the head of a few tokens: what splits its vectors normalizes them, if the norm is one that it knows.
func TestInt8Head(t *testing.T) {
	int4 := map[Packing]bool{{Bits: 4, Block: 32}: true}
	for kind, want := range map[model.NormKind][]string{
		model.RMSNorm:   {"split_int8", Int8Kernel},
		model.LayerNorm: {"norm", "split_int8", Int8Kernel},
	} {
		s := modeltest.PlainSpec()
		s.Hidden, s.Norm.Kind = 128, kind
		g := newGraphWith(t, gputest.Open(t), s, Choice{Matrices: int4, Int8: int4})
		head, err := g.Head(6, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range head.Dispatches {
			names = append(names, d.Kernel.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%v: recorded %q, want %q", kind, names, want)
		}
		if norm, _ := head.Dispatches[0].Kernel.Constant("NORM"); kind == model.RMSNorm && norm != 1 {
			t.Errorf("vectors are not normalized")
		}
	}
}

// TestMatrixExperts records a layer with experts: gate and up read the same vectors, which are split once; down's are those of
// the choices, for which there is memory.
func TestMatrixExperts(t *testing.T) {
	s := modeltest.PlainSpec()
	s.Kinds[0].MLP.Experts, s.Kinds[0].MLP.TopK, s.Kinds[0].MLP.NormalizeTopK = 4, 3, true
	g := newGraphWith(t, gputest.Open(t), s, Choice{Matrices: map[Packing]bool{{Bits: 4, Block: 32}: true}})
	body, err := g.Body(40, 1, InOrder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range body.Passes[1].Dispatches {
		switch name := d.Kernel.Name; name {
		case "split":
			names = append(names, fmt.Sprint("split ", d.X))
		case MatrixKernel, expertMatrixKernel:
			if fine, _ := d.Kernel.Constant("FINE"); fine == 1 {
				name += ", fine"
			}
			names = append(names, name)
		}
	}
	want := []string{
		"split 40", MatrixKernel + ", fine", "split 40", MatrixKernel, // q, k, v; o
		"split 40", expertMatrixKernel, expertMatrixKernel, "split 120", expertMatrixKernel,
	}
	if !slices.Equal(names, want) {
		t.Errorf("recorded %q, want %q", names, want)
	}
	inner := Packing{Bits: 4, Block: 32}.Cols(s.Kinds[0].MLP.Intermediate)
	if have := g.halves.both.Size(); have < uint64(4*120*inner) {
		t.Errorf("%d bytes for 120 vectors of %d elements", have, inner)
	}
}
