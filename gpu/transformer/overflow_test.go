package transformer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// loud is a model whose values of one layer are larger than float16 can hold.
func loud(t *testing.T, layer int) *modeltest.Model {
	t.Helper()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
	i := slices.IndexFunc(src.Listed, func(l model.Tensor) bool { return l.Role == model.RoleV && l.Layer == layer })
	n := len(src.Listed)
	src.Add(t, rand.New(rand.NewPCG(3, 4)), src.Listed[i], modeltest.Floats(16), 0, 1.5e4)
	src.Stored[i], src.Values[i], src.Sizes[i] = src.Stored[n], src.Values[n], src.Sizes[n]
	src.Listed, src.Packed = src.Listed[:n], src.Packed[:n]
	src.Stored, src.Values, src.Sizes = src.Stored[:n], src.Values[:n], src.Sizes[:n]
	return src
}

// Values that float16 cannot hold make logits that are not finite. The layer is found, on the device and in the reference;
// a cache of float32 holds them.
func TestKVOverflow(t *testing.T) {
	const layer = 1
	dev, src := gputest.Open(t), loud(t, layer)
	tokens := modeltest.Tokens(9, src.Spec().Vocab)
	for _, bits := range []int{16, 32} {
		tr, err := New(context.Background(), dev, src, Options{KVBits: bits, MaxSeqLen: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		ref, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: bits == 16})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = tr.Top(t.Context(), tokens)
		if errors.Is(err, sample.ErrNotFinite) != (bits == 16) {
			t.Errorf("%d bits: error %v", bits, err)
		}
		if err := ref.Forward(t.Context(), tokens, 8, func(int, []float32) error { return nil }); err != nil {
			t.Fatal(err)
		}
		want := -1
		if bits == 16 {
			want = layer
		}
		for name, f := range map[string]interface {
			KVOverflow(ctx context.Context) (int, error)
		}{"device": tr, "reference": ref} {
			if got, err := f.KVOverflow(t.Context()); err != nil || got != want {
				t.Errorf("%d bits: the %s names layer %d, error %v, want %d", bits, name, got, err, want)
			}
		}
	}
	_, err := verify.MeasureParity(t.Context(), newRef(t, src), newRef(t, src), tokens)
	if err == nil || !strings.Contains(err.Error(), "keys or values of layer 1 are larger than float16 can hold (65504)") || !strings.Contains(err.Error(), "--kv f32") {
		t.Errorf("verify says %v", err)
	}
}

func newRef(t *testing.T, src *modeltest.Model) *verify.Reference {
	t.Helper()
	r, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
