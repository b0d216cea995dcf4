package verify

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

// passing is a report that every default for int4 lets pass.
func passing() *Report {
	one := Distance{MaxAbs: .001, RelRMS: 1e-4, RelMax: .001}
	stages := []Stage{{"embedding", one}, {"layer 0", one}, {"final norm", one}}
	return &Report{
		Environment: map[string]string{"device": "software"},
		Runtime: &Parity{Distance: one, Top1: 1, Tokens: 80, Layers: stages, Schedules: []Schedule{
			{"in one go", one, 1}, {"token by token", one, 1},
		}},
		Drift: &Drift{Windows: 2, WindowTokens: 512, Scored: 510, MeanKLD: .03, Top1: .95, PPL: 31.5, PPLReference: 31},
		Golden: &GoldenReport{
			Reference: &GoldenResult{Distance: one, Tokens: 80, Top1: 1},
			Bundle:    &GoldenResult{Distance: Distance{MaxAbs: 2}, MeanKLD: .03, Tokens: 80, Top1: .9, Layers: stages},
		},
	}
}

func defaults(t *testing.T, format string, weights int64) Thresholds {
	t.Helper()
	th, err := DefaultThresholds(Made{Format: format, Weights: weights})
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// Each limit by itself stops a report that passes without the change.
func TestEveryThresholdFails(t *testing.T) {
	nan := math.NaN()
	for want, change := range map[string]func(*Report, float64){
		"runtime, tokens token by token: relative RMS":      func(r *Report, x float64) { r.Runtime.Schedules[1].RelRMS = 1.1e-3 * x },
		"runtime, tokens in one go: largest difference":     func(r *Report, x float64) { r.Runtime.Schedules[0].RelMax = .051 * x },
		"drift: mean KL divergence of the bundle":           func(r *Report, x float64) { r.Drift.MeanKLD = .13 * x },
		"drift: the bundle's most likely token":             func(r *Report, x float64) { r.Drift.Top1 = .71 * x },
		"golden: largest difference of the reference's":     func(r *Report, x float64) { r.Golden.Reference.MaxAbs = 2.1e-3 * x },
		"golden: mean KL divergence of the bundle is 0.13,": func(r *Report, x float64) { r.Golden.Bundle.MeanKLD = .13 * x },
	} {
		for _, x := range []float64{1, nan} {
			r := passing()
			r.Judge(defaults(t, "int4", 8e9))
			if !r.Pass || len(r.Failures) != 0 {
				t.Fatalf("does not pass: %q", r.Failures)
			}
			change(r, x)
			r.Judge(defaults(t, "int4", 8e9))
			what, _, _ := strings.Cut(want, " is ")
			if r.Pass || len(r.Failures) != 1 || !strings.HasPrefix(r.Failures[0], what) {
				t.Errorf("%s with %v: pass %v, %q", want, x, r.Pass, r.Failures)
			}
			if x == 1 && !strings.Contains(r.Failures[0], strings.TrimPrefix(want, what)) {
				t.Errorf("%q does not contain %q", r.Failures[0], want)
			}
		}
	}
}

func TestNothingMeasuredDoesNotPass(t *testing.T) {
	var r Report
	r.Judge(defaults(t, "int8", 1e9))
	if r.Pass || !slices.Equal(r.Failures, []string{"nothing was measured"}) {
		t.Errorf("pass %v, %q", r.Pass, r.Failures)
	}
}

// What was measured: mean KLD and top-1 agreement. Bundles that work pass, and min-max int2, which talks nonsense, does not.
func TestDefaultsOnMeasuredModels(t *testing.T) {
	for _, c := range []struct {
		format  string
		weights int64
		kld     float64
		top1    float64
		pass    bool
	}{
		{"int8", 5.8e6, .00027, .990, true},
		{"int8", 26.2e6, .00014, .9935, true},
		{"int8", 5.8e6, .070, .813, false}, // int4's drift is no int8
		{"int4", 5.8e6, .070, .813, true},
		{"int4", 5.8e6, .0955, .784, true}, // blocks of 256, min-max
		{"int4", 26.2e6, .048, .843, true}, // the same
		{"int4", 5.8e6, 1.48, .3225, false},
		{"int4", 8e9, .072, .87, true}, // llama.cpp's Q4_0 of Llama 3
		{"int4", 8e9, .2, .7, false},
		{"int8", 8e9, .0014, .98, true}, // and its Q8_0
		{"int2", 5.8e6, 1.48, .3225, true},
		{"int2", 26.2e6, .837, .4235, true},
		{"int2", 5.8e6, 3.63, .103, false},
		{"int2", 26.2e6, 1.91, .2196, false},
		{"int2", 8e9, .837, .4235, false},
		{"f16", 5.8e6, 1e-6, .999, true},
		{"int4", 134.5e6, .1376, .75, true}, // SmolLM2-135M, by default …
		{"int4", 134.5e6, .566, .52, false}, // … and in blocks of 128, the embedding too
		{"int8", 134.5e6, .0014, .971, true},
		{"int2", 134.5e6, 10.5, .01, false},
		{"f16", 5.8e6, .00027, .99, false},
	} {
		r := &Report{Drift: &Drift{MeanKLD: c.kld, Top1: c.top1}}
		r.Judge(defaults(t, c.format, c.weights))
		if r.Pass != c.pass {
			t.Errorf("%s, %d weights: pass %v (%q)", c.format, c.weights, r.Pass, r.Failures)
		}
	}
	if _, err := DefaultThresholds(Made{Format: "int3"}); err == nil || err.Error() != `format "int3": want int8, int4, int2 or f16` {
		t.Errorf("error %v", err)
	}
	for format := range formats {
		small, large := defaults(t, format, 1), defaults(t, format, 1<<60)
		if small.MaxKLD > formats[format].most*large.MaxKLD || small.MaxKLD < large.MaxKLD || small.MinTop1 <= 0 || large.MinTop1 >= 1 {
			t.Errorf("%s: %+v and %+v", format, small, large)
		}
	}
}

// A calibrated bundle that drifts like one that was not has something wrong with it, and a mix of formats lies between them.
func TestDefaultsFollowMethodAndBits(t *testing.T) {
	kld := func(m Made) float64 {
		th, err := DefaultThresholds(m)
		if err != nil {
			t.Fatal(err)
		}
		return th.MaxKLD
	}
	const smol = 134.5e6
	if limit := kld(Made{Format: "int4", Method: "gptq", Weights: smol}); limit < .05 || limit > .3 {
		t.Errorf("int4, gptq: %v", limit)
	}
	if search, rtn := kld(Made{Format: "int4", Method: "search", Weights: smol}), kld(Made{Format: "int4", Method: "rtn", Weights: smol}); search != rtn {
		t.Errorf("search %v, rtn %v", search, rtn)
	}
	last := math.Inf(1)
	for _, bits := range []float64{2.1, 2.7, 2.95, 4, 4.3, 4.8, 8} {
		limit := kld(Made{Format: "int2", Method: "gptq", Bits: bits, Weights: smol})
		if limit >= last {
			t.Errorf("%v bits: %v, after %v with fewer", bits, limit, last)
		}
		last = limit
	}
	if whole, mixed := kld(Made{Format: "int4", Method: "gptq", Weights: smol}), kld(Made{Format: "int2", Method: "gptq", Bits: 4.3, Weights: smol}); math.Abs(whole-mixed) > 1e-12 {
		t.Errorf("int4 %v, 4.3 bits %v", whole, mixed)
	}
}

// A share of few positions is not held to more than they can tell, unless somebody asks for just that.
func TestTop1SamplingError(t *testing.T) {
	drift := func(same, of int) *Report {
		p := float64(same) / float64(of)
		return &Report{Drift: &Drift{Scored: of, Top1: p, Top1Error: math.Sqrt(p * (1 - p) / float64(of-1))}}
	}
	limits := defaults(t, "f16", 1e5)
	strict := limits
	strict.Top1Errors = 0
	for _, c := range []struct {
		same, of int
		limits   Thresholds
		pass     bool
	}{{14, 15, limits, true}, {14, 15, strict, false}, {8, 15, limits, false}, {1400, 1500, limits, false}, {0, 15, limits, false}, {15, 15, strict, true}} {
		r := drift(c.same, c.of)
		r.Judge(c.limits)
		if r.Pass != c.pass {
			t.Errorf("%d of %d, %v standard errors: pass %v (%q)", c.same, c.of, c.limits.Top1Errors, r.Pass, r.Failures)
		}
	}
	var text strings.Builder
	r := drift(14, 15)
	r.Judge(limits)
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "at least 99.05 % − 2 × 6.67 %") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestReads(t *testing.T) {
	for kld, want := range map[float64]string{
		0: "reads the same", .02: "reads the same", .138: "reads slightly worse", .57: "reads noticeably worse", 10: "is broken",
		math.NaN(): "is broken",
	} {
		if got := Reads(kld); got != want {
			t.Errorf("%v: %q, want %q", kld, got, want)
		}
	}
}

// The keys that others rely on.
func TestReportKeys(t *testing.T) {
	r := passing()
	r.Judge(defaults(t, "int4", 8e9))
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]float64{
		"runtime.max_abs": .001, "runtime.rel_rms": 1e-4,
		"drift.mean_kld": .03, "drift.top1": .95, "drift.ppl": 31.5, "drift.ppl_reference": 31,
		"golden.reference.max_abs": .001, "golden.bundle.max_abs": 2, "golden.bundle.mean_kld": .03,
	} {
		var at any = got
		for key := range strings.SplitSeq(path, ".") {
			m, _ := at.(map[string]any)
			at = m[key]
		}
		if at != want {
			t.Errorf("%s is %v, want %v", path, at, want)
		}
	}
	if got["pass"] != true || !bytes.Contains(b, []byte(`"failures":[]`)) {
		t.Errorf("pass %v, failures %v", got["pass"], got["failures"])
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"drift", "environment", "failures", "golden", "pass", "runtime", "thresholds"}) {
		t.Errorf("keys %v", keys)
	}
	r.Drift, r.Golden, r.Runtime.RelRMS, r.Runtime.Schedules[0].RelRMS = nil, nil, 1, 1
	r.Judge(r.Thresholds)
	if b, err = json.Marshal(r); err != nil || !bytes.Contains(b, []byte(`"pass":false,"failures":["runtime,`)) || bytes.Contains(b, []byte("drift\":")) {
		t.Errorf("%s, %v", b, err)
	}
}

