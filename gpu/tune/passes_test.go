package tune

import (
	"slices"
	"testing"
)

func TestPasses(t *testing.T) {
	got := Passes([]Result{
		{Tokens: 1, Uses: 2, Before: 10, After: 5},
		{Tokens: 512, Uses: 1, Before: 100, After: 100},
		{Tokens: 1, Uses: 3, Before: 20, After: 10},
	})
	if want := []Pass{{1, 80, 40}, {512, 100, 100}}; !slices.Equal(got, want) || got[0].Gain() != 2 {
		t.Errorf("%+v, want %+v", got, want)
	}
}
