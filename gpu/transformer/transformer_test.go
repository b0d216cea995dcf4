package transformer

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestForward compares the logits of every kind of model with the CPU reference's, fed in one go,
// in uneven chunks and token by token.
func TestForward(t *testing.T) {
	dev := gputest.Open(t)
	for name, change := range modeltest.Specs {
		t.Run(name, func(t *testing.T) {
			s := modeltest.PlainSpec()
			change(&s)
			src := modeltest.New(t, s, modeltest.Floats(16), modeltest.Blocks(4, 32), modeltest.Blocks(8, 64), modeltest.Blocks(8, 64))
			tr, err := New(context.Background(), dev, src, Options{Chunk: 24, Kernels: graph.Choice{Split: 8, Batch: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			tokens := modeltest.Tokens(45, s.Vocab)
			want := modeltest.Run(t, newRef(t, src), tokens)
			inPieces(t, tr, tokens, want, modeltest.MaxRelRMS, nil, []int{5, 17, 2, 11}, []int{1})
		})
	}
}

// inPieces feeds tokens in pieces of each of these lengths, and compares the logits with the ones wanted, which may differ by a
// relative RMS of most.
func inPieces(t *testing.T, tr *Transformer, tokens []int32, want []float32, most float64, lengths ...[]int) {
	t.Helper()
	for _, pieces := range lengths {
		if d := modeltest.RelRMS(t, modeltest.Run(t, tr, tokens, pieces...), want); !(d <= most) {
			t.Errorf("pieces %v: relative RMS %.2g", pieces, d)
		}
	}
}

// TestWrap feeds more tokens than the cache holds: the oldest fall out.
func TestWrap(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
	tr, err := New(context.Background(), dev, src, Options{MaxSeqLen: 40, Chunk: 64, KVBits: 32})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := verify.NewReference(src, verify.ReferenceOptions{MaxSeqLen: 40})
	if err != nil {
		t.Fatal(err)
	}
	tokens := modeltest.Tokens(120, src.Described.Vocab)
	want := modeltest.Run(t, ref, tokens)
	inPieces(t, tr, tokens, want, modeltest.MaxRelRMS, nil, []int{50, 1, 30}, []int{1})
}

// TestTrace compares the residual stream after each layer with the reference's.
func TestTrace(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 64))
	tr, err := New(context.Background(), dev, src, Options{Chunk: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	hidden := func(f interface {
		verify.Forwarder
		verify.Tracer
	},
	) [][]float32 {
		layers := make([][]float32, len(src.Described.Layers)+2)
		f.SetTrace(func(layer int, h []float32) { layers[layer] = append(layers[layer], h...) })
		defer f.SetTrace(nil)
		modeltest.Run(t, f, modeltest.Tokens(30, src.Described.Vocab))
		return layers
	}
	got, want := hidden(tr), hidden(newRef(t, src))
	for i := range want {
		if d := modeltest.RelRMS(t, got[i], want[i]); !(d <= modeltest.MaxRelRMS) {
			t.Errorf("after layer %d: relative RMS %.2g", i, d)
		}
	}
}

// TestClose checks that nothing stays on the device.
func TestClose(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 32))
	for range 3 {
		tr, err := New(context.Background(), dev, src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		modeltest.Run(t, tr, modeltest.Tokens(10, src.Described.Vocab))
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
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 32))
	_, err := New(context.Background(), dev, src, Options{MaxSeqLen: 100000})
	if err == nil || !strings.Contains(err.Error(), "a context of at most 5430 positions fits") {
		t.Errorf("100000 positions: %v", err)
	}
	tr, err := New(context.Background(), dev, src, Options{MaxSeqLen: 5430, Chunk: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if len(modeltest.Run(t, tr, modeltest.Tokens(600, src.Described.Vocab))) != 600*src.Described.Vocab {
		t.Error("logits are missing")
	}
}

// TestTooLarge checks what is said of a model that does not fit, and that what is said to be
// needed is what is then taken.
func TestTooLarge(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
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
