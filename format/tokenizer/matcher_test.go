package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/dlclark/regexp2/v2"
)

// expressions are those by which tokenizers split, and others that use all that the matcher can do.
var expressions = []string{
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	`\d{1,3}(?=(?:\d{3})*\b)|[一-龥぀-ゟ]+`, `(?<=\w)-(?=\w)`, `(?<!a|bc)x`, `(a|b)\1`, `(?i)(ab)\1|straße`, `(?:a|ab)*?c|[^\n]`,
	`a++b|(?>a|ab)c|\w+`, `(?:a?){3}b`, `(?:)|b`, `^.|.$`, `(?m:.)+?\z`, `\A.|\Z`, `\b`, `\B`, `(a*)*b|c`, `(?:a{2}){1,2}?`, `[^\x{61}-c\s]{2,}`,
	`(?<=^|\s)(?!\d)\S*+`, `((a)|b)+\2`, `(?=(a|ab))\1c?`, `\p{Han}|\p{^L}+`, `(?i:[k-s]+)`, `(?:a+)+?$`,
}

// sampleTexts makes texts of what the expressions are about.
func sampleTexts(rng *rand.Rand, n int) []string {
	parts := []string{"a", "b", "ab", "abc", "aa", "x", "-", "'s", "'LL", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028", "1", "23", "4567", "é", "É", "ſ", "K", "ß", "漢字", "かな", "и", "٣", "²", "½", "_", ".", "…", "🙂", "e\u0301", "/"}
	texts := []string{"", "abcabc x-y", "ab\nab\n"}
	for range n {
		var b strings.Builder
		for range rng.IntN(14) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		texts = append(texts, b.String())
	}
	return texts
}

// spell writes a term in the syntax of .NET, which regexp2 has.
func spell(t *term) string {
	all := func(between string) string {
		var parts []string
		for _, p := range t.parts {
			parts = append(parts, spell(p))
		}
		return strings.Join(parts, between)
	}
	switch t.kind {
	case termOneOf:
		return spellSet(t.set, t.fold)
	case termSequence:
		return "(?:" + all("") + ")"
	case termChoice:
		return "(?:" + all("|") + ")"
	case termRepeated:
		q := t.times
		s := fmt.Sprintf("(?:%s){%d,", all(""), q.low)
		if q.high != unbounded {
			s += strconv.Itoa(q.high)
		}
		switch s += "}"; q.kind {
		case lazy:
			s += "?"
		case possessive:
			return "(?>" + s + ")"
		}
		return s
	case termCapture:
		return "(" + all("") + ")"
	case termReference:
		if t.fold {
			return fmt.Sprintf(`(?i:\%d)`, t.group)
		}
		return fmt.Sprintf(`(?:\%d)`, t.group)
	}
	word := spellSet(ofPairs(regexWord(), false), false)
	return map[termKind]string{
		termAtomic: "(?>" + all("") + ")", termAhead: "(?=" + all("") + ")", termNotAhead: "(?!" + all("") + ")",
		termBehind: "(?<=" + all("") + ")", termNotBehind: "(?<!" + all("") + ")", termCluster: `\X`,
		termTextStart: `\A`, termTextEnd: `\z`, termLastLineEnd: `\Z`, termLineStart: `(?:^(?!\z))`, termLineEnd: `$`,
		termBoundary:    "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))",
		termNotBoundary: "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))",
	}[t.kind]
}

func spellSet(s *runeSet, fold bool) string {
	var b strings.Builder
	for i := 0; i < len(s.ranges); i += 2 {
		low, high := s.ranges[i], s.ranges[i+1]
		if low >= 0xD800 && low <= 0xDFFF { // surrogates are in no text and cannot be spelled
			low = 0xE000
		}
		if high >= 0xD800 && high <= 0xDFFF {
			high = 0xD7FF
		}
		if low < high {
			b.WriteString(spellRune(low) + "-" + spellRune(high))
		} else if low == high {
			b.WriteString(spellRune(low))
		}
	}
	name := func(t *unicode.RangeTable) string {
		for _, p := range properties {
			if *p.table == t {
				return p.name
			}
		}
		return ""
	}
	for _, t := range s.tables {
		b.WriteString(map[bool]string{true: `\s`, false: `\p{` + name(t) + "}"}[t == unicode.White_Space])
	}
	for _, t := range s.others {
		b.WriteString(map[bool]string{true: `\S`, false: `\P{` + name(t) + "}"}[t == unicode.White_Space])
	}
	set := "[" + b.String() + "]"
	switch {
	case b.Len() == 0 && s.negate:
		set = `[\s\S]`
	case b.Len() == 0:
		set = "(?!)"
	case s.negate:
		set = "[^" + b.String() + "]"
	}
	if fold {
		return "(?i:" + set + ")"
	}
	return set
}

// spellRune spells a character that means itself, in a class or not.
func spellRune(r rune) string {
	if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return fmt.Sprintf(`\x%02X`, r)
	}
	return string(r)
}

