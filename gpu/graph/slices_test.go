package graph

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// TestSlicing divides the products of models for 32 vectors.
func TestSlicing(t *testing.T) {
	for _, c := range []struct {
		bits, block, rows, width, tokens int
		loose                            bool
		want                             slicing
	}{
		{4, 128, 28672, 4096, 32, false, slicing{7, 1}}, // 256 workgroups of the 264 that run at a time
		{4, 128, 4096, 14336, 32, false, slicing{7, 7}},
		{4, 128, 4096, 14336, 32, true, slicing{7, 7}},
		{4, 128, 6144, 4096, 32, false, slicing{6, 4}},
		{4, 128, 6144, 4096, 32, true, slicing{6, 4}},
		{4, 128, 4096, 4096, 32, false, slicing{}}, // a dispatch that adds up parts would take longer than they save
		{4, 128, 4096, 4096, 32, true, slicing{4, 4}},
		{4, 128, 28672, 4096, 16, false, slicing{}},
		{4, 128, 28672, 4096, 33, false, slicing{}},
		{4, 64, 28672, 4096, 32, false, slicing{}},
		{4, 256, 28672, 4096, 17, false, slicing{}},
		{4, 128, 28672, 4224, 32, false, slicing{}},
		{8, 128, 28672, 4096, 32, false, slicing{}},
	} {
		s := Shape{Packing{Bits: c.bits, Block: c.block}, c.rows, c.width, c.tokens}
		if got := slicingOf(s, c.loose); got != c.want || !c.loose && SlicesTake(s) != (c.want.panels > 0) {
			t.Errorf("%+v, loose: %v: divided as %+v, want %+v", s, c.loose, got, c.want)
		}
	}
}

// TestSlicesProduct records products in parts of the columns, or of another kernel if there is no memory for parts.
func TestSlicesProduct(t *testing.T) {
	gputest.SubstituteMatrices(t, gputest.Open(t).Features().Runs, "../../kernels")
	packings := map[Packing]bool{{Bits: 4, Block: 128}: true}
	s := Shape{Packing{Bits: 4, Block: 128}, 260, 4096, 31}
	for _, c := range []struct {
		rows int // that parts are reserved for, of a matrix in two parts
		want []string
	}{
		{130, []string{"split_int8", SlicesKernel, joinKernel, SlicesKernel, joinKernel}},
		{16, []string{"split_int8", Int8Kernel, Int8Kernel}},
	} {
		pass := recordProduct(t, s, Choice{Matrices: packings, Int8: packings}, func(k *Kit) {
			k.ReserveHalves(s.Tokens, s.Tokens*s.Cols(s.Width))
			k.ReserveParts(Shape{s.Packing, c.rows, s.Width, s.Tokens})
		})
		var names []string
		for _, d := range pass.Dispatches {
			names = append(names, d.Kernel.Name)
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("memory for %d rows: recorded %q, want %q", c.rows, names, c.want)
		}
	}
}

// TestSlicesBeforeGroups: parts of a product are added up for all vectors, also before one that is made in groups of a few of them.
func TestSlicesBeforeGroups(t *testing.T) {
	gputest.SubstituteMatrices(t, gputest.Open(t).Features().Runs, "../../kernels")
	s := Shape{Packing{Bits: 4, Block: 128}, 260, 4096, 31}
	packings := map[Packing]bool{s.Packing: true}
	pass := recordProduct(t, s, Choice{Matrices: packings, Int8: packings, Batch: true}, func(k *Kit) {
		k.ReserveHalves(s.Tokens, s.Tokens*s.Cols(s.Width))
		k.ReserveParts(Shape{s.Packing, 130, s.Width, s.Tokens})
	}, Packing{Bits: 16})
	var names []string
	for _, d := range pass.Dispatches {
		names = append(names, d.Kernel.Name)
		if wide, _ := d.Kernel.Constant("WIDE"); d.Kernel.Name == joinKernel && (d.Y != s.Tokens || wide != 2) {
			t.Errorf("parts of %d vectors in %d panels are added up, want %d in 2", d.Y, wide, s.Tokens)
		}
	}
	if want := []string{"split_int8", SlicesKernel, joinKernel, "matvec_batch", "matvec_batch", "matvec_batch", "matvec_batch"}; !slices.Equal(names, want) {
		t.Errorf("recorded %q, want %q", names, want)
	}
}

// TestTapAddends: the inputs that a tap is handed are added up.
func TestTapAddends(t *testing.T) {
	dev := gputest.Open(t)
	a := arena.New(dev)
	defer a.Close()
	kit, m := NewKit(dev, a, Choice{}), &Matrix{}
	kit.halves.parts = a.Reserve("test", 4*2*32*64, gpu.Storage)
	out := Vectors{Buffer: a.Reserve("test", 4*20*64, gpu.Storage), Stride: 64}
	if err := a.Allocate(); err != nil {
		t.Fatal(err)
	}
	r, e := kit.Recorder("test", 20), &end{m: m}
	r.tap = e
	r.owe(&Product{Out: out}, &Part{Packing: slicedPacking, Rows: 64, Width: 512}, 2, r.Tokens())
	r.plain(m, nil, out, out, 1)
	pass, err := r.Pass()
	if err != nil {
		t.Fatal(err)
	}
	if e.at != 1 || len(pass.Dispatches) != 1 || pass.Dispatches[0].Kernel.Name != joinKernel {
		t.Errorf("the tap was handed inputs after %d dispatches of %+v", e.at, pass.Dispatches)
	}
}
