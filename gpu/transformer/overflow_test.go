package transformer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/cpu"
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

// A layer that the spec names is cached in float32, on the device and by both engines on the CPU, whatever is asked for. The
// reference says which these are.
func TestKVFloat32Layers(t *testing.T) {
	const layer = 1
	src := loud(t, layer)
	tokens := modeltest.Tokens(9, src.Spec().Vocab)
	ref := newRef(t, src)
	if err := ref.Forward(t.Context(), tokens, 8, func(int, []float32) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := ref.KVBeyondFloat16(); !slices.Equal(got, []int{layer}) {
		t.Fatalf("layers %v are beyond float16, want %d", got, layer)
	}
	src.Spec().KVFloat32 = ref.KVBeyondFloat16()
	if got := ref.KVBeyondFloat16(); len(got) != 0 {
		t.Errorf("layers %v are to be noted once more", got)
	}
	tr, err := New(t.Context(), gputest.Open(t), src, Options{MaxSeqLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	e, err := cpu.New(src, cpu.Options{KVFloat16: true, MaxSeqLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]verify.Forwarder{"the device": tr, "the CPU engine": e} {
		p, err := verify.MeasureParity(t.Context(), newRef(t, src), f, tokens)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.RelRMS > 1e-4 {
			t.Errorf("%s: logits are off by a relative RMS of %g", name, p.RelRMS)
		}
	}
	if got, err := tr.KVOverflow(t.Context()); err != nil || got != -1 {
		t.Errorf("layer %d overflows, error %v", got, err)
	}
	if a, b := tr.graph.Cache(0), tr.graph.Cache(layer); a.Bits != 16 || b.Bits != 32 || b.K.Size() != 2*a.K.Size() {
		t.Errorf("caches of %d and %d bits, %d and %d bytes", a.Bits, b.Bits, a.K.Size(), b.K.Size())
	}
}

// newRef is the CPU reference with a cache of float16.
func newRef(t *testing.T, src *modeltest.Model) *verify.Reference {
	t.Helper()
	r, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
