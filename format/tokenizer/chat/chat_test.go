package chat

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outcome is a rendered text, or the words of an error.
type outcome struct {
	text string
	err  string
}

func (o *outcome) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &o.text)
	}
	var fields struct{ Error string }
	err := json.Unmarshal(data, &fields)
	o.err = fields.Error
	return err
}

// goldens is testdata/goldens.json; see make_goldens.py.
type goldens struct {
	BOS, EOS string
	Extras   map[string]map[string]json.RawMessage
	Chats    map[string][]Message
	Goldens  []struct {
		Template, Extra, Chat string
		Prompt                bool
		Want                  outcome
	}
}

func read[T any](t testing.TB, path string) (v T) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (g *goldens) extra(name string) map[string]any {
	vars := map[string]any{}
	for key, value := range g.Extras[name] {
		vars[key] = value
	}
	return vars
}

// fixed is a template at the time of the goldens.
func fixed(t testing.TB, source, bos, eos string, extra map[string]any) (*Template, error) {
	t.Helper()
	c, err := New(source, map[string]string{"bos_token": bos, "eos_token": eos}, extra)
	if err == nil {
		c.now = func() time.Time { return time.Date(2025, 3, 9, 8, 5, 7, 0, time.UTC) }
	}
	return c, err
}

func TestTemplatesAgreeWithJinja(t *testing.T) {
	g := read[goldens](t, "testdata/goldens.json")
	counts := map[string]int{}
	for _, want := range g.Goldens {
		source, err := os.ReadFile("testdata/templates/" + want.Template + ".jinja")
		if err != nil {
			t.Fatal(err)
		}
		c, err := fixed(t, string(source), g.BOS, g.EOS, g.extra(want.Extra))
		if err != nil {
			t.Fatalf("%s: %v", want.Template, err)
		}
		text, err := c.Render(g.Chats[want.Chat], want.Prompt)
		name := want.Template + ", " + want.Extra + ", " + want.Chat
		switch {
		case want.Want.err != "":
			if err == nil || !strings.Contains(err.Error(), want.Want.err) || !strings.Contains(err.Error(), "line ") {
				t.Errorf("%s: got %q, %v, want the error %q and its line", name, text, err, want.Want.err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case text != want.Want.text:
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(want.Want.text, text))
		}
		counts[want.Template]++
	}
	for name, n := range counts {
		if n < 2*len(g.Chats) {
			t.Errorf("%s has %d goldens", name, n)
		}
	}
	if len(counts) < 11 {
		t.Errorf("%d templates have goldens", len(counts))
	}
}

func TestSnippetsAgreeWithJinja(t *testing.T) {
	g := read[goldens](t, "testdata/goldens.json")
	type snippet struct {
		Source string
		Want   outcome
	}
	for _, s := range read[[]snippet](t, "testdata/snippets.json") {
		c, err := fixed(t, s.Source, g.BOS, g.EOS, g.extra("tools"))
		var text string
		if err == nil {
			text, err = c.Render(g.Chats["system turns"], true)
		}
		switch {
		case s.Want.err != "":
			if err == nil {
				t.Errorf("%s\ngot %q, want an error such as %q", s.Source, text, s.Want.err)
			} else if testing.Verbose() {
				t.Logf("%q\n  want %s\n  got  %v", s.Source, s.Want.err, err)
			}
		case err != nil:
			t.Errorf("%s\n%v, want %q", s.Source, err, s.Want.text)
		case text != s.Want.text:
			t.Errorf("%s\n(-want +got):\n%s", s.Source, cmp.Diff(s.Want.text, text))
		}
	}
}

// What Jinja accepts and this package does not has to be an error, not something else.
func TestUnsupportedIsAnError(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{% include 'x' %}":                    "line 2: the tag 'include' is not supported",
		"{% block b %}{% endblock %}":             "the tag 'block' is not supported",
		"{{ 'a'|e ~ '<' }}":                       "supported only as the last one of an output",
		"{{ 'a b'|truncate(1) }}":                 "the filter 'truncate' is unknown or not supported",
		"{{ 'a' is escaped }}":                    "the test 'escaped' is unknown or not supported",
		"{{ joiner(',') }}":                       "'joiner' is not supported",
		"{{ 'a'.encode() }}":                      "the method 'encode' of a str object is not supported",
		"{{ range(3) }}":                          "text of a range object is not supported",
		"{{ namespace() }}":                       "text of a Namespace object is not supported",
		"{{ 9223372036854775807 + 1 }}":           "too large",
		"{{ 99999999999999999999 }}":              "too large",
		"{{ {(1, 2): 3} }}":                       "a tuple is not supported as a key",
		"{{ '%5d' % 3 }}":                         "is not supported",
		"{{ '{:>5}'.format(3) }}":                 "is not supported",
		"{{ strftime_now('%U') }}":                "the date format '%U' is not supported",
		"{{ 'x' * 999999999999 }}":                "too much",
		"{{ 'x'.ljust(999999999999) }}":           "too much",
		"{{ 'aaaa'.replace('', 'x' * 9999999) }}": "too much",
		"{{ [messages] * 99999999 }}":             "too much",
		"{% set s = 'xx' %}" + strings.Repeat("{% set s = s ~ s %}", 60):                                                       "too much",
		"{% set s = [1, 1] %}" + strings.Repeat("{% set s = [s, s] %}", 60) + "{{ s }}":                                        "too much",
		"{% set s = [1, 1] %}" + strings.Repeat("{% set s = [s, s] %}", 60) + "{{ s|tojson }}":                                 "too much",
		"{% set s = [1] %}{% set r = [1] %}" + strings.Repeat("{% set s = [s, s] %}{% set r = [r, r] %}", 60) + "{{ s == r }}": "too much",
		strings.Repeat("{% for i in range(99999) %}", 9) + strings.Repeat("{% endfor %}", 9):                                   "too much",
		"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}":                                                                      "nested more than",
		"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}":                                                              "nested more than",
		"{{ " + strings.Repeat("(", 999) + "1" + strings.Repeat(")", 999) + " }}":                                              "nested more than",
		"{{ " + strings.Repeat("not ", 9999) + "1 }}":                                                                          "nested more than",
		strings.Repeat("{% if 1 %}", 999) + strings.Repeat("{% endif %}", 999):                                                 "nested more than",
		strings.Repeat("x", 1<<20): "the limit is",
		"\xff":                     "not valid UTF-8",
	} {
		c, err := New(source, nil, nil)
		if err == nil {
			_, err = c.Render([]Message{{Role: "user", Content: "a"}}, false)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: got the error %v, want %q", source, err, want)
		}
	}
}

