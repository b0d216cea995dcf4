package grammar

import (
	"math/rand/v2"
	"testing"
)

// largeVocabulary has 128 000 tokens as those of today's models are: words with and without a space, numbers, and runs of
// punctuation, among them what JSON is written with.
func largeVocabulary() *Vocabulary {
	rng := rand.New(rand.NewPCG(9, 10))
	pick := func(from string) string { return string(from[rng.IntN(len(from))]) }
	seen := map[string]bool{}
	tokens := [][]byte{nil}
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
		seen[string([]byte{byte(b)})] = true
	}
	for len(tokens) < 128_000 {
		text := ""
		switch rng.IntN(20) {
		case 0:
			for range 2 + rng.IntN(4) {
				text += pick(`{}[]",:;()<>=-_./\ ` + "\n\t")
			}
		case 1:
			for range 1 + rng.IntN(3) {
				text += pick("0123456789")
			}
			text = " " + text
		default:
			text = []string{"", " ", "_", `"`}[rng.IntN(4)]
			for range 1 + rng.IntN(4) {
				text += pick("bcdfghklmnprstvwz") + pick("aeiou") + []string{"", "n", "é", "s"}[rng.IntN(4)]
			}
		}
		if !seen[text] {
			seen[text] = true
			tokens = append(tokens, []byte(text))
		}
	}
	return NewVocabulary(tokens, []int32{0})
}

const benchSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":200},"age":{"type":"integer","minimum":0,"maximum":150},
	"tags":{"type":"array","items":{"type":"string"},"maxItems":20},"address":{"type":"object","properties":{"street":{"type":"string"},
	"city":{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},"required":["street","city"]},"notes":{"type":"string"}},
	"required":["name","age","tags","address"],"additionalProperties":false}`

// BenchmarkToken is what a token costs once a constraint has seen some texts: its mask, and accepting it.
func BenchmarkToken(b *testing.B) { benchmarkTexts(b, warmTexts) }

// BenchmarkFirstText is the same for the first text of a constraint.
func BenchmarkFirstText(b *testing.B) { benchmarkTexts(b, 0) }

// Texts that a constraint has seen before, and those that are measured then.
const (
	warmTexts     = 10
	measuredTexts = 4
)

func benchmarkTexts(b *testing.B, before int) {
	v := largeVocabulary()
	g, err := FromSchema([]byte(benchSchema))
	if err != nil {
		b.Fatal(err)
	}
	texts := randomTexts(b, g, v, warmTexts+measuredTexts)
	b.ResetTimer()
	for n := 0; n < b.N; {
		b.StopTimer()
		c, err := New(g, v)
		if err != nil {
			b.Fatal(err)
		}
		for _, text := range texts[:before] {
			follow(b, c, text)
		}
		measured := texts[warmTexts:]
		if before == 0 {
			measured = measured[:1]
		}
		b.StartTimer()
		for _, text := range measured {
			follow(b, c, text)
			n += len(text)
		}
	}
}

// follow asks for the mask of each token of a text.
func follow(b *testing.B, c *Constraint, text []int32) {
	b.Helper()
	m, err := c.Start()
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range text {
		if _, err := m.Allowed(); err != nil {
			b.Fatal(err)
		}
		if err := m.Accept(id); err != nil {
			b.Fatal(err)
		}
	}
}

// randomTexts are those of random models, which write strange ones.
func randomTexts(b *testing.B, g *Grammar, v *Vocabulary, n int) [][]int32 {
	b.Helper()
	c, err := New(g, v)
	if err != nil {
		b.Fatal(err)
	}
	texts := make([][]int32, n)
	for i := range texts {
		rng := rand.New(rand.NewPCG(uint64(i), 11))
		m, err := c.Start()
		if err != nil {
			b.Fatal(err)
		}
		for !m.Final() && len(texts[i]) < 200 {
			mask, err := m.Allowed()
			if err != nil {
				b.Fatal(err)
			}
			id := choose(mask, v, rng)
			if err := m.Accept(id); err != nil {
				b.Fatal(err)
			}
			texts[i] = append(texts[i], id)
		}
	}
	return texts
}
