package tokenizer

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStreamPieces: text comes as soon as it is final and characters come whole.
func TestStreamPieces(t *testing.T) {
	for _, c := range []struct {
		family, text string
		want         []string
	}{
		{"gpt2", "a 🙂b", []string{"a", " ", "", "", "🙂", "b", ""}},
		{"gemma", "a 한b", []string{"a ", "", "", "", "한b", ""}},
		{"llama2", " a", []string{"", " a", ""}},
	} {
		tok := family(t, c.family)
		s := tok.Stream(true)
		var got []string
		for _, id := range tok.Encode(c.text, false) {
			got = append(got, s.Push(id))
		}
		got = append(got, s.Flush())
		if strings.Join(got, "") != c.text {
			t.Errorf("%s: %q comes as %q", c.family, c.text, got)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %q: %s", c.family, c.text, d)
		}
	}
}

// TestStreamUnfinished: what never becomes a character is replaced at the end, and the stream
// starts anew.
func TestStreamUnfinished(t *testing.T) {
	tok := family(t, "gpt2")
	ids := tok.Encode("🙂", false)
	s := tok.Stream(true)
	for range 2 {
		if got := s.Push(ids[0]); got != "" {
			t.Errorf("a part of a character gives %q", got)
		}
		if got := s.Flush(); got != "\uFFFD" {
			t.Errorf("the end gives %q", got)
		}
	}
}

// TestLongWord: a word of a megabyte is not a problem, as it would be if each merge looked at
// all of it.
func TestLongWord(t *testing.T) {
	for _, name := range []string{"llama2", "gpt2", "unigram"} {
		tok := family(t, name)
		text := strings.Repeat("there", 200_000)
		start := time.Now()
		ids := tok.EncodeOrdinary(text)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if got := tok.Decode(ids, true); got != text {
			t.Errorf("%s: the text does not come back", name)
		}
	}
}

func benchmarkText(b *testing.B) string { return strings.Repeat(readText(b), 3)[:150_000] }

func BenchmarkEncode(b *testing.B) {
	text := benchmarkText(b)
	toks := map[string]*Tokenizer{"tiny": load(b, tinyPath)}
	for _, name := range []string{"gpt2", "o200k", "deepseek", "llama2", "unigram"} {
		toks[name] = family(b, name)
	}
	for name, tok := range toks {
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
	ids := tok.Encode(text, true)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids, true)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b, tinyPath)
	}
}
