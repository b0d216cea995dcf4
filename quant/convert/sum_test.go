package convert

import (
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

func TestSums(t *testing.T) {
	r := &Report{Manifest: &bundle.Manifest{}}
	for _, e := range []struct {
		kind  bundle.Type
		block int
		out   int64
		err   float64
	}{{bundle.Int8, 128, 100, .2}, {bundle.Int4, 32, 60, .4}, {bundle.F16, 0, 10, 0}, {bundle.Int8, 128, 100, .3}} {
		r.Manifest.Tensors = append(r.Manifest.Tensors, bundle.Tensor{Type: e.kind, Block: e.block})
		r.Tensors = append(r.Tensors, TensorReport{Type: e.kind, Weights: 90, In: 180, Out: e.out, Error: e.err})
	}
	types := r.ByType()
	if len(types) != 3 || types[0].Stored != "int8/128" || types[0].Sum != (Sum{2, 180, 360, 200}) || types[2].Stored != "f16" {
		t.Errorf("by type: %+v", types)
	}
	if all := Total(r.Tensors); all != (Sum{4, 360, 720, 270}) || all.Bits() != 6 {
		t.Errorf("in all: %+v, %g bits", all, all.Bits())
	}
	worst := r.Worst(5)
	if len(worst) != 3 || worst[0].Error != .4 || worst[2].Error != .2 || len(r.Worst(1)) != 1 {
		t.Errorf("worst: %+v", worst)
	}
}
