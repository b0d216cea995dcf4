package calibrate

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestGram compares the sums over the inputs of every kind of matrix with what the CPU reference's
// residual streams say: of q, k and v the normalized stream itself, of o, and of down, that the
// layer changes the stream by their product with it, if the other branch adds nothing.
func TestGram(t *testing.T) {
	for _, limit := range []uint64{0, 1 << 19} {
		dev := gputest.OpenWith(t, gpu.Options{MaxBinding: limit})
		for _, quiet := range []model.Role{model.RoleO, model.RoleDown} {
			for _, parallel := range []bool{false, true} {
				testGram(t, dev, quiet, parallel)
			}
		}
	}
}

func testGram(t *testing.T, dev *gpu.Device, quiet model.Role, parallel bool) {
	spec := modeltest.PlainSpec()
	spec.Kinds[0].MLP.Intermediate = 370 // the sums are larger than the smaller binding
	spec.Kinds[0].Parallel = parallel
	src := modeltest.New(t, spec, modeltest.Floats(32))
	for i, tensor := range src.Listed {
		if tensor.Role == quiet {
			clear(src.Values[i])
			clear(src.Stored[i])
		}
	}
	windows := [][]int32{modeltest.Tokens(40, spec.Vocab), modeltest.Tokens(70, spec.Vocab)[40:], modeltest.Tokens(75, spec.Vocab)[70:]}
	hidden := streams(t, src, windows)
	c, err := New(t.Context(), dev, src, windows, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	for i, tensor := range src.Listed {
		switch {
		case tensor.Role == model.RoleQ:
			sums, err := c.Sums(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			norm := src.Values[i-1]
			x := normalized(hidden[tensor.Layer], norm, spec.Norm.Eps)
			compareSums(t, "q", sums.Inputs, firstCounts(x, windows), x, spec.Hidden, true)
		case tensor.Role == model.RoleGate: // what follows begins where this ends
			sums, err := c.Sums(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			if quiet == model.RoleO { // attention adds nothing
				compareGram(t, "gate", sums.Inputs, normalized(hidden[tensor.Layer], src.Values[i-1], spec.Norm.Eps), spec.Hidden)
			}
		case (tensor.Role == model.RoleO || tensor.Role == model.RoleDown) && tensor.Role != quiet:
			sums, err := c.Sums(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			product := sandwich(src.Values[i], sums.Inputs, tensor.Rows(), tensor.Cols())
			change := make([]float32, len(hidden[0]))
			for k := range change {
				change[k] = hidden[tensor.Layer+1][k] - hidden[tensor.Layer][k]
			}
			compareGram(t, string(tensor.Role), product, change, spec.Hidden)
		}
		bits, block := src.Packing(i)
		c.Set(i, bits, block, 0, src.Stored[i])
	}
}

// streams returns the residual streams [tokens][hidden] of all windows after the embedding and after
// each layer.
func streams(t *testing.T, src *modeltest.Model, windows [][]int32) [][]float32 {
	t.Helper()
	ref, err := verify.NewReference(src, verify.ReferenceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]float32, len(src.Described.Layers)+2)
	ref.SetTrace(func(layer int, h []float32) { all[layer] = append(all[layer], h...) })
	for _, w := range windows {
		modeltest.Run(t, ref, w)
	}
	return all
}

func normalized(x, weight []float32, eps float32) []float32 {
	n := len(weight)
	out := make([]float32, len(x))
	for at := 0; at < len(x); at += n {
		var sum float64
		for _, v := range x[at : at+n] {
			sum += float64(v) * float64(v)
		}
		for k := range n {
			out[at+k] = float32(float64(x[at+k]) / math.Sqrt(sum/float64(n)+float64(eps)) * float64(weight[k]))
		}
	}
	return out
}

// firstCounts returns x [tokens][columns] of all windows, the first token of each multiplied by how often it counts.
func firstCounts(x []float32, windows [][]int32) []float32 {
	x = slices.Clone(x)
	all := 0
	for _, w := range windows {
		all += len(w)
	}
	width, at := len(x)/all, 0
	for _, w := range windows {
		for k := range width {
			x[at*width+k] *= float32(quant.FirstCounts(len(w)))
		}
		at += len(w)
	}
	return x
}

// sandwich returns W·h·Wᵀ, h's lower triangle given, the lower triangle of the result.
func sandwich(w, h []float32, rows, cols int) []float32 {
	out := make([]float32, rows*rows)
	half := make([]float64, cols)
	for i := range rows {
		for k := range cols {
			half[k] = 0
			for j := range cols {
				half[k] += float64(w[i*cols+j]) * float64(h[max(j, k)*cols+min(j, k)])
			}
		}
		for j := range i + 1 {
			var sum float64
			for k := range cols {
				sum += half[k] * float64(w[j*cols+k])
			}
			out[i*rows+j] = float32(sum)
		}
	}
	return out
}

// compareGram compares a lower triangle with that of Σ x·xᵀ.
func compareGram(t *testing.T, name string, got, x []float32, n int) {
	t.Helper()
	compareSums(t, name, got, x, x, n, true)
}

// compareSums compares [n][n], or its lower triangle, with Σ y·xᵀ.
func compareSums(t *testing.T, name string, got, y, x []float32, n int, lower bool) {
	t.Helper()
	var d, size float64
	for i := range n {
		for j := range n {
			if lower && j > i {
				continue
			}
			var want float64
			for at := 0; at < len(x); at += n {
				want += float64(y[at+i]) * float64(x[at+j])
			}
			d += (float64(got[i*n+j]) - want) * (float64(got[i*n+j]) - want)
			size += want * want
		}
	}
	if r := math.Sqrt(d / size); !(r <= 1e-3) {
		t.Errorf("%s: relative RMS %.2g", name, r)
	}
}

// TestCalibratorUsesWhatIsSet checks that a tensor counts as it was handed over, and beside it as it
// was, wherever the text is kept on its way, and that nothing is left on the device.
func TestCalibratorUsesWhatIsSet(t *testing.T) {
	dev := gputest.Open(t)
	full := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(32))
	coarse := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(2, 32))
	windows := [][]int32{modeltest.Tokens(33, full.Described.Vocab), modeltest.Tokens(60, full.Described.Vocab)[33:]}
	hidden, exact := streams(t, coarse, windows), streams(t, full, windows)
	for _, files := range []bool{false, true} {
		c, err := newCalibrator(full, &keeper{dev: dev, windows: windows, files: files}, true)
		if err != nil {
			t.Fatal(err)
		}
		if onDevice := dev.Memory()[graph.PurposeActivations] > 0; onDevice == files {
			t.Errorf("in files: %v, on the device: %v", files, onDevice)
		}
		sums := setUntil(t, c, coarse, model.RoleQ, 1)
		norm := 0
		for i, tensor := range full.Listed {
			if tensor.Role == model.RoleAttnNorm && tensor.Layer == 1 {
				norm = i
			}
		}
		x := normalized(hidden[1], coarse.Values[norm], full.Described.Norm.Eps)
		y := normalized(exact[1], full.Values[norm], full.Described.Norm.Eps)
		compareSums(t, "q of layer 1", sums.Inputs, firstCounts(x, windows), x, full.Described.Hidden, true)
		compareSums(t, "q of layer 1, float model", sums.Gap, firstCounts(minus(y, x), windows), x, full.Described.Hidden, false)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if m := dev.Memory(); m[graph.PurposeActivations]+m[graph.PurposeWeights]+m[graph.PurposeKV] > 0 {
			t.Errorf("left on the device: %v", m)
		}
	}
}

// setUntil hands over the tensors of src, row by row, asks for the sums of every matrix, and returns those of
// the given one.
func setUntil(t *testing.T, c calibrator, src *modeltest.Model, role model.Role, layer int) *quant.Sums {
	t.Helper()
	for i, tensor := range src.Listed {
		if tensor.Layer != model.NoLayer && tensor.Quantizable() {
			sums, err := c.Sums(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if tensor.Role == role && tensor.Layer == layer {
				return sums
			}
		}
		bits, block := src.Packing(i)
		size, at := src.Packed[i].RowBytes(tensor.Cols()), 0
		for row := range tensor.Rows() {
			c.Set(i, bits, block, row, src.Stored[i][at:at+size])
			at += size
		}
	}
	t.Fatalf("no %s in layer %d", role, layer)
	return nil
}

func TestCalibratorErrors(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(32))
	if _, err := New(t.Context(), dev, src, nil, false); err == nil {
		t.Error("no windows: no error")
	}
	c, err := New(t.Context(), dev, src, [][]int32{modeltest.Tokens(4, 100)}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Sums(context.Background(), 0); err == nil {
		t.Error("of the embedding: no error")
	}
}

func minus(y, x []float32) []float32 {
	d := make([]float32, len(x))
	for i := range d {
		d[i] = y[i] - x[i]
	}
	return d
}
