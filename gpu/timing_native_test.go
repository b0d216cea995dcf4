//go:build cgo && !js

package gpu

import "testing"

func TestSnap(t *testing.T) {
	for _, c := range []struct{ least, most, want float64 }{
		{0.99, 1.02, 1},
		{0.6, 1.6, 1},         // a device that is slow to answer
		{1.01, 1.03, 1},       // clocks that differ a little
		{9, 12, 10},           //
		{40, 44, 1000 / 24.},  //
		{48, 56, 1000 / 19.2}, //
		{70, 120, 100},        // two are possible: the one nearer to the middle
		{2, 4, 3},             // none is known
	} {
		if got := snap(c.least, c.most); got != c.want {
			t.Errorf("between %v and %v: %v, want %v", c.least, c.most, got, c.want)
		}
	}
}
