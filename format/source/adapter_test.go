package source

import "testing"

func TestParseAdapter(t *testing.T) {
	for arg, want := range map[string]struct {
		dir   string
		scale float64
	}{
		"a/b": {"a/b", 1}, "a/b:0.5": {"a/b", .5}, "a:b:-2": {"a:b", -2}, `C:\x`: {`C:\x`, 1}, `C:\x:2`: {`C:\x`, 2}, ":3": {":3", 1},
	} {
		if a := ParseAdapter(arg); a.Dir != want.dir || a.Scale != want.scale {
			t.Errorf("%q: %+v", arg, a)
		}
	}
}
