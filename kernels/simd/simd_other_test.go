//go:build !amd64

package simd

import "testing"

func eachBody(t *testing.T, f func(*testing.T)) { t.Run(Name(), f) }
