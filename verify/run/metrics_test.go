package run

import (
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestMetricsOfTheCPUEngine measures drift by the CPU engine, which verify uses, and by the reference, which defines what is
// right: the same to four digits.
func TestMetricsOfTheCPUEngine(t *testing.T) {
	dirs := []string{tiny, made(t, "int4")}
	var weights []model.Weights
	var windows [][]int32
	for _, dir := range dirs {
		m, err := source.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		weights = append(weights, m.Weights)
	}
	for i := range 2 {
		window := make([]int32, 64)
		for j := range window {
			window[j] = int32((i*7919 + j*j*131 + j*17) % weights[0].Spec().Vocab)
		}
		windows = append(windows, window)
	}
	drift := func(make func(model.Weights) (verify.Forwarder, error)) *verify.Drift {
		var both []verify.Forwarder
		for _, w := range weights {
			f, err := make(w)
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, f)
		}
		d, err := verify.MeasureDrift(t.Context(), both[0], both[1], windows, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	got := drift(func(w model.Weights) (verify.Forwarder, error) { return cpu.New(w, cpu.Options{}) })
	want := drift(func(w model.Weights) (verify.Forwarder, error) {
		return verify.NewReference(w, verify.ReferenceOptions{})
	})
	if want.MeanKLD == 0 {
		t.Fatal("int4 is no different from what it was made from")
	}
	for name, v := range map[string][2]float64{
		"mean KLD": {got.MeanKLD, want.MeanKLD}, "top-1": {got.Top1, want.Top1}, "perplexity": {got.PPL, want.PPL},
		"the reference's perplexity": {got.PPLReference, want.PPLReference}, "median KLD": {got.KLD.Median, want.KLD.Median}, "largest KLD": {got.KLD.Max, want.KLD.Max},
	} {
		if math.Abs(v[0]-v[1]) > 5e-5*math.Abs(v[1]) {
			t.Errorf("%s: %v, by the reference %v", name, v[0], v[1])
		}
	}
}
