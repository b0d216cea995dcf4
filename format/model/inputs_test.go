package model

import "testing"

// TestInputs checks the table against the order of use: of the matrices of a layer, those that share
// inputs follow one another, and every quantizable matrix of a layer has an entry.
func TestInputs(t *testing.T) {
	var before Tensor
	seen := map[int]map[Input]bool{}
	for _, x := range small().Tensors() {
		if x.Layer == NoLayer || !x.Quantizable() {
			if got := x.Role.Input(); got != InputNone {
				t.Errorf("%s of layer %d has the inputs %q", x.Role, x.Layer, got)
			}
			continue
		}
		in := x.Role.Input()
		if in == InputNone {
			t.Errorf("%s has no inputs", x.Role)
		}
		if seen[x.Layer] == nil {
			seen[x.Layer] = map[Input]bool{}
		}
		if seen[x.Layer][in] && !x.SharesInputs(before) {
			t.Errorf("%s of layer %d: the inputs %q come twice, with others between", x.Role, x.Layer, in)
		}
		seen[x.Layer][in], before = true, x
	}
	q, up := Tensor{Role: RoleQ, Layer: 1}, Tensor{Role: RoleUp, Layer: 1}
	for _, c := range []struct {
		a, b Tensor
		want bool
	}{
		{q, Tensor{Role: RoleV, Layer: 1}, true},
		{q, Tensor{Role: RoleV, Layer: 2}, false},
		{up, Tensor{Role: RoleGate, Layer: 1}, true},
		{up, Tensor{Role: RoleSharedUp, Layer: 1}, false},
		{up, Tensor{Role: RoleRouter, Layer: 1}, false},
		{Tensor{Role: RoleAttnNorm}, Tensor{Role: RoleMLPNorm}, false},
	} {
		if got := c.a.SharesInputs(c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a.Role, c.b.Role, got)
		}
	}
}
