package main

import "testing"

// TestPipelines says what was compiled, and what an earlier start had compiled.
func TestPipelines(t *testing.T) {
	for _, c := range []struct {
		hits, misses int
		want         string
	}{
		{0, 0, "22 compiled in 0.31 s"},
		{0, 44, "22 compiled in 0.31 s"},
		{44, 0, "22 in 0.31 s, 44 of 44 parts from the cache"},
		{40, 4, "22 in 0.31 s, 40 of 44 parts from the cache"},
	} {
		if got := pipelines(22, 0.312, c.hits, c.misses); got != c.want {
			t.Errorf("%d hits, %d misses: %q, want %q", c.hits, c.misses, got, c.want)
		}
	}
}
