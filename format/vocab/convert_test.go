package vocab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// golden is a case of testdata/make_vocab.py.
type golden struct {
	Name      string                     `json:"name"`
	ModelType string                     `json:"model_type"`
	Class     string                     `json:"class"`
	Take      map[string]string          `json:"take"`  // names of files, and whence they are
	Files     map[string]json.RawMessage `json:"files"` // texts of others
	Want      map[string]any             `json:"want"`
	IDs       [][]int32                  `json:"ids"` // of texts
}

func readGoldens(t testing.TB) (texts []string, cases []golden) {
	t.Helper()
	var all struct {
		Texts *[]string `json:"texts"`
		Cases *[]golden `json:"cases"`
	}
	all.Texts, all.Cases = &texts, &cases
	if err := json.Unmarshal(testFile(t, "goldens.json"), &all); err != nil {
		t.Fatal(err)
	}
	return texts, cases
}

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// source returns the files of a case.
func (g *golden) source(t testing.TB) *Source {
	files := map[string][]byte{}
	for name, from := range g.Take {
		files[name] = testFile(t, from)
	}
	for name, text := range g.Files {
		files[name] = text
	}
	return sourceOf(files, g.ModelType, g.Class)
}

func sourceOf(files map[string][]byte, modelType, class string) *Source {
	return &Source{
		Names: slices.Sorted(maps.Keys(files)), ModelType: modelType, Class: class,
		Read: func(name string) ([]byte, error) {
			if data, ok := files[name]; ok {
				return data, nil
			}
			return nil, os.ErrNotExist
		},
	}
}

// TestConvert compares with what transformers makes of the same files.
func TestConvert(t *testing.T) {
	texts, cases := readGoldens(t)
	for _, g := range cases {
		t.Run(g.Name, func(t *testing.T) {
			r, err := Convert(g.source(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.Want, hashed(t, r.JSON)); diff != "" && len(g.Want) > 1 { // some have only ids
				t.Errorf("tokenizer.json of %s (−want +got):\n%s", r.From, diff)
			}
			tok, err := tokenizer.Parse(r.JSON)
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range texts {
				if got := encoded(tok.Encode(text, true)); !slices.Equal(got, g.IDs[i]) {
					t.Errorf("%q becomes %v: want %v", text, got, g.IDs[i])
				}
			}
			if again, err := Convert(g.source(t)); err != nil || !bytes.Equal(again.JSON, r.JSON) {
				t.Errorf("the second time: other bytes, or %v", err)
			}
		})
	}
}

// hashed returns a tokenizer.json with hashes in place of its large parts, as the script writes them.
func hashed(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	model := v["model"].(map[string]any)
	switch vocab := model["vocab"].(type) {
	case map[string]any:
		model["vocab"] = digest(t, slices.SortedFunc(maps.Keys(vocab), func(a, b string) int { return int(vocab[a].(float64) - vocab[b].(float64)) }))
	case []any:
		var tokens []any
		for _, e := range vocab {
			tokens = append(tokens, e.([]any)[0])
		}
		model["vocab"] = digest(t, tokens)
	}
	if merges, ok := model["merges"]; ok {
		model["merges"] = digest(t, merges)
	}
	dropPair(v["post_processor"])
	if n, ok := v["normalizer"].(map[string]any); ok {
		hashCharsmap(t, n)
		list, _ := n["normalizers"].([]any)
		for _, n := range list {
			hashCharsmap(t, n.(map[string]any))
		}
	}
	return v
}

// dropPair takes away what a post-processor does with pairs of texts.
func dropPair(part any) {
	p, _ := part.(map[string]any)
	delete(p, "pair")
	list, _ := p["processors"].([]any)
	for _, q := range list {
		dropPair(q)
	}
}

func hashCharsmap(t *testing.T, n map[string]any) {
	if table, ok := n["precompiled_charsmap"]; ok {
		n["precompiled_charsmap"] = digest(t, table)
	}
}

func digest(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	text := bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte(`\u2028`), []byte("\u2028"))
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
