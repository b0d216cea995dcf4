package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// FuzzMarks: words cut before marks have the ids of the whole.
func FuzzMarks(f *testing.F) {
	for _, s := range append(awkward, "▁▁a▁b ▁", "a   b    c", "\U00010000▁\U00010000 \U00010001") {
		f.Add(s)
	}
	var toks []*Tokenizer
	for _, name := range []string{"llama2", "phi3"} {
		tok := family(f, name)
		if !tok.model.(*bpe).marks {
			f.Fatalf("%s: is not cut at marks", name)
		}
		toks = append(toks, tok)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(validUTF8(text), " ", spaceMark)
		for _, tok := range toks {
			m := tok.model.(*bpe)
			var whole, parts []int32
			var s scratch
			whole = m.tokenize(text, &s, whole)
			for rest := text; rest != ""; {
				n := m.cut(rest)
				parts = m.tokenize(rest[:n], &s, parts)
				rest = rest[n:]
			}
			if !slices.Equal(whole, parts) {
				t.Errorf("%q: %v in parts, %v as a whole", text, parts, whole)
			}
		}
	})
}

func TestCutsAtMarks(t *testing.T) {
	vocab := map[string]int32{"▁": 0, "a": 1}
	for _, c := range []struct {
		merges []mergeJSON
		want   bool
	}{
		{[]mergeJSON{{left: "▁", right: "a"}, {left: "▁", right: "▁▁"}, {left: "▁", right: "▁a"}}, true},
		{[]mergeJSON{{left: "a", right: "▁"}}, false},
		{[]mergeJSON{{left: "▁a", right: "▁a"}}, false},
	} {
		if got := cutsAtMarks(vocab, c.merges); got != c.want {
			t.Errorf("%v: %v", c.merges, got)
		}
	}
	if cutsAtMarks(map[string]int32{"a": 1}, nil) {
		t.Error("without the mark")
	}
}
