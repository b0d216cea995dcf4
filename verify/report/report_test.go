package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/verify"
)

const hostile = `<script>alert("x")</script>&'`

// page is a report with something in every section, judged by the limits of int4.
func page(t *testing.T) *Page {
	t.Helper()
	limits, err := verify.DefaultThresholds(verify.Made{Format: "int4", Weights: 8e9})
	if err != nil {
		t.Fatal(err)
	}
	one := verify.Distance{MaxAbs: .001, RelRMS: 1.25e-4, RelMax: .001}
	stages := []verify.Stage{{Name: "embedding"}, {Name: "layer 0", Distance: one}, {Name: "layer 1", Distance: one}, {Name: "final norm", Distance: one}}
	p := verify.Position{Window: 1, Token: 33, KLD: 2.75, P: .0125, PRef: .5, PTop: .375, PTopRef: .5}
	r := &verify.Report{
		Runtime: &verify.Parity{Layers: stages, Schedules: []verify.Schedule{{Name: "in one go", Distance: one, Top1: 1}}},
		Drift:   &verify.Drift{Scored: 3, Windows: 2, WindowTokens: 64, MeanKLD: .03125, Top1: .9375, PPL: 12.5, PPLReference: 12, KLD: verify.Spread{Median: .02, Max: 2.75}},
		Details: &verify.Details{
			Histogram: []verify.Bin{{From: .01, To: .1, Count: 2}, {From: .1, To: 1}, {From: 1, To: 10, Count: 1}},
			Worst:     []verify.Position{p}, Layers: stages,
		},
	}
	r.Judge(limits)
	return &Page{
		Bundle: "out" + hostile, Reference: "tiny" + hostile, Summary: "int4/128 by search", Report: r,
		Tensors: []Tensor{
			{Name: "embed" + hostile, Role: "embed", Layer: -1, Stored: "int8/128", Error: .0052},
			{Name: "a", Role: "q", Layer: 0, Stored: "int4/128", Error: .0911},
			{Name: "b", Role: "q", Layer: 1, Stored: "int4/128", Error: .0922},
		},
		Worst: []Worst{{Position: p, Before: "before " + hostile, Token: "\n", After: " after " + hostile, Top: hostile, TopRef: ""}},
		Text:  &Text{Prompt: "Once" + hostile, Reference: "upon a time" + hostile, Bundle: "there was" + hostile, Same: 3, Tokens: 48},
		Facts: []Fact{{"device", hostile}},
		Files: []File{{"manifest.json", 1234567, "0123abcd"}},
	}
}

