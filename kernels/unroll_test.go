package kernels

import (
	"strings"
	"testing"
)

func TestUnroll(t *testing.T) {
	src := `const N: u32 = 2u;
fn f() {
  for (var i = 0u; i < N + 1u; i++) { // unroll
    for (var k = 0u; k < N; k++) { a[i * N + k] = ki + i2; } // unroll
    for (var j = 0u; j < N; j++) { b(i, j); }
  }
}
`
	got, err := unroll(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"{ a[0u * N + 0u] = ki + i2; }", "{ a[2u * N + 1u] = ki + i2; }", "for (var j = 0u; j < N; j++) { b(1u, j); }",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q stands %d times in\n%s", want, strings.Count(got, want), got)
		}
	}
	if strings.Contains(got, "var i") || strings.Contains(got, "var k") || strings.Count(got, "{") != strings.Count(got, "}") {
		t.Errorf("left over:\n%s", got)
	}
	for bad, want := range map[string]string{
		"for (var i = 1u; i < 2u; i++) { } // unroll\n":                                         "only loops",
		"for (var i = 0u; j < 2u; i++) { } // unroll\n":                                         "only loops",
		"x\nfor (var i = 0u; i < n; i++) { } // unroll\n":                                       "line 2: a loop of n rounds",
		"for (var i = 0u; i < 1000u; i++) { } // unroll\n":                                      "a loop of 1000u rounds",
		"for (var i = 0u; i < 2u; i++) { // unroll\n":                                           "does not end",
		"for (var i = 0u; i < 256u; i++) { " + strings.Repeat("x = 1;", 1000) + "} // unroll\n": "larger than",
		"if (a) { } // unroll\n":                                                                "only loops",
	} {
		if _, err := unroll(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error %v, want %q", bad, err, want)
		}
	}
}
