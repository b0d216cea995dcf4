package hf

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What passes the guard is understood by the reader behind it, covers the file, and passes again
// when it is written anew from what was read.
func FuzzGuard(f *testing.F) {
	f.Add(safefile(oneHalf+" ", make([]byte, 8)))
	f.Add(safefile(`{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, make([]byte, 4)))
	f.Add(safefile(`{"a":{"dtype":"F16","shape":[0,3],"data_offsets":[0,0]}}`, nil))
	f.Add(safefile(`{}`, nil))
	f.Add(safefile(`{"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[3,4]}}  `, make([]byte, 4)))
	f.Add(safefile(`{"a":{"shape":[1],"dtype":"BF16","data_offsets":[2,4]},"b":{"dtype":"U8","shape":[2,1],"data_offsets":[0,2]}}  `, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, file []byte) {
		entries, data, err := guard(file)
		if err != nil {
			return
		}
		if _, views, err := parseFile(file); err != nil || len(views) != len(entries) {
			t.Errorf("%d tensors, views of %d: %v", len(entries), len(views), err)
		}
		at := data
		again := map[string]any{}
		for _, e := range entries {
			if data+e.begin != at || data+e.end > len(file) {
				t.Fatalf("%+v does not follow byte %d of %d", e, at, len(file))
			}
			at = data + e.end
			shape := e.shape
			if shape == nil {
				shape = []int{}
			}
			again[e.name] = map[string]any{"dtype": e.dtype, "shape": shape, "data_offsets": []int{e.begin, e.end}}
		}
		if at != len(file) {
			t.Errorf("the tensors end at %d of %d", at, len(file))
		}
		header, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		for len(header)%8 != 0 {
			header = append(header, ' ')
		}
		twice, _, err := guard(safefile(string(header), file[data:]))
		if err != nil {
			t.Fatalf("written anew: %v", err)
		}
		if diff := cmp.Diff(entries, twice, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("written anew: (before, after)\n%s", diff)
		}
	})
}
