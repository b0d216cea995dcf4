package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// letters is a vocabulary of single bytes, some longer texts, and special tokens; texts are what its tokens look like.
type letters struct {
	texts   []string
	special []string
	v       *grammar.Vocabulary
	ends    []int32 // tokens that bring a text to its end
}

func newLetters(special, longer []string) *letters {
	l := &letters{texts: []string{""}, special: special}
	tokens := [][]byte{nil}
	add := func(text string, raw []byte) {
		l.texts, tokens = append(l.texts, text), append(tokens, raw)
	}
	for b := byte(' '); b < 0x7f; b++ {
		if strings.IndexByte(`"}],`, b) >= 0 {
			l.ends = append(l.ends, int32(len(tokens)))
		}
		add(string(rune(b)), []byte{b})
	}
	add("\n", []byte("\n"))
	for _, text := range longer {
		l.ends = append(l.ends, int32(len(tokens)))
		add(text, []byte(text))
	}
	for _, name := range special {
		l.ends = append(l.ends, int32(len(tokens)))
		add(name, grammar.TokenBytes(name))
	}
	l.v = grammar.NewVocabulary(tokens, []int32{0})
	return l
}

// write makes a random text of a grammar; ok: it came to its end.
func (l *letters) write(t *testing.T, c *grammar.Constraint, random *rand.Rand) (text string, ok bool) {
	t.Helper()
	m, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		mask, err := m.Allowed()
		if m.Done() && (errors.Is(err, grammar.ErrStuck) || random.IntN(3) == 0) {
			return text, true
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var may []int32
		for id := range l.texts {
			if mask.Has(int32(id)) {
				may = append(may, int32(id))
			}
		}
		if ends := slices.DeleteFunc(slices.Clone(l.ends), func(id int32) bool { return !mask.Has(id) }); len(ends) > 0 && random.IntN(3) == 0 {
			may = ends
		}
		id := may[random.IntN(len(may))]
		if id == 0 {
			return text, true
		}
		if err := m.Accept(id); err != nil {
			t.Fatal(err)
		}
		text += l.texts[id]
	}
	return text, false
}

