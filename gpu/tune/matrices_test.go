package tune

import (
	"context"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestMatrixVariants: subgroup matrices are chosen only where they can be had and are right; asked for by name where they
// cannot, they are an error that says what is missing.
func TestMatrixVariants(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 128))
	missing := matricesRun(dev)
	k, err := NewVariants(dev, variantMatrix)
	if missing == nil {
		if err != nil {
			t.Fatal(err)
		}
		var chosen graph.Choice
		err := k.ChooseMatrices(context.Background(), src, &chosen)
		if err != nil || !chosen.Matrices[graph.Packing{Bits: 4, Block: 128}] {
			t.Errorf("asked for by name: chosen %+v, %v; %+v", chosen, err, k.Results())
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "chromium_experimental_subgroup_matrix") {
		t.Errorf("asked for by name: %v", err)
	}
	if k, err = NewVariants(dev, VariantsAuto); err != nil {
		t.Fatal(err)
	}
	var chosen graph.Choice
	if err := k.ChooseMatrices(context.Background(), src, &chosen); len(chosen.Matrices)+len(chosen.Int8) > 0 || err != nil {
		t.Errorf("chosen %+v, %v", chosen, err)
	}
}

// TestTryInt8 multiplies eight vectors and 32 by matrices of int8, emulated where the device has none.
func TestTryInt8(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	k, err := NewVariants(dev, VariantsAuto)
	if err != nil {
		t.Fatal(err)
	}
	packing := graph.Packing{Bits: 4, Block: 128}
	if s := (graph.Shape{Packing: packing, Rows: otherBytes / packing.CodeBytes(trialWidth), Width: trialWidth, Tokens: slicedTokens}); !graph.SlicesTake(s) {
		t.Errorf("%+v is not divided into slices: the trial does not reach that kernel", s)
	}
	for _, tokens := range []int{eightTokens, slicedTokens} {
		r := VariantResult{RelativeRMS: 1e-9}
		if err := k.tryInt8(context.Background(), packing, tokens, &r); err != nil || !(r.RelativeRMS > 1e-9 && r.RelativeRMS <= int8Loss) {
			t.Errorf("%d vectors: off by %g, %v: want up to %g", tokens, r.RelativeRMS, err, int8Loss)
		}
	}
}