func TestVariables(t *testing.T) {
	render := func(source string, extra map[string]any, messages ...Message) (string, error) {
		c, err := New(source, nil, extra)
		if err != nil {
			t.Fatal(err)
		}
		return c.Render(messages, false)
	}
	extra := map[string]any{
		"a": []string{"x", "y"}, "b": map[string]any{"q": 1, "p": 1.5}, "c": nil, "d": int64(3), "e": float32(0.5),
		"f": json.RawMessage(`{"z": [1, 2.0, null, true, "é"], "y": {}}`), "messages": []map[string]string{{"role": "r"}},
	}
	got, err := render("{{ bos_token is defined }}{{ a }}{{ b }}{{ c }}{{ d }}{{ e }}{{ f }}{{ messages[0].role }}", extra)
	if want := "False['x', 'y']{'p': 1.5, 'q': 1}None30.5{'z': [1, 2.0, None, True, 'é'], 'y': {}}r"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := render("", nil, Message{Role: "user", Content: "\xff"}); err == nil || !strings.Contains(err.Error(), "not valid UTF-8") {
		t.Errorf("a message that is not UTF-8: got the error %v", err)
	}
	for _, bad := range []any{make(chan int), map[int]int{1: 2}, struct{}{}, json.RawMessage(`[1`), json.RawMessage(`1 2`), json.RawMessage(``)} {
		if _, err := render("", map[string]any{"x": bad}); err == nil {
			t.Errorf("a variable %T %v: got no error", bad, bad)
		}
	}
}

