package simd

import "testing"

// eachBody runs a test with each set of instructions that this processor has.
func eachBody(t *testing.T, f func(*testing.T)) {
	most := bodies
	defer func() { bodies = most }()
	for b := scalar; b <= most; b++ {
		bodies = b
		t.Run(Name(), f)
	}
}
