package auto

import (
	"context"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// TestMeasurers checks on the GPU and on the CPU that a matrix of fewer bits drifts further, that nothing is left of
// one measurement in the next, and that the sums over inputs come along; and that both measure the same.
func TestMeasurers(t *testing.T) {
	for _, family := range []string{"llama", "qwen3_moe"} {
		drifts := map[string]float64{}
		for where, dev := range map[string]*gpu.Device{"GPU": gputest.Open(t), "CPU": nil} {
			t.Run(family+" on the "+where, func(t *testing.T) { drifts[where] = measureDrifts(t, family, dev) })
		}
		if a, b := drifts["GPU"], drifts["CPU"]; !(math.Abs(a-b) < 0.05*a) {
			t.Errorf("%s: drift on the GPU %.3g, on the CPU %.3g", family, a, b)
		}
	}
}

const windowTokens = 24

// measureDrifts returns the drift of a model with the queries' matrix of its first layer in two bits.
func measureDrifts(t *testing.T, family string, dev *gpu.Device) float64 {
	src, err := openCheckpoint(fixture.Family(t, family), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	windows := make([][]int32, 6)
	for w := range windows {
		for i := range windowTokens {
			windows[w] = append(windows[w], int32((w*131+i*37)%src.Weights.Spec().Vocab))
		}
	}
	ctx := context.Background()
	j, err := newMeasurer(ctx, src, dev, windows, extent{4, windowTokens - 4})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	drift := func(i, bits int) float64 {
		s := block.Scheme{Bits: bits, Block: 64}
		d, err := j.Drift(ctx, i, s, encoded(t, src.Weights, i, s))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for i, tensor := range src.Weights.Tensors() {
		if tensor.Layer != 0 || tensor.Role != model.RoleQ && tensor.Role != model.RoleDown {
			continue
		}
		eight, two := drift(i, 8), drift(i, 2)
		if !(eight > 0 && two > 30*eight) {
			t.Errorf("drift of %s with 8 bits %.3g, with 2 bits %.3g", tensor.Name, eight, two)
		}
		if again := drift(i, 8); again != eight {
			t.Errorf("drift of %s: first %v, then %v", tensor.Name, eight, again)
		}
		get := j.Sums
		if len(tensor.Shape) == 3 {
			get = func(ctx context.Context, i int) (*quant.Sums, error) { return j.ExpertSums(ctx, i, 0) }
		}
		sums, err := get(ctx, i)
		if err != nil || len(sums.Inputs) != tensor.Cols()*tensor.Cols() || tensor.Role == model.RoleQ && sums.Tokens != 6*windowTokens || sums.Gap != nil {
			t.Errorf("sums of %s: %v, %+v", tensor.Name, err, sums)
		}
		if tensor.Role == model.RoleDown {
			return two
		}
	}
	t.Fatal("no matrices")
	return 0
}

// encoded returns matrix i in a scheme.
func encoded(t *testing.T, w model.Weights, i int, s block.Scheme) []byte {
	t.Helper()
	tensor := w.Tensors()[i]
	e, err := quant.NewEncoder(s, quant.Options{Method: quant.RTN})
	if err != nil {
		t.Fatal(err)
	}
	row, size := make([]float32, tensor.Cols()), s.RowBytes(tensor.Cols())
	blocks := make([]byte, size*tensor.Rows())
	for r := range tensor.Rows() {
		if err := w.Rows(i, r, 1, row); err != nil {
			t.Fatal(err)
		}
		if err := e.Row(blocks[r*size:(r+1)*size], row); err != nil {
			t.Fatal(err)
		}
	}
	return blocks
}

// TestSpread checks that some windows are from all over the text.
func TestSpread(t *testing.T) {
	windows := [][]int32{{0}, {1}, {2}, {3}, {4}, {5}}
	if some := spread(windows, 4); len(some) != 4 || some[1][0] != 1 || some[2][0] != 3 || some[3][0] != 4 {
		t.Errorf("%v", some)
	}
}
