package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var awkward = []string{
	"", " ", "Hello, world!", "  a\r\nb\t", "naïve 日本語 🙂 \u0301", "\xff\xe6\x97x\xf0\x9f", "<|endoftext|> <s>", "\x00\u2028\ufeff", "don't DON'T 12345",
}

// FuzzRoundTrip: nothing is lost. Bytes that are not UTF-8 come back as U+FFFD.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
	}
	var toks []*Tokenizer
	for _, name := range []string{"gpt2", "llama3", "o200k", "cl100k", "deepseek", "starcoder2"} {
		toks = append(toks, family(f, name))
	}
	toks = append(toks, load(f, tinyPath))
	llama2 := family(f, "llama2")
	f.Fuzz(func(t *testing.T, text string) {
		want := validUTF8(text)
		for _, tok := range toks {
			for _, ids := range [][]int32{encoded(tok.Encode(text, false)), encoded(tok.EncodeOrdinary(text))} {
				if got := tok.Decode(ids, false); got != want {
					t.Errorf("%q comes back as %q", want, got)
				}
			}
		}
		// Here ▁ comes back as the space that it stands for.
		if got := llama2.Decode(encoded(llama2.EncodeOrdinary(text)), false); got != strings.ReplaceAll(want, "▁", " ") {
			t.Errorf("%q comes back as %q", want, got)
		}
	})
}

// FuzzValid: bytes are replaced as the standard library's conversion by runes would, but for the
// number of replacements.
func FuzzValid(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := validUTF8(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		squeeze := func(s string) string {
			for strings.Contains(s, "\uFFFD\uFFFD") {
				s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
			}
			return s
		}
		if squeeze(got) != squeeze(string([]rune(s))) {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

// FuzzParse: any file gives an error or a tokenizer that works.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	paths, err := filepath.Glob("testdata/families/*.json")
	if err != nil || len(paths) < 10 {
		f.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			return
		}
		ids := append(encoded(tok.Encode("a <s> é\n", true)), encoded(tok.EncodeOrdinary(" b"))...)
		for _, id := range ids {
			if token, ok := tok.Token(id); !ok || tok.ids[token] != id {
				t.Errorf("id %d is not in the vocabulary", id)
			}
		}
		if s := tok.Decode(ids, false); !utf8.ValidString(s) {
			t.Errorf("decoded %q is not UTF-8", s)
		}
	})
}

// FuzzStream: the pieces of a stream are UTF-8 and make up what decoding step by step over
// whole lists of tokens, as the tokenizers library does it, gives.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x01\x02\x03"), false)
	f.Add([]byte{0, 200, 1, 20, 0, 230, 1, 1}, true)
	f.Add([]byte{0, 0xE6 + 3, 0, 0x97 + 3, 0, 0xA5 + 3, 2, 9, 0, 0xFF, 9, 9, 1, 77}, false)
	names := []string{"gpt2", "roberta", "gemma", "llama2", "phi3", "unigram", "unigram_unk"}
	var toks []*Tokenizer
	for _, name := range names {
		toks = append(toks, family(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte, skip bool) {
		for i, tok := range toks {
			var ids []int32
			for j := 0; j+1 < len(data); j += 2 {
				ids = append(ids, (int32(data[j])<<8|int32(data[j+1]))%int32(tok.VocabSize()))
			}
			stream := tok.Stream(skip)
			var got strings.Builder
			for _, id := range append(ids, -1, 1<<30) {
				part := stream.Push(id)
				if !utf8.ValidString(part) {
					t.Errorf("%s: %v: %q is not UTF-8", names[i], ids, part)
				}
				got.WriteString(part)
			}
			got.WriteString(stream.Flush())
			if want := decodeLists(tok, names[i], ids, skip); got.String() != want {
				t.Errorf("%s: %v gives %q, want %q", names[i], ids, got.String(), want)
			}
			if again := stream.Flush(); again != "" {
				t.Errorf("%s: a stream at its end gives %q", names[i], again)
			}
		}
	})
}

// decodeLists decodes with one of a few known decoders, a list of tokens after the other.
func decodeLists(tok *Tokenizer, name string, ids []int32, skip bool) string {
	var tokens []string
	for _, id := range ids {
		if token, ok := tok.Token(id); ok && !(skip && tok.Special(id)) {
			tokens = append(tokens, token)
		}
	}
	marks := func(tokens []string) string {
		for i, s := range tokens {
			tokens[i] = strings.ReplaceAll(s, "▁", map[bool]string{true: "", false: " "}[i == 0])
		}
		return strings.Join(tokens, "")
	}
	switch name {
	case "gpt2", "roberta":
		var b []byte
		for _, s := range tokens {
			b = append(b, bytesOf(s)...)
		}
		return validUTF8(string(b))
	case "unigram_unk":
		return marks(tokens)
	case "unigram":
		return marks(fallBack(tokens))
	}
	for i, s := range tokens {
		tokens[i] = strings.ReplaceAll(s, "▁", " ")
	}
	text := strings.Join(fallBack(tokens), "")
	if name != "gemma" {
		text = strings.TrimPrefix(text, " ")
	}
	return text
}

// fallBack joins runs of byte tokens that are UTF-8 and replaces the others.
func fallBack(tokens []string) (out []string) {
	for len(tokens) > 0 {
		n := slices.IndexFunc(tokens, func(s string) bool { _, ok := byteToken(s); return !ok })
		if n < 0 {
			n = len(tokens)
		}
		var run []byte
		for _, s := range tokens[:n] {
			b, _ := byteToken(s)
			run = append(run, b)
		}
		switch {
		case n == 0:
			out = append(out, tokens[0])
			n = 1
		case utf8.Valid(run):
			out = append(out, string(run))
		default:
			out = append(out, slices.Repeat([]string{"\uFFFD"}, n)...)
		}
		tokens = tokens[n:]
	}
	return out
}
