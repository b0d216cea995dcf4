package tokenizer

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestFeatures compares parts and models that few decoder-only models have with the tokenizers library.
func TestFeatures(t *testing.T) {
	var file struct {
		Inputs struct {
			Normalizer   []string   `json:"normalizer"`
			PreTokenizer []string   `json:"pre_tokenizer"`
			Decoder      [][]string `json:"decoder"`
		} `json:"inputs"`
		Parts  []map[string]json.RawMessage `json:"parts"`
		Models []struct {
			Tokenizer json.RawMessage `json:"tokenizer"`
			Cases     [][]any         `json:"cases"` // text, ids, ids without special tokens, text of ids, without special tokens
		} `json:"models"`
	}
	readJSON(t, "testdata/features.json", &file)
	if len(file.Parts) < 50 || len(file.Models) < 10 {
		t.Fatal("only", len(file.Parts), "parts and", len(file.Models), "models")
	}
	for _, part := range file.Parts {
		if raw, ok := part["normalizer"]; ok {
			checkNormalizer(t, raw, part["want"], file.Inputs.Normalizer)
		} else if raw, ok := part["pre_tokenizer"]; ok {
			checkPreTokenizer(t, raw, part["want"], file.Inputs.PreTokenizer)
		} else {
			checkDecoder(t, part["decoder"], part["want"], file.Inputs.Decoder)
		}
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
