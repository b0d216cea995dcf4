package tokenizer

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestFeatures compares parts and models that few decoder-only models have with the tokenizers library.
func TestFeatures(t *testing.T) {
	var file struct {
		partCases
		Models []struct {
			Tokenizer json.RawMessage `json:"tokenizer"`
			Cases     [][]any         `json:"cases"` // text, ids, ids without special tokens, text of ids, without special tokens
		} `json:"models"`
	}
	readJSON(t, "testdata/features.json", &file)
	file.check(t, 50)
	if len(file.Models) < 10 {
		t.Fatal("only", len(file.Models), "models")
	}
	for i, m := range file.Models {
		tok, err := Parse(m.Tokenizer)
		if err != nil {
			t.Errorf("model %d: %v", i, err)
			continue
		}
		for _, c := range m.Cases {
			text, ids := c[0].(string), toIDs(c[1])
			if got := encoded(tok.Encode(text, true)); !slices.Equal(got, ids) {
				t.Errorf("model %d: %q gives %v, want %v", i, text, got, ids)
			}
			if got := encoded(tok.Encode(text, false)); !slices.Equal(got, toIDs(c[2])) {
				t.Errorf("model %d: %q alone gives %v, want %v", i, text, got, c[2])
			}
			if got := tok.Decode(ids, false); got != c[3] {
				t.Errorf("model %d: %v is %q, want %q", i, ids, got, c[3])
			}
			if got := tok.Decode(ids, true); got != c[4] {
				t.Errorf("model %d: %v without special tokens is %q, want %q", i, ids, got, c[4])
			}
		}
	}
}

func toIDs(v any) (ids []int32) {
	for _, id := range v.([]any) {
		ids = append(ids, int32(id.(float64)))
	}
	return ids
}
