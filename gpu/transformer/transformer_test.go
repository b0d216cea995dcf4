package transformer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// frequenciesOf returns the inverse frequencies of n rotated elements.
func frequenciesOf(n int) []float32 {
	f := make([]float32, n/2)
	for i := range f {
		f[i] = float32(math.Pow(10000, -2*float64(i)/float64(n)))
	}
	return f
}

// plainSpec is a small Llama of odd sizes.
func plainSpec() model.Spec {
	return model.Spec{
		Family: "test", Vocab: 211, Hidden: 72, MaxPositions: 128, EmbedScale: 1, LogitScale: 1,
		Norm: model.Norm{Kind: model.RMSNorm, Eps: 1e-5},
		RoPE: []model.RoPE{{Dim: 24, InvFreq: frequenciesOf(24), Scale: 1}},
		Kinds: []model.Layer{{
			PreNorm: true, ResidualScale: 1,
			Attention: model.Attention{Heads: 6, KVHeads: 2, HeadDim: 24, Scale: 0.2},
			MLP:       model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 100},
		}},
		Layers: []int{0, 0},
	}
}

// specs are models that between them switch on all that a Spec can say.
var specs = map[string]func(s *model.Spec){
	"plain": func(*model.Spec) {},
	"tied, biases, multipliers": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.TiedHead, s.EmbedScale, s.LogitScale, k.ResidualScale = true, 3, 0.25, 0.3
		k.Attention.QKVBias, k.Attention.OutBias, k.MLP.Bias = true, true, true
	},
	"learned positions, LayerNorm, GELU, head bias": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.Positions, s.RoPE, s.Norm, s.HeadBias = 128, nil, model.Norm{Kind: model.LayerNorm, Eps: 1e-5, Bias: true}, true
		k.Attention.RoPE, k.MLP = -1, model.MLP{Activation: model.GELU, Intermediate: 100, Bias: true}
	},
	"parallel, partial rotation, GELU by tanh": func(s *model.Spec) {
		k := &s.Kinds[0]
		s.RoPE[0] = model.RoPE{Dim: 8, InvFreq: frequenciesOf(8), Scale: 1}
		k.Parallel, k.MLP.Activation = true, model.GELUTanh
	},
	"both norms, softcaps, windows, head norms": func(s *model.Spec) {
		s.Norm.PlusOne, s.LogitSoftcap = true, 10
		k := &s.Kinds[0]
		k.PostNorm, k.Attention.Softcap, k.Attention.QKNorm = true, 5, model.QKNormHead
		local := *k
		local.Attention.Window = 7
		s.Kinds, s.Layers = append(s.Kinds, local), []int{1, 0, 1}
	},
	"post-norms alone, projection norms, ReLU": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PreNorm, k.PostNorm, k.Attention.QKNorm, k.MLP.Activation = false, true, model.QKNormProjection, model.ReLU
	},
	"chunks, interleaved, unweighted norms, temperature": func(s *model.Spec) {
		s.RoPE[0].Interleaved, s.RoPE[0].Scale = true, 1.2
		global := s.Kinds[0]
		global.Attention.RoPE, global.Attention.TemperatureScale, global.Attention.TemperatureFloor = -1, 0.1, 8
		k := &s.Kinds[0]
		k.Attention.Chunk, k.Attention.QKNorm = 9, model.QKNormUnweighted
		s.Kinds, s.Layers = append(s.Kinds, global), []int{0, 1, 0}
	},
	"experts": func(s *model.Spec) {
		m := &s.Kinds[0].MLP
		m.Experts, m.TopK, m.NormalizeTopK, m.Intermediate = 5, 2, true, 40
	},
	"experts beside dense layers, shared, weighted at the input": func(s *model.Spec) {
		dense := s.Kinds[0]
		m := &s.Kinds[0].MLP
		m.Experts, m.TopK, m.Sigmoid, m.WeightInput, m.Shared, m.Intermediate = 4, 1, true, true, 48, 36
		s.Kinds, s.Layers = append(s.Kinds, dense), []int{1, 0, 1, 0}
	},
	"experts, post-norms, softmax over all": func(s *model.Spec) {
		k := &s.Kinds[0]
		k.PostNorm = true
		k.MLP.Experts, k.MLP.TopK, k.MLP.Intermediate = 9, 3, 40
	},
}

