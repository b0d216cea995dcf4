package auto

import (
	"context"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestJudge checks that a matrix of fewer bits drifts further, and that the sums over inputs come along.
func TestJudge(t *testing.T) {
	src, err := openCheckpoint("../../testdata/families/llama", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	windows := make([][]int32, 6)
	for w := range windows {
		for i := range 24 {
			windows[w] = append(windows[w], int32((w*131+i*37)%src.Weights.Spec().Vocab))
		}
	}
	ctx := context.Background()
	j, err := newJudge(ctx, src, gputest.Open(t), windows)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if len(j.windows) != driftWindows || &j.windows[1][0] != &windows[1][0] || &j.windows[2][0] != &windows[3][0] {
		t.Errorf("the windows for drift are not from all over the text")
	}
	const q = 2 // embedding, norm, q
	tensor := src.Weights.Tensors()[q]
	drifts := map[int]float64{}
	for _, bits := range []int{8, 2} {
		s := block.Scheme{Bits: bits, Block: 64}
		e, err := quant.NewEncoder(s, quant.Options{Method: quant.RTN})
		if err != nil {
			t.Fatal(err)
		}
		row, size := make([]float32, tensor.Cols()), s.RowBytes(tensor.Cols())
		blocks := make([]byte, size*tensor.Rows())
		for r := range tensor.Rows() {
			if err := src.Weights.Rows(q, r, 1, row); err != nil {
				t.Fatal(err)
			}
			if err := e.Row(blocks[r*size:(r+1)*size], row); err != nil {
				t.Fatal(err)
			}
		}
		if drifts[bits], err = j.Drift(ctx, q, s, blocks); err != nil {
			t.Fatal(err)
		}
	}
	if !(drifts[8] > 0 && drifts[2] > 100*drifts[8]) {
		t.Errorf("drift of %s with 8 bits %.3g, with 2 bits %.3g", tensor.Name, drifts[8], drifts[2])
	}
	if d, err := verify.MeasureDrift(ctx, j.recording.Play(), j.model, j.windows, nil); err != nil || d.MeanKLD != 0 {
		t.Errorf("afterwards the model is not the float model: %+v, %v", d, err)
	}
	sums, err := j.Sums(ctx, q)
	if err != nil || len(sums.Inputs) != tensor.Cols()*tensor.Cols() || sums.Tokens != 6*24 || sums.Gap != nil {
		t.Errorf("sums of %s: %v, %+v", tensor.Name, err, sums)
	}
}
