package graph

import "testing"

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		subgroup, n, context int
		order, want          Order
	}{
		{0, 1, 9, Single, InOrder},
		{0, 4, 9, Single, InOrder},
		{0, 4, 9, Apart, InOrder},
		{0, 12, 9, Single, Apart},
		{0, 12, 9, Apart, Apart},
		{0, 12, 9, InOrder, InOrder},
		{32, 1, 9000, Single, InOrder},
		{32, 4, 9000, Single, Single},
		{32, 4, 9, Apart, InOrder},
		{32, 12, onePart, Single, Single},
		{32, 12, onePart + 1, Single, Long},
		{32, 12, 9000, Apart, Apart},
		{32, 12, 9000, InOrder, InOrder},
	} {
		g := &Graph{Kit: &Kit{choose: chooser{Choice: Choice{Subgroup: c.subgroup}}}}
		if got := g.Order(c.n, c.context, c.order); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