func render(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed reads the page as XML, which is stricter than HTML, and fails on what a self-contained
// page must not have.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if name := start.Name.Local; name == "script" || name == "link" || name == "img" || name == "iframe" {
			t.Errorf("an element <%s>", name)
		}
		for _, a := range start.Attr {
			if a.Name.Local == "href" || a.Name.Local == "src" {
				t.Errorf("<%s> has %s=%q", start.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "<script", "url(", "@import"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
}

func TestPage(t *testing.T) {
	p := page(t)
	text := render(t, func(w io.Writer) error { return Write(w, p) })
	wellFormed(t, text)
	for _, want := range []string{
		"<title>PASS: out", "0.0312", "93.75 %", "12.5", "2.75", "upon a time&lt;script&gt;", "there was&lt;script&gt;", "Once&lt;script&gt;",
		"<mark>⏎</mark>", "at 37.50 %", "<code>∅</code>", "1.2 MB", "0123abcd", "0.0922", "The first 3 of 48 tokens",
		"prefers-color-scheme: dark", "1.00 to 10.0 nats: 1 positions", "layer 1: 0.000125", "window 1, token 33", "embed (int8/128) 0.00520",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if n := strings.Count(text, "<polyline"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
}

// A report that ended early has what there is, and says why.
func TestPageOfAFailure(t *testing.T) {
	r := &verify.Report{Failures: []string{"bundle: no number at token 3, first in layer 2: " + hostile}}
	r.Judge(verify.Thresholds{})
	text := render(t, func(w io.Writer) error { return Write(w, &Page{Bundle: "out", Report: r}) })
	wellFormed(t, text)
	if !strings.Contains(text, "<title>FAIL: out") || !strings.Contains(text, "<li>bundle: no number at token 3, first in layer 2: &lt;script&gt;") {
		t.Error(text)
	}
	if strings.Contains(text, "<svg") {
		t.Error("a chart of nothing")
	}
}

func rows() []Row {
	return []Row{
		{Name: "q8" + hostile, ID: "aa11", Method: "int8/128 by search", Bits: 8.19, Bytes: 6e6, Drift: &verify.Drift{MeanKLD: 2.5e-4, MeanKLDError: 1e-5, Top1: .99, PPL: 34, PPLReference: 33}},
		{Name: "q4", ID: "bb22", Method: "int4/128 by search", Bits: 4.19, Bytes: 3e6, Drift: &verify.Drift{MeanKLD: .07, MeanKLDError: .1, Top1: .8, PPL: 36}},
		{Name: "same", ID: "cc33", Method: "f16", Bits: 16, Bytes: 9e6, Drift: &verify.Drift{Top1: 1, PPL: 33}},
	}
}

func TestComparison(t *testing.T) {
	text := render(t, func(w io.Writer) error {
		return WriteComparison(w, &Comparison{Reference: "tiny", Rows: rows(), Facts: []Fact{{"device", "cpu"}}})
	})
	wellFormed(t, text)
	if n := strings.Count(text, "<circle"); n != 2 {
		t.Errorf("%d points, want 2: a divergence of 0 has no place on a logarithmic axis", n)
	}
	for _, want := range []string{"3 bundles of tiny", "0.000250", "8.19", "bb22", "q8&lt;script&gt;", "99 %", "perplexity is 33"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	s := newScatter(rows())
	if a, b := s.Points[0], s.Points[1]; a.X <= b.X || a.Y <= b.Y {
		t.Errorf("int8 at (%v, %v), int4 at (%v, %v): want int8 to the right and lower", a.X, a.Y, b.X, b.Y)
	}
	if newScatter(nil) != nil {
		t.Error("a chart of nothing")
	}
}

// Whatever the values are, nothing is drawn outside of the chart.
func TestChartsStayInside(t *testing.T) {
	for _, edges := range [][2]float64{{1e-8, 2e-8}, {1e-4, 10}, {.05, .06}} {
		h := newHistogram([]verify.Bin{{From: edges[0], To: edges[1], Count: 7}}, &verify.Drift{MeanKLD: edges[0], KLD: verify.Spread{Median: edges[1]}}, edges[1]*3)
		for _, b := range h.Bars {
			if b.X < h.Left || b.X+b.W > h.Right || b.Y < h.Top || b.Y+b.H > h.Bottom+1e-9 || b.W <= 0 {
				t.Errorf("%v: bar %+v outside of %+v", edges, b, h.plane)
			}
		}
		for _, m := range h.Marks {
			if m.X < h.Left || m.X > h.Right {
				t.Errorf("%v: mark %+v outside", edges, m)
			}
		}
	}
	for _, n := range []int{1, 3, 34, 130} {
		stages := make([]verify.Stage, n)
		for i := range stages {
			stages[i] = verify.Stage{Name: "layer 1", Distance: verify.Distance{RelRMS: math.Pow(10, -float64(i%9))}}
		}
		l := newLayers(stages, nil)
		for _, p := range l.Series[0].Points {
			if p.X < l.Left || p.X > l.Right || p.Y < l.Top-1e-9 || p.Y > l.Bottom+1e-9 {
				t.Errorf("%d stages: point %+v outside of %+v", n, p, l.plane)
			}
		}
		if len(l.X) > 15 {
			t.Errorf("%d stages: %d labels", n, len(l.X))
		}
	}
}

func TestNum(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .0694: "0.0694", 36.888: "36.9", 133.9: "134", 1e-5: "1e-05", 12345: "1.23e+04", -.5: "-0.500", .00026: "0.000260"} {
		if got := num(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	p := page(t)
	text := render(t, func(w io.Writer) error { return WriteMarkdown(w, "out", p.Report) })
	for _, want := range []string{"### out ✅ passes", "In words: the bundle reads slightly worse", "| drift: mean KL divergence | 0.03125 | ≤ 0.12 | ✅ |", "3 positions in 2 windows of 64 tokens"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	p.Report.Drift.MeanKLD = 5
	p.Report.Failures = []string{"the bundle is damaged: " + hostile}
	p.Report.Judge(p.Report.Thresholds)
	text = render(t, func(w io.Writer) error { return WriteMarkdown(w, "a|b"+hostile, p.Report) })
	for _, want := range []string{`### a\|b&lt;script>`, "❌ fails", "| drift: mean KL divergence | 5 | ≤ 0.12 | ❌ |", "- the bundle is damaged: &lt;script>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "<script") {
		t.Errorf("markup of the text is in\n%s", text)
	}
}

func TestJUnit(t *testing.T) {
	p := page(t)
	p.Report.Drift.MeanKLD = 5
	p.Report.Failures = []string{"the bundle is damaged: " + hostile}
	p.Report.Judge(p.Report.Thresholds)
	text := render(t, func(w io.Writer) error { return WriteJUnit(w, hostile, p.Report) })
	var got suite
	if err := xml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 5 || got.Failures != 2 || len(got.Cases) != 5 || got.Name != "llama-webgpu verify "+hostile {
		t.Errorf("%d tests of %q, %d failed", got.Tests, got.Name, got.Failures)
	}
	var failed []string
	for _, c := range got.Cases {
		if c.Failure != nil {
			failed = append(failed, c.Failure.Message)
		}
	}
	if strings.Join(failed, "\n") != strings.Join(p.Report.Failures, "\n") {
		t.Errorf("failures %q, want %q", failed, p.Report.Failures)
	}
	if last := got.Cases[4]; last.Class != "verify.drift" || last.Output != "measured 0.9375, wanted at least 0.719579" {
		t.Errorf("%+v", last)
	}
}