// newModel makes up the weights of a Spec, matrices packed by turns as the given schemes say.
func newModel(t testing.TB, s model.Spec, packing ...scheme) *memory {
	m := &memory{spec: s}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, tensor := range s.Tensors() {
		tensor.Name = fmt.Sprintf("%s.%d", tensor.Role, tensor.Layer)
		p, mean, spread := scheme{bits: 16}, float32(0), float32(0.2)
		if tensor.Quantizable() {
			p, spread = packing[i%len(packing)], float32(1/math.Sqrt(float64(tensor.Cols())))
		} else if len(tensor.Shape) == 1 && !s.Norm.PlusOne {
			mean = 1
		}
		m.add(t, rng, tensor, p, mean, spread)
	}
	return m
}

// run feeds tokens in the given pieces and returns all logits.
func run(t *testing.T, f verify.Forwarder, tokens []int32, pieces ...int) []float32 {
	t.Helper()
	f.Reset()
	var all []float32
	for len(tokens) > 0 {
		n := len(tokens)
		if len(pieces) > 0 {
			n, pieces = min(n, pieces[0]), append(pieces[1:len(pieces):len(pieces)], pieces[0])
		}
		if err := f.Forward(context.Background(), tokens[:n], 0, func(_ int, l []float32) error {
			all = append(all, l...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		tokens = tokens[n:]
	}
	return all
}

// relRMS returns RMS(a−b)/RMS(b).
func relRMS(t *testing.T, a, b []float32) float64 {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d logits, want %d", len(a), len(b))
	}
	var d, n float64
	for i := range b {
		d += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		n += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d / n)
}

func testTokens(n, vocab int) []int32 {
	rng := rand.New(rand.NewPCG(3, 4))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = rng.Int32N(int32(vocab))
	}
	return ids
}

// maxRelRMS is what float32 rounding and the float16 of a cached value that falls to the other
// side may come to.
const maxRelRMS = 2e-4

// TestForward compares the logits of every kind of model with the CPU reference's, fed in one go,
// in uneven chunks and token by token.
func TestForward(t *testing.T) {
	dev := gputest.Open(t)
	for name, change := range specs {
		t.Run(name, func(t *testing.T) {
			s := plainSpec()
			change(&s)
			src := newModel(t, s, scheme{16, 0}, scheme{4, 32}, scheme{8, 64}, scheme{8, 64})
			tr, err := New(context.Background(), dev, src, Options{Chunk: 24, splitLength: 8, batch: true})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			ref, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: true})
			if err != nil {
				t.Fatal(err)
			}
			tokens := testTokens(45, s.Vocab)
			want := run(t, ref, tokens)
			for _, pieces := range [][]int{nil, {5, 17, 2, 11}, {1}} {
				if d := relRMS(t, run(t, tr, tokens, pieces...), want); !(d <= maxRelRMS) {
					t.Errorf("pieces %v: relative RMS %.2g", pieces, d)
				}
			}
		})
	}
}

// TestWrap feeds more tokens than the cache holds: the oldest fall out.
func TestWrap(t *testing.T) {
	dev := gputest.Open(t)
	src := newModel(t, plainSpec(), scheme{16, 0})
	tr, err := New(context.Background(), dev, src, Options{MaxSeqLen: 40, Chunk: 64, KVBits: 32})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := verify.NewReference(src, verify.ReferenceOptions{MaxSeqLen: 40})
	if err != nil {
		t.Fatal(err)
	}
	tokens := testTokens(120, src.spec.Vocab)
	want := run(t, ref, tokens)
	for _, pieces := range [][]int{nil, {50, 1, 30}, {1}} {
		if d := relRMS(t, run(t, tr, tokens, pieces...), want); !(d <= maxRelRMS) {
			t.Errorf("pieces %v: relative RMS %.2g", pieces, d)
		}
	}
}

