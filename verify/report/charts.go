package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/verify"
)

// Charts are drawn in a view box of chartWidth units, text at 12; style.css lets narrow screens
// scroll them.
const (
	chartWidth  = 720.0
	chartHeight = 260.0
	left        = 56.0 // room for numbers
	right       = 12.0
	top         = 22.0
	bottom      = 40.0
)

// tick is a mark on an axis.
type tick struct {
	At    float64
	Label string
}

// axis maps values to a stretch of the chart.
type axis struct {
	lo, hi   float64 // values, or their decimal logarithms
	from, to float64 // units
	log      bool
}

func (a axis) at(v float64) float64 {
	if a.log {
		v = math.Log10(v)
	}
	return a.from + (v-a.lo)/(a.hi-a.lo)*(a.to-a.from)
}

// logAxis covers whole decades around positive values.
func logAxis(lo, hi, from, to float64) axis {
	a := axis{lo: math.Floor(math.Log10(lo)), hi: math.Ceil(math.Log10(hi)), from: from, to: to, log: true}
	if a.hi <= a.lo {
		a.hi = a.lo + 1
	}
	return a
}

// decades returns ticks of a logarithmic axis, at most seven or so.
func (a axis) decades() []tick {
	var ticks []tick
	step := math.Ceil((a.hi - a.lo) / 7)
	for e := math.Ceil(a.lo); e <= a.hi+1e-9; e += step {
		v := math.Pow(10, e)
		label := fmt.Sprintf("%g", v)
		if e < -3 || e > 4 {
			label = fmt.Sprintf("1e%g", e)
		}
		ticks = append(ticks, tick{a.at(v), label})
	}
	return ticks
}

// linear returns ticks of a linear axis at round values.
func (a axis) linear() []tick {
	step := math.Pow(10, math.Floor(math.Log10((a.hi-a.lo)/3)))
	for (a.hi-a.lo)/step > 6 {
		step *= 2
	}
	var ticks []tick
	for v := math.Ceil(a.lo/step) * step; v <= a.hi+step*1e-9; v += step {
		ticks = append(ticks, tick{a.at(v), fmt.Sprintf("%.3g", v)})
	}
	return ticks
}

// plane is the plane that all charts with two axes are drawn in.
type plane struct {
	W, H                     float64
	Left, Right, Top, Bottom float64 // of the plane
	X, Y                     []tick
	XName                    string
}

// LabelX, LabelY and NameY are where the labels of the axes stand.
func (p plane) LabelX() float64 { return p.Left - 8 }
func (p plane) LabelY() float64 { return p.Bottom + 17 }
func (p plane) NameY() float64  { return p.Bottom + 34 }

func newPlane() plane {
	return plane{W: chartWidth, H: chartHeight, Left: left, Right: chartWidth - right, Top: top, Bottom: chartHeight - bottom}
}

// bars is a histogram.
type bars struct {
	plane
	Bars  []bar
	Marks []mark
}

type bar struct {
	X, Y, W, H float64
	Title      string
}

// marksHeight is the room above the bars for the names of the marks.
const marksHeight = 36.0

// mark is a vertical line with a name.
type mark struct {
	X      float64
	Y      float64 // of the name
	Name   string
	Class  string
	Anchor string
}

func newHistogram(bins []verify.Bin, d *verify.Drift, limit float64) *bars {
	if len(bins) == 0 || d == nil {
		return nil
	}
	b := &bars{plane: newPlane()}
	b.H, b.Top, b.Bottom = b.H+marksHeight, b.Top+marksHeight, b.Bottom+marksHeight
	lo, hi := bins[0].From, bins[len(bins)-1].To
	if limit > 0 {
		hi = max(hi, limit)
	}
	x := axis{lo: math.Log10(lo), hi: math.Log10(hi) + .05, from: b.Left, to: b.Right, log: true}
	most := 1
	for _, bin := range bins {
		most = max(most, bin.Count)
	}
	y := axis{hi: float64(most) * 1.12, from: b.Bottom, to: b.Top}
	for _, bin := range bins {
		x0, x1, y0 := x.at(bin.From)+1, x.at(bin.To)-1, y.at(float64(bin.Count))
		b.Bars = append(b.Bars, bar{x0, y0, x1 - x0, b.Bottom - y0, fmt.Sprintf("%s to %s nats: %d positions", num(bin.From), num(bin.To), bin.Count)})
	}
	b.X, b.Y, b.XName = x.decades(), y.linear(), "nats"
	for _, m := range []struct {
		at          float64
		name, class string
	}{{d.KLD.Median, "median", "soft"}, {d.MeanKLD, "mean", "strong"}, {limit, "mean allowed", "limit"}} {
		if m.at >= lo && m.at <= hi {
			b.Marks = append(b.Marks, newMark(x.at(m.at), m.name+" "+num(m.at), m.class, b))
		}
	}
	return b
}

