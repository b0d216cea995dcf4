package report

import (
	"fmt"
	"math"
)

// scatter shows KL divergence over bits per weight.
type scatter struct {
	plane
	Points []labelled
}

type labelled struct {
	point
	Name   string
	Anchor string
	LX, LY float64 // of the name
	Low    float64 // ends of one standard error
	High   float64
}

func newScatter(rows []Row) *scatter {
	lo, hi := math.Inf(1), 0.0
	from, to := math.Inf(1), 0.0
	for _, r := range rows {
		if r.Drift == nil || r.Drift.MeanKLD <= 0 {
			continue
		}
		lo, hi = min(lo, r.Drift.MeanKLD), max(hi, r.Drift.MeanKLD+r.Drift.MeanKLDError)
		from, to = min(from, r.Bits), max(to, r.Bits)
	}
	if hi == 0 {
		return nil
	}
	s := &scatter{plane: newPlane()}
	s.H += 60
	s.Bottom += 60
	room := max((to-from)*.08, .25)
	x := axis{lo: from - room, hi: to + room, from: s.Left, to: s.Right}
	y := logAxis(lo, hi, s.Bottom, s.Top)
	s.X, s.Y, s.XName = x.linear(), y.decades(), "bits per weight"
	for _, r := range rows {
		if r.Drift != nil && r.Drift.MeanKLD > 0 {
			s.Points = append(s.Points, s.label(r, x, y))
		}
	}
	return s
}

func (s *scatter) label(r Row, x, y axis) labelled {
	k, e := r.Drift.MeanKLD, r.Drift.MeanKLDError
	p := labelled{
		point: point{x.at(r.Bits), y.at(k), fmt.Sprintf("%s: %s ± %s nats at %.3g bits", r.Name, num(k), num(e), r.Bits)},
		Name:  r.Name, Anchor: "start",
	}
	p.Low, p.High = p.Y, y.at(k+e)
	if k > e {
		p.Low = min(y.at(k-e), s.Bottom)
	}
	p.LX = p.X + 9
	if p.X > (s.Left+s.Right)/2 {
		p.Anchor, p.LX = "end", p.X-9
	}
	p.LY = p.Y + 4
	for _, q := range s.Points { // names that would lie on each other
		if math.Abs(q.LY-p.LY) < 13 && math.Abs(q.X-p.X) < 160 {
			p.LY = q.LY + 14
		}
	}
	return p
}
