package verify

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

func TestParityOfEquals(t *testing.T) {
	run := newToy(50)
	p, err := MeasureParity(t.Context(), newToy(50), run, toyTokens(150, 50))
	if err != nil {
		t.Fatal(err)
	}
	if p.MaxAbs != 0 || p.RelRMS != 0 || p.RelMax != 0 || p.Top1 != 1 || p.Tokens != 150 || len(p.Schedules) != 3 {
		t.Errorf("%+v", p)
	}
	want := append([]int{150, 5, 1, 33, 2, 67, 42}, slices.Repeat([]int{1}, 150)...)
	if want = append(want, 150); !slices.Equal(run.calls, want) {
		t.Errorf("fed %v, want %v", run.calls, want)
	}
	var names []string
	for _, s := range p.Layers {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "embedding, layer 0, layer 1, layer 2, final norm" {
		t.Errorf("stages %s", got)
	}
}

func TestParityMeasures(t *testing.T) {
	tokens := toyTokens(100, 50)
	ref := rows(t, newToy(50), tokens)
	rms := 0.0
	for _, l := range ref {
		for _, x := range l {
			rms += float64(x) * float64(x) / (100 * 50)
		}
	}
	rms = math.Sqrt(rms)

	run := newToy(50)
	run.wrongLogit = 70
	p, err := MeasureParity(t.Context(), opaque{newToy(50)}, run, tokens)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "max", p.MaxAbs, 1, 1e-6)
	near(t, "relative max", p.RelMax, 1/rms, 1e-6)
	near(t, "relative RMS", p.RelRMS, math.Sqrt(1.0/(100*50))/rms, 1e-6)
	if p.Layers != nil {
		t.Error("layers of a model that cannot be traced")
	}

	run = newToy(50)
	run.noise = .01
	if p, err = MeasureParity(t.Context(), newToy(50), run, tokens); err != nil {
		t.Fatal(err)
	}
	near(t, "relative RMS of noise", p.RelRMS, .01/rms, .1*.01/rms)

	run = newToy(50)
	run.batchError = .5 // what only depends on the chunks shows where there are more of them
	if p, err = MeasureParity(t.Context(), newToy(50), run, tokens); err != nil {
		t.Fatal(err)
	}
	for i, chunks := range []float64{1, 5, 100} {
		near(t, p.Schedules[i].Name, p.Schedules[i].RelRMS, .5*math.Sqrt(chunks/(100*50))/rms, 1e-6)
	}
	if p.RelRMS != p.Schedules[2].RelRMS {
		t.Error("the total is not the worst schedule")
	}

	other := newToy(50)
	other.layers = 2
	if _, err := MeasureParity(t.Context(), newToy(50), other, tokens); err == nil || !strings.Contains(err.Error(), "5 stages traced in the reference, 4 in the runtime") {
		t.Errorf("error %v", err)
	}
	if _, err := MeasureParity(t.Context(), newToy(50), newToy(51), tokens); err == nil {
		t.Error("different vocabularies were compared")
	}
	if _, err := MeasureParity(t.Context(), newToy(50), newToy(50), nil); err == nil {
		t.Error("no tokens were compared")
	}
}

// NaN and Inf, made in each stage, must be found there, whether or not the logits show them.
func TestNonFiniteIsLocated(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	where := []string{"in the embedding", "in layer 0 (of layers 0–2)", "in layer 1 (", "in layer 2 (", "in the final norm", "in the head"}
	layers := []int{model.NoLayer, 0, 1, 2, model.NoLayer, model.NoLayer}
	for stage := range where {
		for _, value := range []float32{nan, inf} {
			for _, hidden := range []bool{false, true} {
				bad := newToy(30)
				bad.badStage, bad.badToken, bad.badValue, bad.hideBad = stage, 90, value, hidden
				_, err := MeasureParity(t.Context(), newToy(30), bad, toyTokens(120, 30))
				check(t, err, "runtime: ", value, where[stage], layers[stage])
				if hidden && stage < len(where)-1 {
					continue // drift sees logits only
				}
				windows, _ := Windows(toyTokens(120, 30), 1, 120, 0)
				_, err = MeasureDrift(t.Context(), newToy(30), bad, windows, nil)
				check(t, err, "bundle: ", value, where[stage], layers[stage])
				_, err = MeasureDrift(t.Context(), bad, newToy(30), windows, nil)
				check(t, err, "reference model: ", value, where[stage], layers[stage])
			}
		}
	}
	bad := newToy(30)
	bad.badStage, bad.badToken, bad.badValue = 2, 9, nan
	_, err := MeasureParity(t.Context(), newToy(30), opaque{bad}, toyTokens(20, 30))
	if err == nil || !strings.Contains(err.Error(), "runtime: NaN at token 9, in the logits (this model cannot be traced") {
		t.Errorf("error %v", err)
	}
}

func check(t *testing.T, err error, name string, value float32, where string, layer int) {
	t.Helper()
	want := fmt.Sprintf("%s%v at token 90, first %s", name, value, where)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	var r Report
	cause := errors.New(`tensor "w": scale 7 is NaN`)
	rest := r.Note(err, func(l int) error {
		if l != layer {
			t.Errorf("%v: checked layer %d, want %d", err, l, layer)
		}
		return cause
	})
	r.Judge(Thresholds{})
	if rest != nil || r.Pass || len(r.Failures) != 1 || !strings.HasSuffix(r.Failures[0], cause.Error()) || !errors.Is(err, cause) {
		t.Errorf("noted %v, %q", rest, r.Failures)
	}
}

func TestNoteLeavesOtherErrors(t *testing.T) {
	var r Report
	if err := r.Note(errToy, nil); err != errToy || r.Failures != nil {
		t.Errorf("%v, %q", err, r.Failures)
	}
	if err := r.Note(nil, nil); err != nil || r.Failures != nil {
		t.Errorf("%v, %q", err, r.Failures)
	}
}
