package vocab

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/gguf"
	"github.com/llama-webgpu/llama-webgpu/format/gguf/gguftest"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// ggufPieces is a vocabulary of testdata/gguf.json.
type ggufPieces struct {
	Tokens []string
	Types  []int32
	Scores []float32
	IDs    [][]int32 // of each text
}

type ggufGolden struct {
	Texts []string
	Bytes struct {
		Tokens, Merges []string
		Types          []int32
		IDs            map[string][][]int32 // by the name of the pre-tokenizer
	}
	Prefix, Bare ggufPieces
}

func readGolden(t testing.TB) *ggufGolden {
	t.Helper()
	data, err := os.ReadFile("testdata/gguf.json")
	if err != nil {
		t.Fatal(err)
	}
	g := &ggufGolden{}
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func metadata(t testing.TB, values ...gguftest.Value) *gguf.File {
	t.Helper()
	f, err := gguf.Parse((&gguftest.File{Values: values}).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (g *ggufGolden) byteLevel(pre string, more ...gguftest.Value) []gguftest.Value {
	return append([]gguftest.Value{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: pre},
		{Key: "tokenizer.ggml.tokens", Value: g.Bytes.Tokens},
		{Key: "tokenizer.ggml.merges", Value: g.Bytes.Merges},
		{Key: "tokenizer.ggml.token_type", Value: g.Bytes.Types},
	}, more...)
}

func (p *ggufPieces) values(space bool) []gguftest.Value {
	return []gguftest.Value{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: p.Tokens},
		{Key: "tokenizer.ggml.scores", Value: p.Scores},
		{Key: "tokenizer.ggml.token_type", Value: p.Types},
		{Key: "tokenizer.ggml.add_space_prefix", Value: space},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)},
	}
}

// parsed makes a tokenizer of the metadata of a GGUF file.
func parsed(t *testing.T, values ...gguftest.Value) (*tokenizer.Tokenizer, []string) {
	t.Helper()
	text, notes, err := FromGGUF(metadata(t, values...))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok, notes
}

func compareIDs(t *testing.T, tok *tokenizer.Tokenizer, texts []string, want [][]int32) {
	t.Helper()
	for i, text := range texts {
		ids := encoded(tok.Encode(text, false))
		if !slices.Equal(ids, want[i]) {
			t.Errorf("%q: %v, want %v", text, ids, want[i])
		}
		if back := tok.Decode(ids, false); strings.TrimLeft(back, " ") != strings.TrimLeft(text, " ") && !strings.Contains(text, "\u0301") {
			t.Errorf("%q: decoded %q", text, back)
		}
	}
}

// TestGGUFPre compares tokens with those of the tokenizers library.
func TestGGUFPre(t *testing.T) {
	g := readGolden(t)
	for pre, want := range g.Bytes.IDs {
		t.Run(pre, func(t *testing.T) {
			tok, notes := parsed(t, g.byteLevel(pre)...)
			if notes != nil {
				t.Error(notes)
			}
			compareIDs(t, tok, g.Texts, want)
		})
	}
}

// TestGGUFCuts: all names of pre-tokenizers make a tokenizer.
func TestGGUFCuts(t *testing.T) {
	g := readGolden(t)
	for pre := range ggufCuts {
		tok, _ := parsed(t, g.byteLevel(pre)...)
		for _, text := range g.Texts {
			if back := tok.Decode(encoded(tok.Encode(text, false)), false); back != text && !strings.Contains(text, "\u0301") {
				t.Errorf("%s: %q: decoded %q", pre, text, back)
			}
		}
	}
}

// TestGGUFPieces compares tokens with those of SentencePiece.
func TestGGUFPieces(t *testing.T) {
	g := readGolden(t)
	for _, test := range []struct {
		p     *ggufPieces
		space bool
	}{{&g.Prefix, true}, {&g.Bare, false}} {
		tok, _ := parsed(t, test.p.values(test.space)...)
		texts, want := []string{}, [][]int32{}
		for i, text := range g.Texts {
			texts, want = append(texts, text), append(want, test.p.IDs[i])
			if text == "" { // transformers puts no space before nothing either
				want[i] = nil
			}
		}
		compareIDs(t, tok, texts, want)
		if before, after := tok.Around(); !slices.Equal(before, []int32{1}) || len(after) > 0 {
			t.Error(before, after)
		}
	}
}