// Models that are finite but far off must still make a report that JSON can hold.
func TestExtremesAreFinite(t *testing.T) {
	var m Metrics
	for range 3 {
		if err := m.Add([]float32{0, 3e38}, []float32{3e38, 0}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := json.Marshal(m.Drift()); err != nil {
		t.Error(err)
	}
	var d deltas
	d.add([]float32{0, 0}, []float32{0, 3e38})
	if _, err := json.Marshal(d.distance()); err != nil {
		t.Error(err)
	}
}

func TestReportText(t *testing.T) {
	r := passing()
	r.Runtime.Schedules[1].RelRMS = .5
	r.Judge(defaults(t, "int4", 8e9))
	var text, layers strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteLayers(&layers); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Runtime parity", "token by token", "Model drift", "mean KLD", "0.03", "allowed 0.12", "Golden logits", "FAIL\n- runtime, tokens token by token: relative RMS"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	for _, want := range []string{"runtime and reference", "bundle and golden", "layer 0", "final norm"} {
		if !strings.Contains(layers.String(), want) {
			t.Errorf("no %q in\n%s", want, layers.String())
		}
	}
	if strings.Contains(layers.String(), "checkpoint on the reference") {
		t.Error("a table that was not measured")
	}
	t.Log("\n" + text.String() + layers.String())
}
