package tokenizer

import (
	"os"
	"strings"
	"testing"
)

func benchmarkText(b *testing.B) string { return strings.Repeat(readText(b), 3)[:150_000] }

// BenchmarkEncode takes a tokenizer of each kind.
func BenchmarkEncode(b *testing.B) {
	text := benchmarkText(b)
	for _, name := range []string{"tiny", "gpt2", "o200k", "deepseek", "llama2", "unigram"} {
		tok := load(b, tinyPath)
		if name != "tiny" {
			tok = family(b, name)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Encode(text, true)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	text := benchmarkText(b)
	tok := load(b, tinyPath)
	ids := encoded(tok.Encode(text, true))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids, true)
	}
}

// BenchmarkStream decodes token by token, as text is generated.
func BenchmarkStream(b *testing.B) {
	text := benchmarkText(b)
	tok := load(b, tinyPath)
	ids := encoded(tok.Encode(text, true))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s := tok.Stream(true)
		for _, id := range ids {
			s.Push(id)
		}
		s.Flush()
	}
}

// BenchmarkParse reads a tokenizer.json.
func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile(tinyPath)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRegex compiles what published tokenizers split with, and splits a text.
func BenchmarkRegex(b *testing.B) {
	text := benchmarkText(b)
	for i, name := range []string{"llama3", "gpt2", "o200k"} { // as expressions begins
		b.Run("compile/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := compileRegex(expressions[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
		find, err := compileRegex(expressions[i])
		if err != nil {
			b.Fatal(err)
		}
		b.Run("split/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				find(text)
			}
		})
	}
}