func TestGGUFAround(t *testing.T) {
	g := readGolden(t)
	begin := uint32(slices.Index(g.Bytes.Tokens, "<|begin|>"))
	ids := []gguftest.Value{{Key: "tokenizer.ggml.bos_token_id", Value: begin}, {Key: "tokenizer.ggml.eos_token_id", Value: begin + 1}}
	flags := func(bos, eos bool) []gguftest.Value {
		return append(slices.Clone(ids), gguftest.Value{Key: "tokenizer.ggml.add_bos_token", Value: bos}, gguftest.Value{Key: "tokenizer.ggml.add_eos_token", Value: eos})
	}
	b, e := int32(begin), int32(begin+1)
	for _, test := range []struct {
		pre           string
		more          []gguftest.Value
		before, after []int32
	}{
		{"gpt-2", ids, nil, nil},
		{"llama-bpe", ids, []int32{b}, nil}, // which such files need not say
		{"llama-bpe", flags(false, false), nil, nil},
		{"gpt-2", flags(true, true), []int32{b}, []int32{e}},
	} {
		tok, _ := parsed(t, g.byteLevel(test.pre, test.more...)...)
		if before, after := tok.Around(); !slices.Equal(before, test.before) || !slices.Equal(after, test.after) {
			t.Errorf("%s: %v %v, want %v %v", test.pre, before, after, test.before, test.after)
		}
	}
}

func TestGGUFUnknownPre(t *testing.T) {
	g := readGolden(t)
	for pre, want := range map[string]string{"nobody-knows": `"nobody-knows", is not known here`, "": "none, is not known here"} {
		_, notes := parsed(t, g.byteLevel(pre)...)
		if len(notes) != 1 || !strings.Contains(notes[0], want) || !strings.HasPrefix(notes[0], "warning: ") {
			t.Error(notes)
		}
	}
}

func TestGGUFRefused(t *testing.T) {
	g := readGolden(t)
	without := func(values []gguftest.Value, key string) []gguftest.Value {
		return slices.DeleteFunc(values, func(v gguftest.Value) bool { return v.Key == key })
	}
	with := func(values []gguftest.Value, key string, value any) []gguftest.Value {
		return append(without(values, key), gguftest.Value{Key: key, Value: value})
	}
	for want, values := range map[string][]gguftest.Value{
		`tokenizers of kind "bert" are not supported; supported: gpt2, llama`: with(g.byteLevel(""), "tokenizer.ggml.model", "bert"),
		`metadata "tokenizer.ggml.merges" is missing`:                         without(g.byteLevel("gpt-2"), "tokenizer.ggml.merges"),
		`merge 0, "ab", is not of two tokens`:                                 with(g.byteLevel("gpt-2"), "tokenizer.ggml.merges", []string{"ab"}),
		`metadata "tokenizer.ggml.scores" is missing`:                         without(g.Bare.values(false), "tokenizer.ggml.scores"),
		`2 types for`:                          with(g.Bare.values(false), "tokenizer.ggml.token_type", []int32{1, 1}),
		`"tokenizer.ggml.tokens" is missing`:   without(g.byteLevel("gpt-2"), "tokenizer.ggml.tokens"),
		`"tokenizer.ggml.pre": want a string`:  with(g.byteLevel(""), "tokenizer.ggml.pre", uint32(1)),
		`"tokenizer.ggml.add_bos_token": want`: with(g.byteLevel("gpt-2"), "tokenizer.ggml.add_bos_token", "yes"),
	} {
		if _, _, err := FromGGUF(metadata(t, values...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// FuzzFromGGUF: nothing panics, what is made is JSON, and what our tokenizer reads of it can be used.
func FuzzFromGGUF(f *testing.F) {
	g := readGolden(f)
	f.Add((&gguftest.File{Values: g.byteLevel("llama-bpe", gguftest.Value{Key: "tokenizer.ggml.bos_token_id", Value: uint32(3)})}).Bytes())
	f.Add((&gguftest.File{Values: g.Prefix.values(true)}).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		text, _, err := FromGGUF(file)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("no JSON: %.200q", text)
		}
		if tok, err := tokenizer.Parse(text); err == nil {
			tok.Decode(encoded(tok.Encode("It's 12 o'clock\n", true)), false)
		}
	})
}
