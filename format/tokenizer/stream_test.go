package tokenizer

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStreamPieces: text comes as soon as it is final, and characters come whole.
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
		for _, id := range encoded(tok.Encode(c.text, false)) {
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
// is reset.
func TestStreamUnfinished(t *testing.T) {
	tok := family(t, "gpt2")
	ids := encoded(tok.Encode("🙂", false))
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

// TestLongWord: a word of a megabyte does not take quadratic time.
func TestLongWord(t *testing.T) {
	for _, name := range []string{"llama2", "gpt2", "unigram"} {
		tok := family(t, name)
		text := strings.Repeat("there", 200_000)
		start := time.Now()
		ids := encoded(tok.EncodeOrdinary(text))
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if got := tok.Decode(ids, true); got != text {
			t.Errorf("%s: the text does not come back", name)
		}
	}
}