// TestCalls renders a conversation with a call of a function in templates of several families, and what a model said beside it.
func TestCalls(t *testing.T) {
	tools := json.RawMessage(`[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}]`)
	messages := []Message{
		{Role: "user", Content: "Rain?"},
		{Role: "assistant", Reasoning: "Ask.", Calls: []Call{{"abcdefghi", "weather", json.RawMessage(`{"z":"Graz","a":1}`)}}},
		{Role: "tool", CallID: "abcdefghi", Name: "weather", Content: "wet"},
	}
	c := parsed(t, "qwen3", nil)
	if text, err := c.Render([]Message{messages[0], {Role: "assistant", Reasoning: "Look.", Content: "No."}}, true); err != nil || !strings.Contains(text, "<think>\nLook.\n</think>\n\nNo.") {
		t.Errorf("a thought: %q, %v", text, err)
	}
	for name, want := range map[string]string{
		"qwen25":    "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"z\": \"Graz\", \"a\": 1}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nwet\n</tool_response>",
		"llama31":   "{\"name\": \"weather\", \"parameters\": {\"z\": \"Graz\", \"a\": 1}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\n\"wet\"<|eot_id|>",
		"mistral03": "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"z\": \"Graz\", \"a\": 1}}]</s>[TOOL_RESULTS] {\"content\": wet, \"call_id\": \"abcdefghi\"}",
	} {
		c := parsed(t, name, map[string]any{"tools": tools})
		if text, err := c.Render(messages, true); err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %v\n%s\nwant in it %s", name, err, text, want)
		}
	}
}

// parsed is one of testdata/templates.
func parsed(t *testing.T, name string, extra map[string]any) *Template {
	t.Helper()
	source, err := os.ReadFile("testdata/templates/" + name + ".jinja")
	if err != nil {
		t.Fatal(err)
	}
	c, err := fixed(t, string(source), "<s>", "</s>", extra)
	if err != nil {
		t.Fatal(err)
	}
	if c.Source() != string(source) {
		t.Errorf("%s: the source is another one", name)
	}
	return c
}

func TestRenderConcurrently(t *testing.T) {
	c, err := New("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ m.content }}{% endfor %}{{ ns.n }}", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if text, err := c.Render([]Message{{Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}}, true); text != "ab2" || err != nil {
					t.Errorf("got %q, %v", text, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzNew looks for templates that crash or hang the parser or the renderer.
func FuzzNew(f *testing.F) {
	g := read[goldens](f, "testdata/goldens.json")
	entries, err := os.ReadDir("testdata/templates")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		source, err := os.ReadFile("testdata/templates/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	snippets, err := os.ReadFile("testdata/snippets.txt")
	if err != nil {
		f.Fatal(err)
	}
	for source := range strings.SplitSeq(string(snippets), "\n===\n") {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		c, err := New(source, map[string]string{"bos_token": g.BOS, "eos_token": g.EOS}, g.extra("tools"))
		if err != nil {
			return
		}
		start := time.Now()
		for _, name := range []string{"one", "system turns", "none"} {
			first, err := c.Render(g.Chats[name], true)
			if err != nil {
				continue
			}
			if second, err := c.Render(g.Chats[name], true); err != nil && !strings.Contains(source, "strftime_now") || err == nil && first != second && !strings.Contains(source, "strftime_now") {
				t.Errorf("rendered again: %q, %v, first %q", second, err, first)
			}
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("took %v", d)
		}
	})
}
