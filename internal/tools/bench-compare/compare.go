package main

import (
	"fmt"
	"slices"
	"strings"
)

// samples are speeds, higher is better, by what was measured and side: 0 before, 1 after.
type samples struct {
	names  []string // in the order of measuring
	speeds map[string]*[2][]float64
}

func (s *samples) add(name string, side int, speed float64) {
	if s.speeds == nil {
		s.speeds = map[string]*[2][]float64{}
	}
	if s.speeds[name] == nil {
		s.speeds[name] = new([2][]float64)
		s.names = append(s.names, name)
	}
	s.speeds[name][side] = append(s.speeds[name][side], speed)
}

// tolerance is how much slower a median may be: a busy machine makes as much.
const tolerance = 0.05

// compare returns a table, and how many got slower: by more than the tolerance, with no measurement after as
// fast as half of those before.
func (s *samples) compare(base string) (table string, slower int) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-44s %26s %26s %8s\n", "median (least–greatest)", base, "now", "change")
	for _, name := range s.names {
		before, after := s.speeds[name][0], s.speeds[name][1]
		if len(before) == 0 || len(after) == 0 {
			fmt.Fprintf(&b, "%-44s measured on one side only\n", name)
			continue
		}
		change := median(after)/median(before) - 1
		verdict := ""
		switch {
		case change < -tolerance && slices.Max(after) < median(before):
			verdict = "  slower"
			slower++
		case change > tolerance && slices.Min(after) > median(before):
			verdict = "  faster"
		}
		fmt.Fprintf(&b, "%-44s %26s %26s %+7.1f %%%s\n", name, span(before), span(after), 100*change, verdict)
	}
	return b.String(), slower
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

func span(v []float64) string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(v), slices.Min(v), slices.Max(v))
}
