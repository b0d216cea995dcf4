package main

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	var s samples
	for name, speeds := range map[string][2][]float64{
		"same":         {{10, 11, 9}, {10, 9.8, 10.5}},
		"slow":         {{10, 11, 9}, {7, 8, 6}},
		"slow at last": {{10, 11, 9}, {9, 10.5, 8}}, // one as fast as before
		"fast":         {{10, 11, 9}, {20, 21, 22}},
		"new":          {nil, {1}},
	} {
		for side, list := range speeds {
			for _, v := range list {
				s.add(name, side, v)
			}
		}
	}
	table, slower := s.compare("abc")
	if slower != 1 {
		t.Errorf("%d got slower, want 1:\n%s", slower, table)
	}
	for name, want := range map[string]string{
		"same": "+0.0 %", "slow": "-30.0 %  slower", "slow at last": "-10.0 %", "fast": "+110.0 %  faster", "new": "measured on one side only",
	} {
		var line string
		for l := range strings.Lines(table) {
			if rest, ok := strings.CutPrefix(l, name); ok && strings.HasPrefix(rest, "  ") {
				line = strings.TrimSpace(l)
			}
		}
		if !strings.HasSuffix(line, want) {
			t.Errorf("%s: %q, want it to end with %q", name, line, want)
		}
	}
}

func TestMedian(t *testing.T) {
	if a, b := median([]float64{3, 1, 2}), median([]float64{4, 1, 3, 2}); a != 2 || b != 2.5 {
		t.Errorf("%v, %v", a, b)
	}
}
