package hf

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// Documents are read, and refused, as Python does.
func TestLenientAsPython(t *testing.T) {
	var cases []struct {
		Document []byte          `json:"document"`
		Error    bool            `json:"error"`
		Value    json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(read(t, "testdata/config_documents.json"), &cases); err != nil || len(cases) < 80 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		strict, notes, err := lenient(c.Document)
		if (err != nil) != c.Error {
			t.Errorf("%q: error %v, want one: %v", c.Document, err, c.Error)
			continue
		}
		if err != nil {
			continue
		}
		if !sameJSON(t, strict, c.Value) {
			t.Errorf("%q: became %s, want %s (notes %q)", c.Document, strict, c.Value, notes)
		}
	}
}

// sameJSON compares values, numbers by what they are worth.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	parse := func(data []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		return v
	}
	return sameValue(parse(a), parse(b))
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		for k, v := range a {
			ok = ok && sameValue(v, b[k])
		}
		return ok && len(a) == len(b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameValue)
	case json.Number:
		b, ok := b.(json.Number)
		x, err := strconv.ParseFloat(string(a), 64)
		y, err2 := strconv.ParseFloat(string(b), 64)
		return ok && (a == b || err == nil && err2 == nil && x == y)
	}
	return a == b
}

func TestLenientNotes(t *testing.T) {
	for _, c := range []struct{ document, want string }{
		{`{"a": {"b": 1, "b": 2}}`, `key "a.b" is there more than once; the last one counts`},
		{`{"a": ["\ud800"]}`, `key "a" has half of a surrogate pair; it became U+FFFD`},
		{`{"a": Infinity}`, ""},
		{`{"a": 1e9}`, ""},
	} {
		_, notes, err := lenient([]byte(c.document))
		if have := strings.Join(notes, "; "); err != nil || have != c.want {
			t.Errorf("%s: notes %q, error %v; want %q", c.document, have, err, c.want)
		}
	}
	deep := strings.Repeat(`{"a":`, 5000) + "Infinity" + strings.Repeat("}", 5000)
	if _, _, err := lenient([]byte(deep)); err == nil || !strings.Contains(err.Error(), "nested too deep") {
		t.Errorf("5000 objects in one another: error %v", err)
	}
}

// What comes out is strict JSON, and comes out unchanged when it is put in again; what is strict and
// holds no infinity comes out as it is.
func FuzzLenient(f *testing.F) {
	var cases []struct {
		Document []byte `json:"document"`
	}
	if err := json.Unmarshal(read(f, "testdata/config_documents.json"), &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.Document)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		strict, _, err := lenient(data)
		if err != nil {
			if jsontext.Value(data).IsValid() && !bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) && bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) < maxDepth {
				t.Errorf("refused strict JSON: %v", err)
			}
			return
		}
		if !jsontext.Value(strict).IsValid() {
			t.Fatalf("%q became %q, which is not strict", data, strict)
		}
		again, notes, err := lenient(strict)
		if err != nil || !bytes.Equal(again, strict) || len(notes) > 0 {
			t.Errorf("%q became %q and then %q, with notes %q, error %v", data, strict, again, notes, err)
		}
		if jsontext.Value(data).IsValid() && !bytes.ContainsAny(data, "eE.") && !bytes.Equal(data, strict) {
			t.Errorf("strict %q became %q", data, strict)
		}
	})
}