// validators of the offered functions' arguments.
func validators(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	all := map[string]*jsonschema.Schema{}
	for _, tool := range offered {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(tool.Parameters))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(tool.Name, doc); err != nil {
			t.Fatal(err)
		}
		if all[tool.Name], err = c.Compile(tool.Name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestGrammar writes random texts that the grammars allow: every one is parsed as the calls that were asked for, with arguments
// that the schemas accept, whether the marks are special tokens or not.
func TestGrammar(t *testing.T) {
	valid := validators(t)
	strict := slices.Clone(offered)
	for i := range strict {
		strict[i].Strict = true
	}
	longer := []string{"</think>", "\n</parameter>", "</tool_call>", "<think>", "<tool_call>", "{\"name\": \"", "```"}
	for i := range forms {
		f := &Format{form: &forms[i]}
		if !f.harmony() {
			f.think = &thoughts[0]
		}
		for n, special := range [][]string{nil, slices.Compact(slices.DeleteFunc(append(f.Show(true), "<|end|>"), func(s string) bool { return s == "" || s[0] == '`' || strings.HasSuffix(s, "think>") }))} {
			if f.harmony() && special == nil { // there are no models of this form without its tokens
				continue
			}
			l := newLetters(special, longer)
			if special == nil {
				l = newLetters(nil, append(slices.Clone(longer), f.form.tokens...))
			}
			for _, c := range []struct {
				name   string
				tools  []Tool
				choice Choice
				opened bool
			}{
				{"required", offered, Choice{Mode: Required, Multi: true}, false},
				{"one", offered, Choice{Mode: Required, Name: "search"}, f.think != nil},
				{"strict", strict, Choice{Mode: Auto}, false},
			} {
				g, err := f.Grammar(Holding{Tools: c.tools, Choice: c.choice, Opened: c.opened, Special: func(name string) bool { return slices.Contains(special, name) }})
				if err != nil {
					t.Fatalf("%s, %s: %v", forms[i].name, c.name, err)
				}
				constraint, err := grammar.New(g, l.v)
				if err != nil {
					t.Fatalf("%s, %s: %v", forms[i].name, c.name, err)
				}
				random := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				ended, calls := 0, 0
				for range 12 {
					text, ok := l.write(t, constraint, random)
					if !ok {
						continue
					}
					ended++
					o := parsing(c.tools)
					o.Opened = c.opened
					a := f.Parse(text, o)
					calls += len(a.Calls)
					if err := asked(a, c.choice, valid); err != nil {
						t.Fatalf("%s, %s: %q: %v", forms[i].name, c.name, text, err)
					}
				}
				if ended < 4 || c.choice.Mode == Required && calls < 4 {
					t.Errorf("%s, %s: %d texts ended, with %d calls", forms[i].name, c.name, ended, calls)
				}
			}
		}
	}
}

// asked says what of an answer is not as it was asked for.
func asked(a Answer, c Choice, valid map[string]*jsonschema.Schema) error {
	if c.Mode == Required && (len(a.Calls) == 0 || strings.TrimSpace(a.Content) != "" || c.Name != "" && len(a.Calls) != 1) {
		return fmt.Errorf("it is %+v", a)
	}
	for _, call := range a.Calls {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(call.Arguments))
		if err == nil {
			err = valid[call.Name].Validate(value)
		}
		if err != nil || c.Name != "" && call.Name != c.Name {
			return fmt.Errorf("it calls %s(%s): %v", call.Name, call.Arguments, err)
		}
	}
	return nil
}

// TestGrammarContent holds text to a form beside calls and after thoughts.
func TestGrammarContent(t *testing.T) {
	f := Detect("<think></think><tool_call>")
	l := newLetters(nil, nil)
	plain := func(string) bool { return false }
	takes := func(g *grammar.Grammar, text string) bool {
		c, err := grammar.New(g, l.v)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Start()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range text {
			if m.Accept(int32(slices.Index(l.texts, string(r)))) != nil {
				return false
			}
		}
		return m.Done()
	}
	call := "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"words\":[\"a\"]}}\n</tool_call>"
	for _, c := range []struct {
		h        Holding
		yes, not []string
	}{
		{Holding{Content: grammar.Text("yes")}, []string{"yes", "<think>no</think>\n\nyes"}, []string{"no", "<think>yes"}},
		{Holding{Content: grammar.Text("yes"), Opened: true}, []string{"no</think>yes"}, []string{"yes"}},
		{Holding{Content: grammar.Text("yes"), Tools: offered, Choice: Choice{Mode: Auto}}, []string{"yes", call, "<think></think>" + call}, []string{"no", "no" + call}},
		{Holding{Content: grammar.Text("yes"), Tools: offered, Choice: Choice{Mode: None}}, []string{"yes"}, []string{call}},
	} {
		c.h.Special = plain
		g, err := f.Grammar(c.h)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range c.yes {
			if !takes(g, text) {
				t.Errorf("%+v refuses %q", c.h.Choice, text)
			}
		}
		for _, text := range c.not {
			if takes(g, text) {
				t.Errorf("%+v takes %q", c.h.Choice, text)
			}
		}
	}
	if g, err := f.Grammar(Holding{Tools: offered, Choice: Choice{Mode: Auto}, Special: plain}); g != nil || err != nil {
		t.Errorf("nothing to hold to: %v, %v", g, err)
	}
	if _, err := f.Grammar(Holding{Tools: offered, Choice: Choice{Mode: Required, Name: "none"}, Special: plain}); !errors.Is(err, ErrNoTool) {
		t.Errorf("no such function: %v", err)
	}
	for form, schema := range map[string]string{"hermes": `{"not":{}}`, "qwen coder": `{"properties":{"a":{"type":"string","pattern":"x"}}}`, "gemma 4": `{"properties":{"a":{"type":"object"}}}`} {
		bad := []Tool{{Name: "odd", Parameters: json.RawMessage(schema)}}
		if _, err := Detect(templateOf(form)).Grammar(Holding{Tools: bad, Choice: Choice{Mode: Required}, Special: plain}); err == nil || !strings.Contains(err.Error(), "function odd") {
			t.Errorf("%s: %s: %v", form, schema, err)
		}
	}
}
