package transformer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestTune tunes for a small model: what is found is possible, was compared, and computes the same model
// when it is used.
func TestTune(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	spec := plainSpec()
	spec.Hidden, spec.Vocab = 256, 512
	for i := range spec.Kinds {
		spec.Kinds[i].MLP.Intermediate = 512
	}
	src := newModel(t, spec, scheme{4, 32})
	var told []string
	results, err := Tune(ctx, dev, src, TuneOptions{Quick: true, Progress: func(_, _ int, now string) { told = append(told, now) }})
	if err != nil {
		t.Fatal(err)
	}
	found := Tuning{}
	kernelsSeen := map[string]bool{}
	for _, r := range results {
		kernelsSeen[r.Kernel] = true
		if r.Tried < 2 || len(r.Wrong) > 0 || r.Before <= 0 || r.After <= 0 || r.After > r.Before || r.Uses == 0 || r.What == "" {
			t.Errorf("%+v", r)
		}
		found[r.TuningKey] = r.Best
	}
	kinds := len(TunableKernels()) - 1 // one token and long prompts have no use for matvec_batch
	if len(told) != len(results) || len(kernelsSeen) != kinds {
		t.Errorf("told of %d cases, %d results for the kernels %v", len(told), len(results), kernelsSeen)
	}
	want := logitsAfter(t, src, 1, Options{})
	// All that there is, whether it is fast or not, must leave the model what it is.
	for _, choice := range []Tuning{found, slowest(results)} {
		got := logitsAfter(t, src, 1, Options{Tuning: choice})
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
	spec := plainSpec()
	spec.Hidden, spec.Vocab = 256, 512
	results, err := Tune(ctx, dev, newModel(t, spec, scheme{4, 32}), TuneOptions{Quick: true, Tokens: []int{1}, Progress: func(done, _ int, _ string) {
		if done == 1 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || len(results) != 1 || results[0].Best == nil {
		t.Errorf("%v, %v: want one result and %v", results, err, context.Canceled)
	}
}

// slowest returns other constants than those found.
func slowest(results []TuneResult) Tuning {
	u := Tuning{}
	for _, r := range results {
		c := maps.Clone(r.Best)
		if r.Kernel == "matvec" {
			c["ROWS"], c["LANES"] = 2, 256
		}
		u[r.TuningKey] = c
	}
	return u
}

// TestTuningIsUsed checks that the kernel of a product is what Tuning says.
func TestTuningIsUsed(t *testing.T) {
	dev := gputest.Open(t)
	src := newModel(t, plainSpec(), scheme{8, 64})
	tr, err := New(context.Background(), dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	p := tr.w.layers[0].o.parts[0]
	tr.opts.Tuning = Tuning{{"matvec", classOf(p, 1)}: {"ROWS": 8, "LANES": 128}}
	programs, err := tr.body(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if keys := programs[1].Keys(); !slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, "LANES=128") && strings.Contains(k, "ROWS=8") }) {
		t.Errorf("the kernels of layer 0 are %v", keys)
	}
}

// TestTrialFindsMistakes gives the comparison kernels that are wrong.
func TestTrialFindsMistakes(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, s := range []scheme{{16, 0}, {8, 32}, {4, 128}, {2, 256}} {
		for _, n := range []int{1, 64} {
			c := &tuneCase{kernel: "matvec", part: &part{scheme: s, width: 512, rows: 200}, n: n}
			if n > matvecTokens {
				c.kernel = "matmul"
			}
			tr, err := newTrial(ctx, dev, c, true)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.close()
			if _, right, err := tr.run(ctx, tr.defaults()); err != nil || !right {
				t.Errorf("%v, %d tokens: the kernel itself is found wrong (%v)", s, n, err)
			}
			// A weight that is off by one step, wherever it lies, and a row that is not written.
			row := tr.rows[len(tr.rows)/2]
			tr.want[0][slices.Index(tr.rows, row)] += 1.0 / 64 / 16
			if _, right, _ := tr.run(ctx, tr.defaults()); right {
				t.Errorf("%v, %d tokens: a wrong product is found right", s, n)
			}
			tr.want[0][slices.Index(tr.rows, row)] -= 1.0 / 64 / 16
			tr.part = &part{scheme: s, width: 512, rows: 201}
			if right, err := tr.compare(ctx); err != nil || right {
				t.Errorf("%v, %d tokens: a row that was not written is found right (%v)", s, n, err)
			}
		}
	}
}

func TestTuningCheck(t *testing.T) {
	good := Tuning{{"matvec", "any"}: {"ROWS": 2, "LANES": 64, "STEP": 1}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, bad := range map[string]Tuning{
		`kernel "norm" cannot be tuned`:      {{"norm", "any"}: {}},
		"matvec has 3 constants to be tuned": {{"matvec", "any"}: {"ROWS": 2}},
		"want ROWS to be one of [2 4 8]":     {{"matvec", "any"}: {"ROWS": 3, "LANES": 64, "STEP": 1}},
		"want LANES to be one of":            {{"matvec", "any"}: {"ROWS": 2, "LINES": 64, "STEP": 1}},
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", bad, err, want)
		}
	}
}

// TestTunables checks that every row of the table names a kernel and integer constants that it has, with
// values that can be compiled.
func TestTunables(t *testing.T) {
	for _, row := range tunables {
		all := append([]Tuned{}, slices.Collect(maps.Values(row.presets))...)
		for _, v := range row.values {
			if v.name == "SPLIT" { // decides how attention is dispatched
				continue
			}
			k, err := kernels.Specialize(row.kernel, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := k.Constant(v.name); !ok {
				t.Errorf("kernel %s has no constant %s", row.kernel, v.name)
			}
			for _, n := range v.values {
				if _, err := kernels.Specialize(row.kernel, kernels.Consts{v.name: n}); err != nil {
					t.Error(err)
				}
			}
		}
		for _, preset := range all {
			if err := (Tuning{{row.kernel, "any"}: preset}).Check(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestPresets runs every preset on matrices of every packing.
func TestPresets(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, s := range []scheme{{16, 0}, {8, 32}, {4, 128}, {2, 256}} {
		for _, row := range tunables {
			for vendor, preset := range row.presets {
				tr, err := newTrial(ctx, dev, &tuneCase{kernel: row.kernel, part: &part{scheme: s, width: 512, rows: 150}, n: 70}, true)
				if err != nil {
					t.Fatal(err)
				}
				defer tr.close()
				if err := tr.possible(preset); err != nil {
					t.Errorf("%s, %v: %v", vendor, s, err)
				}
				if _, right, err := tr.run(ctx, preset); err != nil || !right {
					t.Errorf("%s, %v: %v computes something else (%v)", vendor, s, preset, err)
				}
			}
		}
	}
}

// TestAttentionTrial tries attention of all divisions, with what a model may have, and has the comparison find a
// wrong output.
func TestAttentionTrial(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	defer func(c []int) { attentionContexts = c }(attentionContexts)
	attentionContexts = []int{40, 300}
	for _, at := range []model.Attention{
		{Heads: 4, KVHeads: 2, HeadDim: 64, Scale: 1},
		{Heads: 6, KVHeads: 2, HeadDim: 80, Scale: 1, Window: 100, Softcap: 20},
		{Heads: 2, KVHeads: 2, HeadDim: 128, Scale: 1, Chunk: 64},
	} {
		for _, n := range []int{1, 3} {
			s, err := newAttentionTrial(ctx, dev, &at, n, true)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			for _, with := range []Tuned{
				s.defaults(), {"LANES": 64, "QUERIES": 1, "EACH": 2, "SPLIT": 32}, {"LANES": 256, "QUERIES": at.Heads / at.KVHeads, "EACH": 4, "SPLIT": 128}, {"LANES": 128, "QUERIES": 1, "EACH": 8, "SPLIT": 0},
			} {
				if err := s.possible(with); err != nil {
					t.Error(err)
				}
				if took, right, err := s.run(ctx, with); err != nil || !right || took <= 0 {
					t.Errorf("%+v, %d tokens: with %v it is found wrong (%v)", at, n, with, err)
				}
			}
			// Every other key and value is one percent larger.
			for i := range s.cache {
				s.cache[i] += 10 * uint16(i%2)
			}
			if _, right, _ := s.run(ctx, s.defaults()); right {
				t.Errorf("%+v, %d tokens: wrong values are found right", at, n)
			}
		}
	}
}
