package grammar

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func mustConstraint(t *testing.T, g *Grammar, v *Vocabulary) *Constraint {
	t.Helper()
	c, err := New(g, v)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCombine puts grammars together, of which some call their own rules.
func TestCombine(t *testing.T) {
	nested, err := ParseGBNF(`root ::= "(" root ")" | x` + "\nx ::= \"x\"")
	if err != nil {
		t.Fatal(err)
	}
	alone, err := ParseGBNF(`root ::= "[" root "]" | ""`)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := FromSchema([]byte(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`))
	if err != nil {
		t.Fatal(err)
	}
	g := Sequence(Either(nested, Text("no")), Blank(), Repeat(Sequence(schema, Text(";")), 1, 2), Optional(alone))
	c := mustConstraint(t, g, bytesVocabulary())
	for text, want := range map[string]bool{
		`((x)) {"n":1};`: true, "no\n\n" + `{"n":1};{"n": -22};[[]]`: true, `x{"n":1};[]`: true,
		`(x {"n":1};`: false, `x{"n":1}`: false, `x{"n":1};{"n":2};{"n":3};`: false, `x{"n":1};[`: false, `(no){"n":1};`: false,
	} {
		if takes(t, c, text) != want {
			t.Errorf("%s: want %t", text, want)
		}
	}
}

// TestUntil compares Until and Without with what strings.Index says, on texts that nearly have the stop.
func TestUntil(t *testing.T) {
	v := bytesVocabulary()
	random := rand.New(rand.NewPCG(1, 2))
	for _, stop := range []string{"</think>", "<a", "<", "\n</p>"} {
		until, without := mustConstraint(t, Until(stop), v), mustConstraint(t, Without(stop), v)
		for range 2000 {
			var b strings.Builder
			for range random.IntN(12) {
				n := random.IntN(len(stop) + 1)
				b.WriteString([]string{stop[:n], stop[n:], "é", stop[:1]}[random.IntN(4)])
			}
			text := b.String()
			at := strings.Index(text, stop)
			if got, want := takes(t, until, text), at >= 0 && at == len(text)-len(stop); got != want {
				t.Fatalf("until %q: %q: %t", stop, text, got)
			}
			if got, want := takes(t, without, text), at < 0; got != want {
				t.Fatalf("without %q: %q: %t", stop, text, got)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a stop whose first character comes twice: no panic")
		}
	}()
	Until("abca")
}

// TestToken allows a special token where the grammar has it, and nowhere else, however free the text is.
func TestToken(t *testing.T) {
	v := bytesVocabulary(string(TokenBytes("<call>")), "<call>")
	special := int32(v.Size() - 2)
	c := mustConstraint(t, Sequence(AnyText(), Token("<call>"), AnyBut("{")), v)
	m, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		id int32
		ok bool
	}{{'x' + 1, true}, {special + 1, true}, {special, true}, {special, false}, {'{' + 1, false}, {' ' + 1, false}, {'y' + 1, true}, {'{' + 1, true}, {special, false}, {0, true}} {
		mask, err := m.Allowed()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Accept(step.id); (err == nil) != step.ok || mask.Has(step.id) != step.ok {
			t.Errorf("token %d: %v, want allowed %t", step.id, err, step.ok)
		}
	}
}
