package tune

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

// TestTune tunes for a small model: what is found is possible, was compared, and computes the same model
// when it is used.
func TestTune(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	spec := modeltest.PlainSpec()
	spec.Hidden, spec.Vocab = 256, 512
	for i := range spec.Kinds {
		spec.Kinds[i].MLP.Intermediate = 512
	}
	src := modeltest.New(t, spec, modeltest.Blocks(4, 32))
	var told []string
	results, err := Tune(ctx, dev, src, Options{Quick: true, Progress: func(_, _ int, now string) { told = append(told, now) }})
	if err != nil {
		t.Fatal(err)
	}
	found := graph.Tuning{}
	kernelsSeen := map[string]bool{}
	for _, r := range results {
		kernelsSeen[r.Kernel] = true
		if r.Tried < 2 || len(r.Wrong) > 0 || r.Before <= 0 || r.After <= 0 || r.After > r.Before || r.Uses == 0 || r.What == "" {
			t.Errorf("%+v", r)
		}
		found[r.TuningKey] = r.Best
	}
	kinds := len(graph.TunableKernels()) - 2 // one token and long prompts have no use for matvec_batch and matvec_matrix
	if matricesRun(dev) != nil {
		kinds-- // nor this device for subgroup matrices
	}
	if len(told) != len(results) || len(kernelsSeen) != kinds {
		t.Errorf("told of %d cases, %d results for the kernels %v", len(told), len(results), kernelsSeen)
	}
	want := logitsAfter(t, dev, src, transformer.Options{})
	// All that there is, whether it is fast or not, must leave the model what it is.
	for _, choice := range []graph.Tuning{found, slowest(results)} {
		got := logitsAfter(t, dev, src, transformer.Options{Kernels: graph.Choice{Tuning: choice}})
		for i := range want {
			if d := got[i] - want[i]; !(d < 1e-3 && d > -1e-3) {
				t.Fatalf("logit %d is %v with %v, and %v without", i, got[i], choice, want[i])
			}
		}
	}
}

