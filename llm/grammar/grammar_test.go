package grammar

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// bytesVocabulary has a token for each byte, some longer ones, and 0 as the one that ends a text.
func bytesVocabulary(longer ...string) *Vocabulary {
	tokens := [][]byte{nil}
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
	}
	for _, text := range longer {
		tokens = append(tokens, []byte(text))
	}
	return NewVocabulary(tokens, []int32{0})
}

func mustGBNF(t *testing.T, text string, v *Vocabulary) *Constraint {
	t.Helper()
	g, err := ParseGBNF(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(g, v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// takes reports whether a constraint allows a text, byte by byte, and as a whole.
func takes(t *testing.T, c *Constraint, text string) bool {
	t.Helper()
	m, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		id := int32(text[i]) + 1
		mask, err := m.Allowed()
		if err != nil && !errors.Is(err, ErrStuck) {
			t.Fatal(err)
		}
		err = m.Accept(id)
		if mask.Has(id) != (err == nil) {
			t.Fatalf("%q, byte %d: mask says %t, Accept %v", text, i, mask.Has(id), err)
		}
		if err != nil {
			return false
		}
	}
	return m.Done()
}

func TestGBNF(t *testing.T) {
	for _, test := range []struct {
		grammar  string
		yes, not []string
	}{
		{`root ::= "a" | "bc"`, []string{"a", "bc"}, []string{"", "b", "abc", "aa"}},
		{`root ::= "a"* "b"+ "c"?`, []string{"b", "aabbc"}, []string{"", "a", "cc", "bca"}},
		{`root ::= "x"{2,4}`, []string{"xx", "xxx", "xxxx"}, []string{"x", "xxxxx"}},
		{`root ::= "x"{2} "y"{1,}`, []string{"xxy", "xxyyy"}, []string{"xx", "xyy"}},
		{`root ::= [^a-c\n] .`, []string{"dé", "\u20ac\U0001F600"}, []string{"ax", "\nx", "d"}},
		{`root ::= [a-c\x2d\u00e9] "\"\\\t"`, []string{"b\"\\\t", "-\"\\\t", "é\"\\\t"}, []string{"d\"\\\t"}},
		{"root ::= item (\",\" item)* # list\nitem ::= [0-9]+\n  | \"(\" root \")\"\n", []string{"1", "1,22", "(1,(2)),3"}, []string{"", "(", "1,", "()", "(1))"}},
		{"root ::= ws \"a\" ws\nws ::= \" \"*", []string{"a", "  a ", " a"}, []string{"", " ", "a a"}},
		{"root ::= (ws \"a\")* ws ws\nws ::= \" \"?", []string{"", "  ", "a a  "}, []string{"   ", "b"}},
		{"root ::= \"a\" root \"b\" | \"\"", []string{"", "ab", "aaabbb"}, []string{"a", "aab", "ba"}},
		{"root ::= s\ns ::= \"a\" s | \"a\"", []string{"a", strings.Repeat("a", 5000)}, []string{"", "b"}},
		{"root ::= x x\nx ::= y | \"c\"\ny ::= \"a\"? \"b\"?", []string{"", "ab", "abab", "cc", "cb", "ba"}, []string{"abc c", "ababa"}},
	} {
		c := mustGBNF(t, test.grammar, bytesVocabulary())
		for _, text := range test.yes {
			if !takes(t, c, text) {
				t.Errorf("%s\nrefuses %q", test.grammar, text)
			}
		}
		for _, text := range test.not {
			if takes(t, c, text) {
				t.Errorf("%s\nallows %q", test.grammar, text)
			}
		}
	}
}

func TestGBNFMistakes(t *testing.T) {
	for text, want := range map[string]string{
		``:                               "there is no rule root",
		`other ::= "a"`:                  "there is no rule root",
		"root ::= a":                     "1:10: there is no rule a",
		"root ::= \"a":                   "1:10: this quotation mark is not closed",
		"root ::= [a":                    "1:10: this bracket is not closed",
		"root ::= (\"a\"":                "1:10: this bracket is not closed",
		"root ::= [z-a]":                 "is empty",
		"root ::= \"a\"{3,2}":            "at most 2 times, and at least 3",
		"root ::= \"a\"{99999999}":       "want {m}, {m,} or {m,n}",
		"root ::= \"\\q\"":               "an escape that is not known",
		"root ::= \"a\"\nroot ::= \"b\"": "2:1: there are two rules root",
		"root ::= \"a\" )":               `1:14: ')' does not belong here`,
		"root : \"a\"":                   "1:6: want ::= after the name root",
		"root ::= <think>":               "tokens in a grammar are not supported",
		"root ::= root \"a\" | \"b\"":    "left recursion, which does not end: root → root",
		"root ::= x\nx ::= \"\" root \"a\" | \"b\"": "left recursion, which does not end: root → x → root",
		"root ::= \"a\" root":                       "never comes to an end",
		"root ::= " + strings.Repeat("(", 9999):     "levels of brackets",
	} {
		g, err := ParseGBNF(text)
		if err == nil {
			_, err = New(g, bytesVocabulary())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50q: %v, want %q in it", text, err, want)
		}
	}
}

// TestMasks compares masks with what Accept says of each token, along random texts of random grammars.
func TestMasks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var longer []string
	for range 400 {
		text := ""
		for range 2 + rng.IntN(5) {
			text += string("ab(),"[rng.IntN(5)])
		}
		longer = append(longer, text)
	}
	v := bytesVocabulary(longer...)
	for _, text := range []string{
		"root ::= item (\",\" item)*\nitem ::= [ab]{1,3} | \"(\" root? \")\"",
		"root ::= x root | x\nx ::= \"a\" x \"b\" | \"(\" y \")\" | \",\"\ny ::= [^)]{0,4}",
		"root ::= [ab]{2,9} tail\ntail ::= \",\" root \")\" | \"\"",
		"root ::= (e e)* \"a\"\ne ::= \"(\"? f \")\"?\nf ::= \"b\"? | \",\"",
	} {
		c := mustGBNF(t, text, v)
		for range 30 {
			m, err := c.Start()
			if err != nil {
				t.Fatal(err)
			}
			for range 12 {
				mask, err := m.Allowed()
				if err != nil {
					t.Fatal(err)
				}
				var ids []int32
				for id := range int32(v.Size()) {
					n := *m
					ok := n.Accept(id) == nil
					if ok != mask.Has(id) {
						t.Fatalf("%s\ntoken %q: mask says %t, Accept %t", text, v.tokens[id], mask.Has(id), ok)
					}
					if ok {
						ids = append(ids, id)
					}
				}
				if err := m.Accept(ids[rng.IntN(len(ids))]); err != nil {
					t.Fatal(err)
				}
				if m.ended {
					break
				}
			}
		}
	}
}

// TestClasses counts places that are alike: the middle of a long string is one class.
func TestClasses(t *testing.T) {
	c := mustGBNF(t, `root ::= "'" [a-z]{0,500} "'"`, bytesVocabulary("abc"))
	classes := map[int32]bool{}
	for _, p := range c.m.places {
		classes[p.class] = true
	}
	if len(c.m.places) < 500 || len(classes) > 12 {
		t.Errorf("%d places in %d classes", len(c.m.places), len(classes))
	}
}

// TestUTF8 compares byte ranges with the characters that they stand for.
func TestUTF8(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	edges := []rune{0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdfff, 0xe000, 0xffff, 0x10000, 0x10ffff}
	for range 300 {
		lo, hi := rune(rng.IntN(0x110000)), rune(rng.IntN(0x110000))
		if rng.IntN(2) == 0 {
			lo = edges[rng.IntN(len(edges))]
		}
		if rng.IntN(2) == 0 {
			hi = edges[rng.IntN(len(edges))]
		}
		lo, hi = min(lo, hi), max(lo, hi)
		ranges := utf8Ranges(span{lo, hi})
		for range 300 {
			r := rune(rng.IntN(0x110000))
			if rng.IntN(3) == 0 {
				r = []rune{lo, hi, lo - 1, hi + 1}[rng.IntN(4)]
			}
			if r < 0 || r > 0x10ffff || r >= 0xd800 && r <= 0xdfff {
				continue
			}
			n := 0
			for _, part := range ranges {
				if text := string(r); len(part) == len(text) && !slices.ContainsFunc(slices.Collect(indexes(len(part))), func(i int) bool { return text[i] < part[i].lo || text[i] > part[i].hi }) {
					n++
				}
			}
			if want := r >= lo && r <= hi; (n == 1) != want || n > 1 {
				t.Fatalf("[%x-%x]: %x is in %d of the ranges", lo, hi, r, n)
			}
		}
	}
}

func indexes(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func FuzzGBNF(f *testing.F) {
	f.Add(`root ::= "a" | x{1,3}` + "\nx ::= [^b-d] root?")
	f.Add("root ::= (\"a\" .)* # c\n")
	v := bytesVocabulary("ab", "\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseGBNF(text)
		if err != nil {
			return
		}
		c, err := New(g, v)
		if err != nil {
			return
		}
		m, err := c.Start()
		if err != nil {
			return
		}
		mask, err := m.Allowed()
		for id := int32(0); err == nil && id < int32(v.Size()); id++ {
			n := *m
			if got := n.Accept(id) == nil; got != mask.Has(id) {
				t.Errorf("token %q: mask says %t, Accept %t", v.tokens[id], mask.Has(id), got)
			}
		}
	})
}
