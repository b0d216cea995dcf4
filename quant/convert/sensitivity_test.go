package convert

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// TestMeasure checks that a measurement that ends early keeps what it has, that another goes on from there,
// and that neither this nor the number of threads changes what comes out.
func TestMeasure(t *testing.T) {
	f := newFake()
	o := Options{Format: "int2", Threads: 3}
	newJudge := func() *oneMatters { return &oneMatters{inputsOf: newInputs(t, f), matrix: -1, sizes: map[int]int{}} }
	whole := measureAll(t, f, o, newJudge())
	if n := whole.Missing(f, o); n != 0 || len(whole) == 0 {
		t.Fatalf("%d matrices are measured, %d missing", len(whole), n)
	}
	if err := whole.Check(f); err != nil {
		t.Error(err)
	}

	s, stop := Sensitivity{}, errors.New("stop")
	err := s.Measure(t.Context(), f, o, newJudge(), func(done, _ int) error {
		if done == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || len(s) != 2 || s.Missing(f, o) != len(whole)-2 {
		t.Errorf("stopped after 2: %v, %d are there", err, len(s))
	}
	before := maps.Clone(s)
	j := newJudge()
	o.Threads = 1
	if err := s.Measure(t.Context(), f, o, j, func(int, int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for i, tensor := range f.tensors {
		if before[tensor.Name] != nil && j.sizes[i] != 0 {
			t.Errorf("%q was measured again", tensor.Name)
		}
	}
	if !maps.EqualFunc(s, whole, slices.Equal) {
		t.Error("a measurement in two parts differs from one of a piece")
	}
}

// saturating is a judge of a model whose drift has stopped growing long before two bits.
type saturating struct{ *oneMatters }

func (j saturating) Drift(ctx context.Context, i int, s block.Scheme, blocks []byte) (float64, error) {
	drift, err := j.oneMatters.Drift(ctx, i, s, blocks)
	if s.Bits == 2 {
		drift /= 4
	}
	return drift, err
}

// TestMeasureSlowly checks that one measurement is enough to know what four bits cost.
func TestMeasureSlowly(t *testing.T) {
	f := newFake()
	judge := func(slow bool) Judge {
		return saturating{&oneMatters{inputsOf: newInputs(t, f), matrix: -1, sizes: map[int]int{}, slow: slow}}
	}
	o := Options{Format: "int2"}
	slow, fast := measureAll(t, f, o, judge(true)), measureAll(t, f, o, judge(false))
	for name, costs := range slow {
		measurements := 0
		for i, c := range costs {
			if c.Measured {
				measurements++
			}
			if c.Bits >= 4 && c != fast[name][i] {
				t.Errorf("%s: measured slowly %+v, else %+v", name, c, fast[name][i])
			}
		}
		if measurements != 1 {
			t.Errorf("%s: %d measurements, want 1", name, measurements)
		}
	}
}

func TestMeasureErrors(t *testing.T) {
	f := newFake()
	none := func(int, int) error { return nil }
	q := f.index(0, model.RoleO)
	j := &oneMatters{inputsOf: newInputs(t, f), matrix: -1, sizes: map[int]int{}, fail: q}
	if err := (Sensitivity{}).Measure(t.Context(), f, Options{Format: "int2"}, j, none); err == nil || !strings.Contains(err.Error(), f.tensors[q].Name) {
		t.Errorf("no drift: %v", err)
	}
	j = &oneMatters{inputsOf: newInputs(t, f), matrix: -1, sizes: map[int]int{}}
	j.inputsOf.fail = model.RoleO
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Sensitivity{}).Measure(ctx, f, Options{Format: "int2"}, j, none); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	f.set(0, model.RoleQ, 1, 1, float32(math.NaN()))
	if err := (Sensitivity{}).Measure(t.Context(), f, Options{Format: "int2"}, j, none); err == nil || !strings.Contains(err.Error(), f.tensors[f.index(0, model.RoleQ)].Name) {
		t.Errorf("NaN: %v", err)
	}
}

// TestEstimate checks what the drift of schemes is taken for that were not measured.
func TestEstimate(t *testing.T) {
	costs := []Cost{
		{Bits: 2, Block: 256, Error: 16, Drift: 4, Measured: true},
		{Bits: 2, Block: 128, Error: 8},
		{Bits: 2, Block: 64, Error: 20},
		{Bits: 2, Block: 32, Error: 4, Drift: 1, Measured: true},
		{Bits: 4, Block: 256, Error: 2},
		{Bits: 4, Block: 128, Error: 1, Drift: .1, Measured: true},
		{Bits: 8, Block: 128, Error: .01},
	}
	estimate(costs)
	for i, want := range []float64{4, 2, 5, 1, .2, .1, .001} {
		if d := costs[i].Drift; math.Abs(d-want) > 1e-9 {
			t.Errorf("int%d in blocks of %d: %v, want %v", costs[i].Bits, costs[i].Block, d, want)
		}
	}
	costs = []Cost{{Bits: 2, Measured: true}, {Bits: 2}, {Bits: 4, Measured: true}, {Bits: 8}} // a matrix without inputs
	estimate(costs)
	for _, c := range costs {
		if c.Drift != 0 {
			t.Errorf("no error, but drift %v", c.Drift)
		}
	}
}

func TestSensitivityCheck(t *testing.T) {
	f := newFake()
	s := measureAll(t, f, Options{Format: "int2"}, &oneMatters{inputsOf: newInputs(t, f), matrix: -1, sizes: map[int]int{}})
	name := f.tensors[f.index(0, model.RoleQ)].Name
	for want, change := range map[string]func(s Sensitivity){
		"is no matrix in a layer":                           func(s Sensitivity) { s[f.tensors[0].Name] = s[name] },
		"9 schemes, want 10":                                func(s Sensitivity) { s[name] = s[name][:9] },
		"int2 in blocks of 128, want int2 in blocks of 256": func(s Sensitivity) { s[name][0] = s[name][1] },
		"want 0 or more":                                    func(s Sensitivity) { s[name][3].Drift = -1 },
	} {
		changed := maps.Clone(s)
		changed[name] = slices.Clone(s[name])
		change(changed)
		if err := changed.Check(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
