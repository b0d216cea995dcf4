package calibrate

import (
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestJudge compares drifts with those of whole models, on windows that are fed in several parts, and of models whose layers
// read more than the residual stream.
func TestJudge(t *testing.T) {
	for name, tokens := range map[string]int{"llama": 700, "gemma3n": 60, "gemma4_inputs": 60} {
		t.Run(name, func(t *testing.T) { testJudge(t, name, tokens) })
	}
}

func testJudge(t *testing.T, name string, n int) {
	w, err := hf.Open(fixture.Family(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	windows := [][]int32{make([]int32, n), make([]int32, n)}
	for i, tokens := range windows {
		for k := range tokens {
			tokens[k] = int32((k*k*31 + 7*k*i + 3) % w.Spec().Vocab)
		}
	}
	j, err := NewJudge(t.Context(), w, windows[:1], windows)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s := block.Scheme{Bits: 2, Block: 32}
	for i, tensor := range w.Tensors() {
		if tensor.Role != model.RoleDown {
			continue
		}
		blocks := inBlocks(t, w, i, s)
		got, err := j.Drift(t.Context(), i, s, blocks)
		if err != nil {
			t.Fatal(err)
		}
		var refs [2]*cpu.Engine
		for k, m := range []model.Weights{w, &replacing{w, i, s, blocks}} {
			if refs[k], err = cpu.New(m, cpu.Options{MaxSeqLen: n}); err != nil {
				t.Fatal(err)
			}
		}
		want, err := verify.MeasureDrift(t.Context(), refs[0], refs[1], windows, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !(want.MeanKLD > 0) || math.Abs(got-want.MeanKLD) > 1e-3*want.MeanKLD {
			t.Errorf("%s: drift %v, want %v", tensor.Name, got, want.MeanKLD)
		}
	}
}

// inBlocks returns matrix i in a scheme.
func inBlocks(t *testing.T, w model.Weights, i int, s block.Scheme) []byte {
	t.Helper()
	tensor := w.Tensors()[i]
	cols, size := tensor.Cols(), s.RowBytes(tensor.Cols())
	rows := make([]float32, tensor.Rows()*cols)
	if err := w.Rows(i, 0, tensor.Rows(), rows); err != nil {
		t.Fatal(err)
	}
	e, err := quant.NewEncoder(s, quant.Options{Method: quant.RTN})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, tensor.Rows()*size)
	for r := range tensor.Rows() {
		if err := e.Row(out[r*size:(r+1)*size], rows[r*cols:(r+1)*cols]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
