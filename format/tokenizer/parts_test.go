package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sorted(s []string) []string {
	s = append([]string{}, s...)
	slices.Sort(s)
	return s
}

// partCases are single parts of tokenizers, and what the tokenizers library makes of the inputs.
type partCases struct {
	Inputs struct {
		Normalizer   []string   `json:"normalizer"`
		PreTokenizer []string   `json:"pre_tokenizer"`
		Decoder      [][]string `json:"decoder"`
	} `json:"inputs"`
	Parts []map[string]json.RawMessage `json:"parts"`
}

// check compares the parts, of which there are at least a number.
func (c *partCases) check(t *testing.T, least int) {
	t.Helper()
	if len(c.Parts) < least {
		t.Fatal("only", len(c.Parts), "parts")
	}
	for _, part := range c.Parts {
		if raw, ok := part["normalizer"]; ok {
			checkNormalizer(t, raw, part["want"], c.Inputs.Normalizer)
		} else if raw, ok := part["pre_tokenizer"]; ok {
			checkPreTokenizer(t, raw, part["want"], c.Inputs.PreTokenizer)
		} else {
			checkDecoder(t, part["decoder"], part["want"], c.Inputs.Decoder)
		}
	}
}

// TestParts compares single normalizers, pre-tokenizers and decoders with the tokenizers library.
func TestParts(t *testing.T) {
	var file partCases
	readJSON(t, "testdata/parts.json", &file)
	file.check(t, 130)
}

func checkNormalizer(t *testing.T, raw, wantJSON []byte, inputs []string) {
	var want []string
	if err := json.Unmarshal(wantJSON, &want); err != nil {
		t.Fatal(err)
	}
	steps, err := parseNormalizer(raw)
	if err != nil {
		t.Errorf("%s: %v", raw, err)
		return
	}
	for i, in := range inputs {
		p := piece{text: in, start: true}
		for _, n := range steps {
			n(&p)
		}
		if p.text != want[i] {
			t.Errorf("%s: %q gives %q, want %q", raw, in, p.text, want[i])
		}
	}
}

func checkPreTokenizer(t *testing.T, raw, wantJSON []byte, inputs []string) {
	var want [][]string
	if err := json.Unmarshal(wantJSON, &want); err != nil {
		t.Fatal(err)
	}
	steps, err := parsePreTokenizer(raw)
	if err != nil {
		t.Errorf("%s: %v", raw, err)
		return
	}
	for i, in := range inputs {
		pieces := forEach([]piece{{in, notToken, true}}, func(p piece, out []piece) []piece { return append(out, p) })
		for _, s := range steps {
			pieces = forEach(pieces, s)
		}
		got := []string{}
		for _, p := range pieces {
			got = append(got, p.text)
		}
		if d := cmp.Diff(want[i], got); d != "" {
			t.Errorf("%s: %q: %s", raw, in, d)
		}
	}
}

func checkDecoder(t *testing.T, raw, wantJSON []byte, inputs [][]string) {
	var want []string
	if err := json.Unmarshal(wantJSON, &want); err != nil {
		t.Fatal(err)
	}
	steps, err := parseDecoder(raw)
	if err != nil {
		t.Errorf("%s: %v", raw, err)
		return
	}
	for i, in := range inputs {
		s := (&Tokenizer{decode: steps}).Stream(false)
		var b strings.Builder
		for _, token := range in {
			s.sinks[0](token, true)
			b.WriteString(s.take())
		}
		b.WriteString(s.Flush())
		if b.String() != want[i] {
			t.Errorf("%s: %q gives %q, want %q", raw, in, b.String(), want[i])
		}
	}
}