// oracle is what regexp2 finds with an expression.
func oracle(t *testing.T, expr, text string) []span {
	t.Helper()
	parsed, err := parseRegex(expr)
	if err != nil {
		t.Fatal(err)
	}
	re, err := regexp2.Compile(spell(parsed.root), regexp2.Multiline, regexp2.OptionMaxBacktrackingStackSize(-1))
	if err != nil {
		t.Skip("regexp2 does not take it:", err)
	}
	var all []span
	if err := re.FindRunesMatches([]rune(text), 0, func(m regexp2.MatchView) bool {
		i, n, _ := m.GroupRange(0)
		all = append(all, span{i, i + n})
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// sameMatches compares what an expression finds in a text with what regexp2 finds.
func sameMatches(t *testing.T, e *expression, expr, text string) {
	t.Helper()
	var got []span
	e.find([]rune(text), func(from, to int) { got = append(got, span{from, to}) })
	want := oracle(t, expr, text)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%q in %q: got %v, want %v", expr, text, got, want)
		}
	}
}

// TestMatcher compares the matcher with regexp2, which can do far more.
func TestMatcher(t *testing.T) {
	texts := sampleTexts(rand.New(rand.NewPCG(1, 2)), 200)
	for _, expr := range expressions {
		t.Run(expr, func(t *testing.T) {
			e, err := compile(expr)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				sameMatches(t, e, expr, text)
			}
		})
	}
}

// TestCharSets compares named sets with regexp2, character by character.
func TestCharSets(t *testing.T) {
	var all []rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r < 0xd800 || r > 0xdfff {
			all = append(all, r)
		}
	}
	for _, expr := range []string{`\s+`, `\S+`, `[\s\p{Lu}x]+`, `\P{Ll}+`, `[^\P{N}a-z]+`, `(?i)[a-z\p{Nd}]+`, `(?i:[^k-s]+)`} {
		e, err := compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		var got []span
		e.find(all, func(from, to int) { got = append(got, span{from, to}) })
		want := oracle(t, expr, string(all))
		if len(got) != len(want) {
			t.Errorf("%s: %d runs, want %d", expr, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%s: run %d is %U–%U, want %U–%U", expr, i, all[got[i].from], all[got[i].to-1], all[want[i].from], all[want[i].to-1])
			}
		}
	}
}

// FuzzMatcher compares the two on any expression.
func FuzzMatcher(f *testing.F) {
	for i, expr := range expressions {
		f.Add(expr, sampleTexts(rand.New(rand.NewPCG(uint64(i), 3)), 1)[3])
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		e, err := compile(expr)
		if err != nil || len(expr) > 60 || len(text) > 40 {
			t.Skip("not an expression, or one that may take long")
		}
		sameMatches(t, e, expr, strings.ToValidUTF8(text, "?"))
	})
}