// newMark puts the name of each further mark on a line of its own, and keeps it in the chart.
func newMark(x float64, name, class string, b *bars) mark {
	m := mark{X: x, Y: 14 + 16*float64(len(b.Marks)), Name: name, Class: class, Anchor: "start"}
	if x > (b.Left+b.Right)/2 {
		m.Anchor = "end"
	}
	return m
}

// LineTop is where the line begins: beside its name.
func (m mark) LineTop() float64 { return m.Y - 10 }

// Label is where the name of the mark stands.
func (m mark) Label() float64 {
	if m.Anchor == "end" {
		return m.X - 5
	}
	return m.X + 5
}

// lines are values after each stage of a model.
type lines struct {
	plane
	Series []series
	Rows   []layerRow
}

type series struct {
	Name, Class string
	Path        string // of an SVG polyline
	Points      []point
}

type point struct {
	X, Y  float64
	Title string
}

// layerRow is a line of the table below the chart; a number that was not measured is "".
type layerRow struct{ Name, Drift, Runtime string }

func newLayers(drift, runtime []verify.Stage) *lines {
	lo, hi := math.Inf(1), 0.0
	for _, s := range slices.Concat(drift, runtime) {
		if s.RelRMS > 0 {
			lo, hi = min(lo, s.RelRMS), max(hi, s.RelRMS)
		}
	}
	if hi == 0 {
		return nil
	}
	l := &lines{plane: newPlane()}
	stages := drift
	if len(runtime) > len(drift) {
		stages = runtime
	}
	y := logAxis(lo, hi, l.Bottom, l.Top)
	x := axis{hi: float64(max(len(stages)-1, 1)), from: l.Left + 10, to: l.Right - 10}
	l.Y, l.XName = y.decades(), "after layer"
	every := max(1, (len(stages)+11)/12)
	for i, s := range stages {
		if i == 0 || i == len(stages)-1 || (i-1)%every == 0 && i <= len(stages)-1-every {
			l.X = append(l.X, tick{x.at(float64(i)), shortStage(s.Name)})
		}
		l.Rows = append(l.Rows, layerRow{Name: s.Name, Drift: value(drift, i), Runtime: value(runtime, i)})
	}
	l.add("bundle and checkpoint", "drift", drift, x, y)
	l.add("runtime and reference, same weights", "runtime", runtime, x, y)
	return l
}

func shortStage(name string) string {
	switch name {
	case "embedding":
		return "embed"
	case "final norm":
		return "norm"
	}
	var n int
	if _, err := fmt.Sscanf(name, "layer %d", &n); err == nil {
		return fmt.Sprint(n)
	}
	return name
}

func value(stages []verify.Stage, i int) string {
	if i >= len(stages) {
		return ""
	}
	return num(stages[i].RelRMS)
}

// add draws a series; a stage without any difference has no place on a logarithmic axis.
func (l *lines) add(name, class string, stages []verify.Stage, x, y axis) {
	if len(stages) == 0 {
		return
	}
	s := series{Name: name, Class: class}
	for i, stage := range stages {
		if stage.RelRMS > 0 {
			p := point{x.at(float64(i)), y.at(stage.RelRMS), fmt.Sprintf("%s: %s", stage.Name, num(stage.RelRMS))}
			s.Points = append(s.Points, p)
			s.Path += fmt.Sprintf("%.1f,%.1f ", p.X, p.Y)
		}
	}
	l.Series = append(l.Series, s)
}