// TestTrace compares the residual stream after each layer with the reference's.
func TestTrace(t *testing.T) {
	dev := gputest.Open(t)
	src := newModel(t, plainSpec(), scheme{4, 64})
	tr, err := New(context.Background(), dev, src, Options{Chunk: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := verify.NewReference(src, verify.ReferenceOptions{KVFloat16: true})
	if err != nil {
		t.Fatal(err)
	}
	hidden := func(f interface {
		verify.Forwarder
		verify.Tracer
	},
	) [][]float32 {
		layers := make([][]float32, len(src.spec.Layers)+2)
		f.SetTrace(func(layer int, h []float32) { layers[layer] = append(layers[layer], h...) })
		defer f.SetTrace(nil)
		run(t, f, testTokens(30, src.spec.Vocab))
		return layers
	}
	got, want := hidden(tr), hidden(ref)
	for i := range want {
		if d := relRMS(t, got[i], want[i]); !(d <= maxRelRMS) {
			t.Errorf("after layer %d: relative RMS %.2g", i, d)
		}
	}
}

// TestClose checks that nothing stays on the device.
func TestClose(t *testing.T) {
	dev := gputest.Open(t)
	src := newModel(t, plainSpec(), scheme{8, 32})
	for range 3 {
		tr, err := New(context.Background(), dev, src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, tr, testTokens(10, src.spec.Vocab))
		tr.Close()
	}
	if m := dev.Memory(); left(m) {
		t.Errorf("left on the device: %v", m)
	}
	small := gputest.OpenWith(t, gpu.Options{MaxBinding: 64})
	if _, err := New(context.Background(), small, src, Options{}); err == nil {
		t.Error("a device with bindings of 64 bytes took the model")
	}
	if m := small.Memory(); left(m) {
		t.Errorf("left on the device after an error: %v", m)
	}
}

// left reports whether anything of ours is on the device: the device itself keeps what Read uses.
func left(m map[string]uint64) bool {
	for purpose := range m {
		switch purpose {
		case purposeWeights, purposeKV, purposeActivations, purposeSampling, purposeLoading:
			return true
		}
	}
	return false
}

// TestLongContext checks what is said of a context that is longer than a binding, and that passes
// take fewer tokens where the activations of as many as usual are too large.
func TestLongContext(t *testing.T) {
	dev := gputest.OpenWith(t, gpu.Options{MaxBinding: 1 << 19})
	src := newModel(t, plainSpec(), scheme{8, 32})
	_, err := New(context.Background(), dev, src, Options{MaxSeqLen: 100000})
	if err == nil || !strings.Contains(err.Error(), "a context of at most 5430 positions fits") {
		t.Errorf("100000 positions: %v", err)
	}
	tr, err := New(context.Background(), dev, src, Options{MaxSeqLen: 5430, Chunk: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if len(run(t, tr, testTokens(600, src.spec.Vocab))) != 600*src.spec.Vocab {
		t.Error("logits are missing")
	}
}

// TestTooLarge checks what is said of a model that does not fit, and that what is said to be
// needed is what is then taken.
func TestTooLarge(t *testing.T) {
	dev := gputest.Open(t)
	src := newModel(t, plainSpec(), scheme{16, 0})
	tr, err := New(context.Background(), dev, src, Options{Memory: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	need, have := tr.Need(), dev.Memory()
	for _, purpose := range []string{purposeWeights, purposeKV, purposeSampling} {
		if need[purpose] != have[purpose] {
			t.Errorf("%s: %d bytes, said to be %d", purpose, have[purpose], need[purpose])
		}
	}
	total := tr.total()
	tr.Close()
	_, err = New(context.Background(), dev, src, Options{Memory: total - 1000})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "a context of at most 64 positions fits") {
		t.Errorf("1000 bytes too few: %v", err)
	}
	_, err = New(context.Background(), dev, src, Options{Memory: total / 100})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "a smaller model") {
		t.Errorf("a hundredth of the memory: %v", err)
	}
}
