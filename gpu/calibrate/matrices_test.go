package calibrate

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// TestMatrixSums makes every kind of sums by subgroup matrices, emulated where the device has none, and in float32: of a
// matrix that all tokens are multiplied by, and of experts.
func TestMatrixSums(t *testing.T) {
	dev := gputest.Open(t)
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	full := mixture(t, mixtures["one of a few, a shared expert"], modeltest.Floats(32))
	coarse := mixture(t, mixtures["one of a few, a shared expert"], modeltest.Blocks(4, 32))
	windows := [][]int32{modeltest.Tokens(40, full.Described.Vocab), modeltest.Tokens(45, full.Described.Vocab)[40:]}
	var both [2]*Calibrator
	for i := range both {
		c, err := newCalibrator(full, &keeper{dev: dev, windows: windows, matrices: i == 1}, true)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		both[i] = c
	}
	for i, tensor := range full.Listed {
		if tensor.Layer == 0 && (tensor.Role == model.RoleQ || tensor.Role == model.RoleDown) { // what keeps pipelines few
			for e := range max(1, both[0].expertsOf(tensor)) {
				compareKinds(t, fmt.Sprint(tensor.Name, " ", e), sumsOf(t, both[1], i, e), sumsOf(t, both[0], i, e))
			}
		}
		bits, block := coarse.Packing(i)
		for _, c := range both {
			c.Set(i, bits, block, 0, coarse.Stored[i])
		}
	}
}

// sumsOf returns the sums of tensor i, or of its expert e.
func sumsOf(t *testing.T, c *Calibrator, i, e int) *quant.Sums {
	t.Helper()
	var s *quant.Sums
	var err error
	if tensor := c.src.Tensors()[i]; c.expertsOf(tensor) > 0 {
		s, err = c.ExpertSums(t.Context(), i, e)
	} else {
		s, err = c.Sums(t.Context(), i)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// compareKinds compares sums with those that were made in float32.
func compareKinds(t *testing.T, name string, got, want *quant.Sums) {
	t.Helper()
	n := int(math.Sqrt(float64(len(want.Inputs))))
	if got.Tokens != want.Tokens {
		t.Errorf("%s: %d tokens, want %d", name, got.Tokens, want.Tokens)
	}
	for kind, v := range map[string][2][]float32{"inputs": {got.Inputs, want.Inputs}, "gap": {got.Gap, want.Gap}, "debt": {got.Debt, want.Debt}} {
		if len(v[0]) != len(v[1]) {
			t.Fatalf("%s, %s: %d sums, want %d", name, kind, len(v[0]), len(v[1]))
		}
		var d, size float64
		for i, w := range v[1] {
			if kind == "inputs" && i%n > i/n {
				continue // only the lower triangle
			}
			d += (float64(v[0][i]) - float64(w)) * (float64(v[0][i]) - float64(w))
			size += float64(w) * float64(w)
		}
		if r := math.Sqrt(d / max(size, 1e-30)); !(r <= 2e-6) || (size == 0) != (len(v[1]) == 0 || want.Tokens == 0) {
			t.Errorf("%s, %s: relative RMS %.2g of %.2g", name, kind, r, size)
		}
	}
}

// TestJudge chooses a kernel by how it did in the trial, and says why.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		off             float64
		float, matrices time.Duration
		want            Choice
	}{
		{1e-6, 31 * time.Millisecond, 10 * time.Millisecond, Choice{matrixKernel, "3.10 times as fast as gram"}},
		{1e-6, 10 * time.Millisecond, 10 * time.Millisecond, Choice{floatKernel, "gram_matrix is 1.00 times as fast, at least 1.10 is wanted"}},
		{1e-4, 31 * time.Millisecond, 10 * time.Millisecond, Choice{floatKernel, "gram_matrix is off by 0.0001, at most 5e-06 is allowed"}},
		{math.NaN(), 0, 0, Choice{floatKernel, "gram_matrix is off by NaN, at most 5e-06 is allowed"}},
	} {
		if got := judge(c.off, c.float, c.matrices); got != c.want {
			t.Errorf("%v, %v and %v: %v, want %v", c.off, c.float, c.matrices, got, c.want)
		}
	}
}

// TestChoose: a device without subgroup matrices is not asked to use them; one that has them tries.
func TestChoose(t *testing.T) {
	dev := gputest.Open(t)
	choice, err := choose(t.Context(), dev)
	if err != nil || choice.Why == "" || (choice.Kernel == matrixKernel) && matrixTile(dev) == nil {
		t.Errorf("%v, %v", choice, err)
	}
	if matrixTile(dev) != nil {
		return
	}
	gputest.SubstituteMatrices(t, dev.Features().Runs, "../../kernels")
	small, err := newTrial(dev, 256, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer small.arena.Close()
	off, err := small.off(t.Context())
	if err != nil || !(off <= matrixLoss) || off == 0 {
		t.Errorf("off by %.2g, %v", off, err)
	}
	float, matrices, err := small.race(t.Context())
	if err != nil || float <= 0 || matrices <= 0 {
		t.Errorf("%v and %v, %v", float, matrices, err)
	}
}

// BenchmarkSums makes the sums over the inputs of matrices of 4096 and 14336 columns, 2048 tokens at a time, in float32 and by
// subgroup matrices. Products of halves count as one.
func BenchmarkSums(b *testing.B) {
	dev := gputest.Open(b)
	for _, width := range []int{4096, 14336} {
		const tokens = 2048
		t, err := newTrial(dev, width, tokens)
		if err != nil {
			b.Fatal(err)
		}
		for name, matrices := range map[string]bool{"float32": false, "matrices": true} {
			b.Run(fmt.Sprintf("%d/%s", width, name), func(b *testing.B) {
				if matrices && t.tile == nil {
					b.Skipf("%s has no subgroup matrices of float16", dev.Info())
				}
				p, err := t.program(matrices, 1)
				if err != nil {
					b.Fatal(err)
				}
				run := func() {
					if err := dev.Run(p); err != nil {
						b.Fatal(err)
					}
					if err := dev.Wait(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				for begun := time.Now(); time.Since(begun) < warmUp; {
					run()
				}
				for b.Loop() {
					run()
				}
				b.ReportMetric(float64(width)*float64(width)*tokens/(b.Elapsed().Seconds()/float64(b.N))/1e12, "TFLOP/s") // a triangle
				if matrices {
					off, err := t.off(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(off*1e6, "ppm-off") // as matrixLoss says it
				}
			})
		}
		t.arena.Close()
	}
}
