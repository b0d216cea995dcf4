package convert

import (
	"math/rand/v2"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// The matrix that is rounded to know how fast that is has so many columns, and so many rows are rounded at a time.
const (
	sampleCols  = 512
	sampleBatch = quant.RowsAtATime
)

// estimateGPTQ reports how long the rounding of all matrices of the method GPTQ will take on the CPU: for
// n columns, that of a row takes n² and what comes before n³ steps. What the GPU does comes on top.
func (p *plan) estimateGPTQ() (time.Duration, error) {
	steps := map[block.Scheme]float64{} // n² for each row
	var cubes float64
	for i := range p.tensors {
		e := &p.tensors[i]
		if e.Method != string(GPTQ) {
			continue
		}
		rows, cols := float64(e.Model().Rows()), float64(e.Model().Cols())
		steps[e.Scheme()] += rows * cols * cols
		switch {
		case stacked(e):
			cubes += float64(e.Shape[0]) * cols * cols * cols
		case i == 0 || !sameInputs(e, &p.tensors[i-1]):
			cubes += cols * cols * cols
		}
	}
	var sum time.Duration
	for s, n := range steps {
		row, before, err := roundSample(s, p.opts.rounds())
		if err != nil {
			return 0, err
		}
		const square, cube = sampleCols * sampleCols, sampleCols * sampleCols * sampleCols
		sum += time.Duration(n / square / float64(p.opts.Threads) * float64(row))
		sum += time.Duration(cubes / cube / float64(len(steps)) * float64(before))
	}
	return sum, nil
}

// roundSample rounds random rows and returns what one takes, and what the feedback takes.
func roundSample(s block.Scheme, rounds int) (row, before time.Duration, err error) {
	rng := rand.New(rand.NewPCG(1, 1))
	w, out := make([]float32, sampleBatch*sampleCols), make([]byte, sampleBatch*s.RowBytes(sampleCols))
	h := make([]float32, sampleCols*sampleCols)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	for i := range sampleCols {
		h[i*sampleCols+i] = 1
		for j := range i {
			h[i*sampleCols+j] = float32(rng.NormFloat64()) / sampleCols
		}
	}
	begun := time.Now()
	f, err := quant.NewFeedback(h, sampleCols, damping)
	if err != nil {
		return 0, 0, err
	}
	before = time.Since(begun)
	r, err := quant.NewRounder(f, s, quant.Options{}, rounds)
	n := time.Duration(0)
	for begun = time.Now(); err == nil && (n == 0 || time.Since(begun) < sample); n += sampleBatch {
		_, err = r.Rows(out, w)
	}
	return time.Since(begun) / max(n, 1), before, err
}

// CalibrationNeed estimates what calibration takes in addition to rounding.
type CalibrationNeed struct {
	Tokens     int     `json:"tokens"`
	Disk       int64   `json:"disk_bytes"`        // of the GPU's memory as well, or of temporary files if it is much
	GPU        int64   `json:"gpu_bytes"`         // a layer of float32, and sums
	Operations float64 `json:"operations"`        // multiplications and additions
	Seconds    float64 `json:"seconds,omitempty"` // that they take on the CPU, about; 0: a GPU does them
}

// LookCalibration estimates what calibration with this number of tokens takes; with exact, the float
// model runs alongside. Sums of several experts are made at once as long as they take no more than
// sumBytes.
func LookCalibration(src model.Weights, tokens int, exact bool, sumBytes int64) CalibrationNeed {
	n := CalibrationNeed{Tokens: tokens}
	tracks := int64(1)
	if exact {
		tracks = 2
	}
	s := src.Spec()
	layers := make([]int64, len(s.Layers))
	var heads int
	var sums int64
	var before model.Tensor
	for _, t := range src.Tensors() {
		if t.Layer == model.NoLayer || !t.Quantizable() {
			continue
		}
		counted := t.SharesInputs(before) // the sums over these inputs
		before = t
		rows, cols := int64(t.Rows()), int64(t.Cols())
		layers[t.Layer] += rows * cols
		experts, times := int64(1), int64(tokens) // that an expert's matrix, or the only one, is multiplied
		if len(t.Shape) == 3 {
			experts = int64(t.Shape[0])
			times *= int64(s.Layer(t.Layer).MLP.TopK)
			rows /= experts
		}
		n.Operations += 2 * float64(tracks*times) * float64(rows*cols)
		if counted {
			continue
		}
		if t.Role == model.RoleO {
			heads = max(heads, t.Cols())
		}
		all := cols * cols * tracks // inputs, and the gap
		if exact && (t.Role == model.RoleO || t.Role == model.RoleDown || t.Role == model.RoleSharedDown) {
			all += rows * cols
		}
		sums = max(sums, all, min(experts*all, sumBytes/4))
		n.Operations += 2 * float64(times) * float64(all)
	}
	for _, weights := range layers {
		n.GPU = max(n.GPU, 4*tracks*weights)
	}
	n.GPU += 4 * sums
	n.Disk = 4 * tracks * int64(tokens) * int64(2*s.Hidden+heads)
	return n
}
