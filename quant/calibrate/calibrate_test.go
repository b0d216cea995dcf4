package calibrate

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// TestWaiting checks on layers of all kinds that windows that wait within a layer while its matrices are handed over give
// the same sums, bit by bit, as windows that begin the layer anew for each matrix.
func TestWaiting(t *testing.T) {
	for _, family := range []string{"llama", "gpt2", "gemma2", "gpt_neox", "falcon", "qwen3_moe", "llama4"} {
		t.Run(family, func(t *testing.T) {
			w, err := hf.Open(fixture.Family(t, family))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			windows := [][]int32{make([]int32, 40), make([]int32, 27), make([]int32, 33)}
			for i, tokens := range windows {
				for k := range tokens {
					tokens[k] = int32((k*k*31 + 7*k*i + 3) % w.Spec().Vocab)
				}
			}
			wait, anew := start(t, w, windows), start(t, w, windows)
			anew.quantized.kept, anew.float.kept = 1, 0
			for i, tensor := range w.Tensors() {
				if tensor.Layer != model.NoLayer && tensor.Quantizable() {
					for e := range max(1, wait.experts(tensor)) {
						compare(t, tensor.Name, sumsOf(t, wait, i, e), sumsOf(t, anew, i, e))
					}
				}
				for _, c := range []*Calibrator{wait, anew} {
					handOver(t, c, w, i)
				}
			}
		})
	}
}

func start(t *testing.T, w model.Weights, windows [][]int32) *Calibrator {
	t.Helper()
	c, err := New(w, windows, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if c.quantized.kept != len(windows) {
		t.Fatalf("%d windows wait, want all", c.quantized.kept)
	}
	return c
}

func sumsOf(t *testing.T, c *Calibrator, i, e int) *quant.Sums {
	t.Helper()
	get := func() (*quant.Sums, error) { return c.Sums(t.Context(), i) }
	if c.experts(c.src.Tensors()[i]) > 0 {
		get = func() (*quant.Sums, error) { return c.ExpertSums(t.Context(), i, e) }
	}
	s, err := get()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compare(t *testing.T, name string, a, b *quant.Sums) {
	t.Helper()
	if a.Tokens != b.Tokens || !slices.Equal(a.Inputs, b.Inputs) || !slices.Equal(a.Gap, b.Gap) || !slices.Equal(a.Debt, b.Debt) {
		t.Fatalf("%s: the sums differ", name)
	}
}

// handOver hands over tensor i in four bits, or as it is.
func handOver(t *testing.T, c *Calibrator, w model.Weights, i int) {
	t.Helper()
	tensor := w.Tensors()[i]
	cols := tensor.Cols()
	rows := make([]float32, tensor.Rows()*cols)
	if err := w.Rows(i, 0, tensor.Rows(), rows); err != nil {
		t.Fatal(err)
	}
	if !tensor.Quantizable() {
		out := make([]byte, 2*len(rows))
		block.Float16s(out, rows)
		c.Set(i, 16, 0, 0, out)
		return
	}
	s := block.Scheme{Bits: 4, Block: 32}
	c.Set(i, s.Bits, s.Block, 0, inBlocks(t, w, i, s))
}
