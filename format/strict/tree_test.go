package strict

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTree(t *testing.T) {
	got, err := Tree([]byte(` {"b": [1.50, -2e3, true, null, "\u00e9\n"], "a": {}, "c": []} `))
	want := &Object{Keys: []string{"b", "a", "c"}, Values: map[string]any{
		"b": []any{Number("1.50"), Number("-2e3"), true, nil, "é\n"}, "a": &Object{Values: map[string]any{}}, "c": []any{},
	}}
	if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, text := range []string{"", "{", "[1,]", `{"a":1,"a":2}`, "tru", "01", `"\x"`, "1 2", strings.Repeat("[", 1e5)} {
		if v, err := Tree([]byte(text)); err == nil {
			t.Errorf("%.20q: %v", text, v)
		}
	}
	for _, text := range []string{"", "a\"b\\c\n\t\x01", "é日\U0001F600"} {
		var back string
		if err := json.Unmarshal([]byte(Quote(text)), &back); err != nil || back != text {
			t.Errorf("%q: %s, %v", text, Quote(text), err)
		}
	}
}