// TestTuneInterrupted ends a search: what was found before is returned.
func TestTuneInterrupted(t *testing.T) {
	dev := gputest.Open(t)
	ctx, cancel := context.WithCancel(context.Background())
	spec := modeltest.PlainSpec()
	spec.Hidden, spec.Vocab = 256, 512
	results, err := Tune(ctx, dev, modeltest.New(t, spec, modeltest.Blocks(4, 32)), Options{Quick: true, Tokens: []int{1}, Progress: func(done, _ int, _ string) {
		if done == 1 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || len(results) != 1 || results[0].Best == nil {
		t.Errorf("%v, %v: want one result and %v", results, err, context.Canceled)
	}
}

// slowest returns other constants than those found.
func slowest(results []Result) graph.Tuning {
	u := graph.Tuning{}
	for _, r := range results {
		c := maps.Clone(r.Best)
		if r.Kernel == "matvec" {
			c["ROWS"], c["LANES"] = 2, 256
		}
		u[r.TuningKey] = c
	}
	return u
}

// logitsAfter returns the logits of the last of a few tokens.
func logitsAfter(t *testing.T, dev *gpu.Device, src graph.Source, o transformer.Options) []float32 {
	t.Helper()
	tr, err := transformer.New(context.Background(), dev, src, o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	return modeltest.Run(t, tr, []int32{1, 2, 3})[2*tr.VocabSize():]
}

// tuned returns the choice of some constants for a subject.
func tuned(s subject, with graph.Tuned) graph.Choice {
	return graph.Choice{Tuning: graph.Tuning{s.key(): with}}
}

// packings are some of each kind.
var packings = []graph.Packing{{Bits: 16}, {Bits: 8, Block: 32}, {Bits: 4, Block: 128}, {Bits: 2, Block: 256}}

// TestProductTrial gives the comparison products that are wrong.
func TestProductTrial(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, p := range packings {
		for _, n := range []int{1, 64} {
			kernel := graph.KernelFor(dev.OnCPU(), n)
			s, err := newProductTrial(ctx, dev, kernel, graph.Shape{Packing: p, Rows: 200, Width: 512, Tokens: n})
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			with, err := s.defaults()
			if err != nil {
				t.Fatal(err)
			}
			if off, err := s.off(ctx, tuned(s, with)); err != nil || off != 0 {
				t.Errorf("%v, %d tokens: %s itself is found wrong, by %v (%v)", p, n, kernel, off, err)
			}
			// A weight that is off by one step, wherever it lies, and a row that is not written.
			row := slices.Index(s.rows, s.rows[len(s.rows)/2])
			s.want[0][row] += 1.0 / 64 / 16
			if off, err := s.off(ctx, tuned(s, with)); err != nil || off == 0 {
				t.Errorf("%v, %d tokens: a wrong product is found right (%v)", p, n, err)
			}
			s.want[0][row] -= 1.0 / 64 / 16
			s.Rows = 201
			if off, err := s.compare(ctx); err != nil || off == off {
				t.Errorf("%v, %d tokens: a row that was not written is found right (%v)", p, n, err)
			}
		}
	}
}

// TestPresets runs every preset on matrices of every packing.
func TestPresets(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, p := range packings {
		for _, kernel := range graph.TunableKernels() {
			for vendor, preset := range graph.TunableOf(kernel).Presets {
				s, err := newProductTrial(ctx, dev, kernel, graph.Shape{Packing: p, Rows: 150, Width: 512, Tokens: 70})
				if err != nil {
					t.Fatal(err)
				}
				defer s.close()
				if err := s.possible(preset); err != nil {
					t.Errorf("%s, %v: %v", vendor, p, err)
				}
				if off, err := s.off(ctx, tuned(s, preset)); err != nil || off != 0 {
					t.Errorf("%s, %v: wrong results with %v (%v)", vendor, p, preset, err)
				}
			}
		}
	}
}

// TestAttention tries attention of all divisions, with what a model may have, and has the comparison find a
// wrong output.
func TestAttention(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	defer func(c []int) { attentionContexts = c }(attentionContexts)
	attentionContexts = []int{40, 300}
	for _, at := range []model.Attention{
		{Heads: 4, KVHeads: 2, HeadDim: 64, Scale: 1},
		{Heads: 6, KVHeads: 2, HeadDim: 80, Scale: 1, Window: 100, Softcap: 20},
		{Heads: 2, KVHeads: 2, HeadDim: 128, Scale: 1, Chunk: 64},
	} {
		for _, n := range []int{1, 3} {
			s, err := newAttention(dev, &at, n)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			defaults, err := s.defaults()
			if err != nil {
				t.Fatal(err)
			}
			for _, with := range []graph.Tuned{
				defaults, {"LANES": 64, "QUERIES": 1, "EACH": 2, "SPLIT": 32}, {"LANES": 256, "QUERIES": at.Heads / at.KVHeads, "EACH": 4, "SPLIT": 128}, {"LANES": 128, "QUERIES": 1, "EACH": 8, "SPLIT": 0},
			} {
				if err := s.possible(with); err != nil {
					t.Error(err)
				}
				if took, right, err := run(ctx, dev, s.trials(), tuned(s, with), trialTime(true)); err != nil || !right || took <= 0 {
					t.Errorf("%+v, %d tokens: with %v it is found wrong (%v)", at, n, with, err)
				}
			}
			// Every other key and value is one percent larger.
			for i := range s.cache {
				s.cache[i] += 10 * uint16(i%2)
			}
			if _, right, _ := run(ctx, dev, s.trials(), tuned(s, defaults), trialTime(true)); right {
				t.Errorf("%+v, %d tokens: wrong values are found right", at, n)
			}
		}
	}
}

// TestSynthetic loads made-up weights, of which the device is sent one pattern for all chunks: tensors of one
// chunk are what ReadAt says.
func TestSynthetic(t *testing.T) {
	dev, spec := gputest.Open(t), modeltest.PlainSpec()
	for _, p := range []graph.Packing{{Bits: 4, Block: 32}, {Bits: 8, Block: 64}, {Bits: 2, Block: 32}, {Bits: 16}} {
		made, err := NewSynthetic(&spec, p.Bits, p.Block)
		if err != nil {
			t.Fatal(err)
		}
		want := logitsAfter(t, dev, made, transformer.Options{})
		for _, procs := range []int{1, 4} {
			was := runtime.GOMAXPROCS(procs)
			if got := logitsAfter(t, dev, made, transformer.Options{Repeats: true}); !slices.Equal(got, want) {
				t.Errorf("%v, %d readers: not the weights that ReadAt returns", p, procs)
			}
			runtime.GOMAXPROCS(was)
		}
	}
}
