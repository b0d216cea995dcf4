package verify

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The kept positions and the histogram must agree with all divergences, computed one by one.
func TestDetailsAgreeWithEveryPosition(t *testing.T) {
	windows, _ := Windows(toyTokens(256, 40), 1, 64, 0)
	ref, cand := newToy(40), newToy(40)
	for i := range cand.head {
		cand.head[i] *= 1.2
	}
	_, d, err := MeasureDriftDetails(t.Context(), ref, cand, windows, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []float64
	at := map[[2]int]float64{}
	for n, w := range windows {
		a, b := rows(t, ref, w), rows(t, cand, w)
		for i := 32; i <= 62; i++ {
			c, err := compare(a[i], b[i])
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c.kld)
			at[[2]int{n, i}] = c.kld
		}
	}
	slices.Sort(all)
	slices.Reverse(all)
	if len(d.Worst) != 5 {
		t.Fatalf("%d positions, want 5", len(d.Worst))
	}
	for i, p := range d.Worst {
		if p.KLD != all[i] || at[[2]int{p.Window, p.Token}] != p.KLD || p.Next != windows[p.Window][p.Token+1] {
			t.Errorf("position %d: %+v, want KLD %v", i, p, all[i])
		}
		if p.PTop < p.P || p.PTopRef < p.PRef || p.PTop > 1 || p.P <= 0 {
			t.Errorf("position %d: probabilities of %+v", i, p)
		}
	}
	n := 0
	for i, b := range d.Histogram {
		n += b.Count
		if i > 0 && math.Abs(b.From/d.Histogram[i-1].To-1) > 1e-9 {
			t.Errorf("a gap before bin %d", i)
		}
	}
	if n != len(all) || d.Histogram[len(d.Histogram)-1].Count == 0 {
		t.Errorf("%d values in the histogram, want %d", n, len(all))
	}
}

func TestHistogramEdges(t *testing.T) {
	bins := histogram([]float32{0, 1e-9, .1, .099, .101, 1})
	first, last := bins[0], bins[len(bins)-1]
	if first.Count != 2 || last.To != 1 || last.Count != 1 || len(bins) != 8*binsPerDecade+1 {
		t.Errorf("%+v", bins)
	}
	for _, b := range bins {
		if math.Abs(b.To-.1) < 1e-6 && b.Count != 2 {
			t.Errorf("%+v, want 0.099 and 0.1 in it", b)
		}
	}
	if histogram(nil) != nil {
		t.Error("bins of nothing")
	}
}

func TestMeasureLayers(t *testing.T) {
	ids := toyTokens(20, 30)
	stages, err := MeasureLayers(t.Context(), newToy(30), newToy(30), ids)
	if err != nil || len(stages) != 5 || stages[0].Name != "embedding" || stages[4].RelRMS != 0 {
		t.Errorf("%+v, %v", stages, err)
	}
	for _, f := range [][2]Forwarder{{opaque{newToy(30)}, newToy(30)}, {newToy(30), opaque{newToy(30)}}} {
		if stages, err := MeasureLayers(t.Context(), f[0], f[1], ids); stages != nil || err != nil {
			t.Errorf("%v, %v of a model that cannot be traced", stages, err)
		}
	}
}

func TestRecordingIsTheModel(t *testing.T) {
	windows, _ := Windows(toyTokens(300, 30), 1, 100, 0)
	file, err := os.Create(filepath.Join(t.TempDir(), "logits"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cand := newToy(30)
	cand.head[3] += .5
	want, err := MeasureDrift(t.Context(), newToy(30), cand, windows, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Record(t.Context(), newToy(30), windows, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // as often as one likes
		got, err := MeasureDrift(t.Context(), r.Play(), cand, windows, nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	other := [][]int32{slices.Clone(windows[0])}
	other[0][70]++
	for text, run := range map[string]func() error{
		"other tokens": func() error {
			_, err := MeasureDrift(t.Context(), r.Play(), cand, other, nil)
			return err
		},
		"window 3 of 3": func() error {
			_, err := MeasureDrift(t.Context(), r.Play(), cand, append(slices.Clone(windows), windows[0]), nil)
			return err
		},
		"only those from 50": func() error {
			p := r.Play()
			p.Reset()
			return p.Forward(t.Context(), windows[0][:60], 40, func(int, []float32) error { return nil })
		},
		"context canceled": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := Record(ctx, newToy(30), windows, file, nil)
			return err
		},
	} {
		if err := run(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
}

func TestChecks(t *testing.T) {
	r := passing()
	r.Drift.MeanKLD = 1
	r.Failures = []string{"NaN somewhere"}
	r.Judge(defaults(t, "int4", 8e9))
	checks := r.Checks()
	var failed []string
	for _, c := range checks {
		if c.Fail != "" {
			failed = append(failed, c.Fail)
		}
	}
	if !slices.Equal(failed, r.Failures) || len(checks) != 1+4+2+2 {
		t.Errorf("%d checks, failed %q; want %q", len(checks), failed, r.Failures)
	}
}
