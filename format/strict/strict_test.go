package strict

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// sample has a field of every kind that there is in this module's files.
type sample struct {
	Text  string            `json:"text"`
	Yes   bool              `json:"yes,omitempty"`
	Whole int               `json:"whole"`
	Small int8              `json:"small"`
	Float float32           `json:"float"`
	Wide  float64           `json:"wide"`
	List  []int             `json:"list"`
	Pair  [2]string         `json:"pair"`
	Maybe *float64          `json:"maybe"`
	IDs   map[string]int32  `json:"ids"`
	Names map[string]string `json:"names"`
	Inner []struct {
		Name string `json:"name"`
	} `json:"inner"`
	embedded
}

type embedded struct {
	Size uint8 `json:"size"`
}

var texts = []string{
	`{"size":255,"text":""}`, `{"size":256}`, `{"size":-1}`, `{"embedded":{"size":1}}`,
	`{}`, ` { "text" : "a\u00e9\ud83d\ude42\n\/", "yes":true, "whole":-12, "small":127, "float":0.1, "wide":1e300 } `,
	`{"list":[1,2,3],"pair":["a","b"],"maybe":2.5,"ids":{"a":1,"b":-2},"names":{"x":"y"},"inner":[{"name":"n"},{}]}`,
	`{"list":null,"pair":null,"maybe":null,"ids":null,"text":null,"inner":null}`, `{"list":[],"ids":{},"inner":[]}`,
	`{"text":"a","text":"b"}`, `{"Text":"a"}`, `{"other":1}`, `{"ids":{"a":1,"a":2}}`, `{"small":128}`, `{"whole":1.0}`, `{"whole":1e2}`, `{"whole":"1"}`,
	`{"float":1e39}`, `{"wide":1e400}`, `{"pair":["a"]}`, `{"pair":["a","b","c"]}`, `{"text":"\ud83d"}`, `{"text":"\ude42\ud83d"}`, "{\"text\":\"\xff\"}",
	"{\"text\":\"a\nb\"}", `{"text":"\x"}`, `{"text":"\u12g4"}`, `{"text":"a`, `{"yes":1}`, `{"yes":tru}`, `{} {}`, `{},`, ``, `null`, `[]`, `"x"`, `{"list":[1,]}`, `{"list":[1 2]}`,
	`{"list":[01]}`, `{"list":[-]}`, `{"wide":1.}`, `{"wide":.5}`, `{"wide":1e}`, `{"wide":-0.0}`, `{"wide":+1}`, `{"a"}`, `{"whole":1,}`, `{1:2}`, `{"inner":[{"nome":1}]}`, `{"hidden":1}`,
	`{"whole":9007199254740993}`, `{"wide":9007199254740993}`, `{"wide":0.000001,"float":1e-7,"whole":123456789012}`, `{"names":{"\u20ac":"e","\r":"","\ufb33":"","1":"","\ud83d\ude02":"","\u0080":"","\u00f6":""}}`,
}

// same compares with go-json-experiment what becomes of a text.
func same(t *testing.T, text []byte) {
	t.Helper()
	for _, some := range []bool{false, true} {
		var got, want sample
		err := unmarshal(text, &got, some)
		wantErr := json.Unmarshal(text, &want, json.RejectUnknownMembers(!some))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, want %v", text, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
	}
	got, err := Canonical(text)
	want := jsontext.Value(bytes.Clone(text))
	wantErr := want.Canonicalize()
	if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
		t.Fatalf("%q: canonical %q, %v, want %q, %v", text, got, err, want, wantErr)
	}
}

func TestSame(t *testing.T) {
	for _, text := range texts {
		same(t, []byte(text))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		same(t, strconv.AppendFloat([]byte(`{"wide":`), (rng.Float64()-0.5)*float64(uint64(1)<<rng.IntN(63))/float64(uint64(1)<<rng.IntN(63)), 'g', -1, 64)[:])
		same(t, []byte(`{"wide":`+strconv.FormatFloat(rng.NormFloat64()*float64(uint64(1)<<rng.IntN(63))*float64(uint64(1)<<rng.IntN(30)), 'e', rng.IntN(17), 64)+`}`))
	}
}

// TestErrors: they say where and what.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"inner":[{},{"nome":1}]}`: `byte 21, /inner/1/nome: unknown member "nome"`, `{"ids":{"a":1,"a":2}}`: `/ids: duplicate member "a"`,
		`{"whole":"1"}`: `/whole: a string, want an integer`, `{"small":300}`: `/small: 300 is not an integer, or out of range`, `{"list":{}}`: `/list: an object, want a list`, `{"text":true}`: `/text: a boolean, want a string`,
		`{"pair":["a"]}`: `/pair: a list of 1, want 2`, `{} x`: `byte 3: there is more behind the value`, `{"text":"a`: `not closed`, strings.Repeat("[", 2000): "JSON",
		`{"other":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`: `unknown member "other"`,
	} {
		var v sample
		if err := Unmarshal([]byte(text), &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want %q", text, err, want)
		}
	}
	var v sample
	deep := `{"other":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`
	if err := UnmarshalSome([]byte(deep), &v); err == nil || !strings.Contains(err.Error(), "more than 1000 deep") {
		t.Errorf("error %v", err)
	}
}

// later is read later, and own by itself.
type later struct {
	Raw Value `json:"raw"`
	Own own   `json:"own"`
}

type own struct{ text string }

func (o *own) ReadJSON(text []byte) error {
	o.text = string(text)
	return nil
}

func TestValue(t *testing.T) {
	var v later
	if err := Unmarshal([]byte(`{"raw": {"b":[1, 2],"a":null} ,"own":[ null ]}`), &v); err != nil {
		t.Fatal(err)
	}
	if string(v.Raw) != `{"b":[1, 2],"a":null}` || v.Own.text != `[ null ]` || v.Raw.Absent() || !Value("null").Absent() || !Value(nil).Absent() {
		t.Errorf("got %+v", v)
	}
	if err := Unmarshal([]byte(`{"raw":{"a":1,"a":2}}`), &v); err == nil {
		t.Error("a duplicate member of what is read later is no error")
	}
}

func FuzzSame(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) < maxDepth {
			same(t, text)
		}
	})
}
