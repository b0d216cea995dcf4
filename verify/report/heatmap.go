package report

import (
	"fmt"
	"math"
	"slices"
)

// heatmap has a row for each role and a column for each layer.
type heatmap struct {
	W, H   float64
	X      []tick
	Rows   []heatRow
	Others []Tensor // outside the layers
	Worst  []Tensor // of all, the worst first
	Min    float64
	Max    float64
}

// LabelY is where the numbers of the layers stand.
func (h *heatmap) LabelY() float64 { return h.H - 16 }

type heatRow struct {
	Y     float64
	Name  string
	Range string
	Cells []cell
}

type cell struct {
	X, Y, W, H float64
	Shade      float64 // 0.15 to 1
	Title      string
}

// heatLine is the height of a row.
const (
	heatLine  = 22.0
	heatLeft  = 96.0
	heatRight = 110.0
	heatWorst = 8
)

func newHeatmap(tensors []Tensor) *heatmap {
	h := &heatmap{W: chartWidth, Min: math.Inf(1)}
	layers := 0
	byRole := map[string][]Tensor{}
	var roles []string
	for _, t := range tensors {
		h.Min, h.Max = min(h.Min, t.Error), max(h.Max, t.Error)
		if t.Layer < 0 {
			h.Others = append(h.Others, t)
			continue
		}
		layers = max(layers, t.Layer+1)
		if byRole[t.Role] == nil {
			roles = append(roles, t.Role)
		}
		byRole[t.Role] = append(byRole[t.Role], t)
	}
	if h.Max == 0 {
		return nil
	}
	h.Worst = slices.Clone(tensors)
	slices.SortStableFunc(h.Worst, func(a, b Tensor) int {
		switch {
		case a.Error > b.Error:
			return -1
		case a.Error < b.Error:
			return 1
		}
		return 0
	})
	h.Worst = h.Worst[:min(heatWorst, len(h.Worst))]
	x := axis{hi: float64(max(layers, 1)), from: heatLeft, to: chartWidth - heatRight}
	for i, role := range roles {
		h.Rows = append(h.Rows, h.row(float64(i)*heatLine+4, role, byRole[role], x))
	}
	h.H = float64(len(roles))*heatLine + 36
	every := max(1, (layers+11)/12)
	for i := 0; i < layers; i += every {
		h.X = append(h.X, tick{x.at(float64(i) + .5), fmt.Sprint(i)})
	}
	return h
}

func (h *heatmap) row(y float64, role string, tensors []Tensor, x axis) heatRow {
	r := heatRow{Y: y + heatLine/2 + 3, Name: role}
	lo, hi := math.Inf(1), 0.0
	for _, t := range tensors {
		lo, hi = min(lo, t.Error), max(hi, t.Error)
		from, to := x.at(float64(t.Layer)), x.at(float64(t.Layer+1))
		r.Cells = append(r.Cells, cell{
			X: from + .75, Y: y, W: to - from - 1.5, H: heatLine - 2,
			Shade: h.shade(t.Error), Title: fmt.Sprintf("%s, %s: %s", t.Name, t.Stored, num(t.Error)),
		})
	}
	r.Range = num(lo) + "–" + num(hi)
	return r
}

// shade shows where an error lies between the smallest and the largest.
func (h *heatmap) shade(v float64) float64 {
	if h.Max <= h.Min {
		return .6
	}
	return .15 + .85*(v-h.Min)/(h.Max-h.Min)
}
